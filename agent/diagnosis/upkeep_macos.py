"""Updates and changes of macOS: what its own last search found, and its history of installations."""

from __future__ import annotations

import plistlib
from datetime import UTC, datetime
from xml.parsers.expat import ExpatError

from agent.diagnosis.errors import NotFound
from agent.heavy.macos import plist
from agent.heavy.tools import listing, mapping, strings
from agent.heavy.updates_macos import FILE, is_important
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.upkeep import Change

HISTORY = "/Library/Receipts/InstallHistory.plist"


def pending(look: Look) -> tuple[list[dict[str, object]], bool]:
    """Return the updates that wait; a restart is part of an update and never due by itself.

    Raises:
        NotFound: it has never searched.
    """
    said = plist(look.host.root + FILE)
    if not said:
        raise NotFound(FILE)
    return [
        {"name": clean(strings(one.get("Display Name")), 100), "old": "",
         "new": clean(strings(one.get("Display Version")), 50), "important": is_important(one)}
        for one in map(mapping, listing(said.get("RecommendedUpdates")))
    ], False  # fmt: skip


def changes(look: Look) -> Iterator[Change]:
    """Yield the installations of the history, a property list whose root is a list."""
    from agent.diagnosis.upkeep import Change

    try:
        with open(look.host.root + HISTORY, "rb") as file:
            rows = listing(plistlib.load(file))
    except (OSError, ValueError, ExpatError, KeyError, TypeError):
        return
    for one in map(mapping, rows):
        at = one.get("date")
        if isinstance(at, datetime):
            what = f"install {strings(one.get('displayName'))} {strings(one.get('displayVersion'))}"
            yield Change(at.replace(tzinfo=UTC).timestamp(), "package", what)
