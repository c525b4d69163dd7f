"""Updates and changes of Windows, by its registry: the marks of a restart, and when programs were installed."""

from __future__ import annotations

import time

from agent.diagnosis.errors import NotFound
from agent.heavy.tools import number
from agent.heavy.updates_windows import AUTO_UPDATE, SERVICING, SESSION, reboot_required
from agent.redact import clean
from agent.registry_windows import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.upkeep import Change

UNINSTALL = (
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
)


def pending(_look: Look) -> tuple[list[dict[str, object]], bool]:
    """Return that nothing is known of the updates themselves, and whether a restart is due.

    Raises:
        NotFound: no restart is due; which updates wait is told by the inventory alone, which asks Windows Update.
    """
    if not reboot_required({**tree(SERVICING), **tree(AUTO_UPDATE)}, tree(SESSION)):
        raise NotFound("a list of updates that can be had without Windows Update's own interface")
    return [], True


def changes(_look: Look) -> Iterator[Change]:
    """Yield the programs with the day on which they were installed."""
    for key in UNINSTALL:
        yield from of_uninstall(tree(key))


def of_uninstall(keys: Mapping[str, Mapping[str, object]]) -> Iterator[Change]:
    """Yield the programs of the key Uninstall: InstallDate is the day, as 20261123."""
    from agent.diagnosis.upkeep import Change

    for values in keys.values():
        day = str(values.get("InstallDate", ""))
        name = str(values.get("DisplayName", ""))
        if name and len(day) == 8 and number(day) is not None:
            try:
                at = time.mktime(time.strptime(day, "%Y%m%d"))
            except (ValueError, OverflowError):
                continue
            yield Change(
                at, "package", f"install {clean(name, 150)} {clean(str(values.get('DisplayVersion', '')), 50)}"
            )
