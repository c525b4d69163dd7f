"""Updates that wait on macOS: what its own last search has found."""

from __future__ import annotations

from agent.heavy.macos import plist
from agent.heavy.tools import listing, mapping
from agent.probes import NoData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

FILE = "/Library/Preferences/com.apple.SoftwareUpdate.plist"


def read(task: Task) -> Iterator[Found]:
    """com.apple.SoftwareUpdate.plist; the network is not asked.

    Metrics:
        watchdesk_updates_pending (gauge): Updates that wait, by kind; those of macOS itself are important.
        node_reboot_required (gauge): Whether one of them wants a restart.
    """
    said = plist(task.host.root + FILE)
    if not said:
        raise NoData(FILE)
    waiting = [mapping(one) for one in listing(said.get("RecommendedUpdates"))]
    important = sum(is_important(one) for one in waiting)
    yield 'watchdesk_updates_pending{kind="important"}', float(important)
    yield 'watchdesk_updates_pending{kind="optional"}', float(len(waiting) - important)
    yield "node_reboot_required", 0.0  # macOS restarts as part of an update; none waits for one


def is_important(update: dict[str, object]) -> bool:
    """Whether it is an update of macOS, or for security."""
    name = str(update.get("Display Name", "")) + str(update.get("Identifier", ""))
    return "macOS" in name or "Security" in name or "Safari" in name
