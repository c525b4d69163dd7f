"""What several readings of macOS share: property lists, and system_profiler."""

from __future__ import annotations

import plistlib
from xml.parsers.expat import ExpatError

from agent.heavy.tools import listing, mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.heavy.tools import Task


def plist(path: str) -> dict[str, object]:
    """Return a property list, or nothing if it is none or cannot be read."""
    try:
        with open(path, "rb") as file:
            return mapping(plistlib.load(file))
    except (OSError, ValueError, ExpatError, KeyError, TypeError):
        return {}


def profile(task: Task, *kinds: str, timeout: float = 60.0) -> dict[str, list[dict[str, object]]]:
    """Return what system_profiler tells, by kind."""
    told = mapping(task.command(["system_profiler", "-json", "-detailLevel", "basic", *kinds], timeout=timeout).json())
    return {kind: [mapping(one) for one in listing(told.get(kind))] for kind in kinds}
