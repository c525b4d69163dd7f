"""Updates that wait on Windows, and whether it asks for a restart."""

from __future__ import annotations

from agent.heavy.tools import number, strings
from agent.heavy.windows import cim
from agent.probes import NoData
from agent.registry_windows import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.heavy.tools import Found, Task

    Keys = Mapping[str, Mapping[str, object]]

SERVICING = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing"
AUTO_UPDATE = r"SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update"
SESSION = r"SYSTEM\CurrentControlSet\Control\Session Manager"
STATE = r"SOFTWARE\Microsoft\WindowsUpdate\UX"
EPOCH_1601 = 11_644_473_600
# Asked offline: what the last search of Windows itself has found.
CLASSES = {
    "updates": "$s=(New-Object -ComObject Microsoft.Update.Session).CreateUpdateSearcher();$s.Online=$false;"
    "$s.Search('IsInstalled=0 and IsHidden=0').Updates | Select-Object Title,MsrcSeverity,AutoSelectOnWebSites"
}


def read(task: Task) -> Iterator[Found]:
    """Windows Update's own list without the network, and the marks of a restart in the registry.

    Metrics:
        watchdesk_updates_pending (gauge): Updates that wait, by kind.
        node_reboot_required (gauge): Whether Windows asks for a restart.
        watchdesk_forced_reboot_timestamp_seconds (gauge): When Windows will restart by itself, 0 where it will not.
    """
    keys = {**tree(SERVICING), **tree(AUTO_UPDATE)}
    yield "node_reboot_required", float(reboot_required(keys, tree(SESSION)))
    yield "watchdesk_forced_reboot_timestamp_seconds", forced_reboot(tree(STATE))
    try:
        found = cim(task, CLASSES, timeout=100.0)["updates"]
    except NoData:
        return
    for kind, count in counts(found).items():
        yield f'watchdesk_updates_pending{{kind="{kind}"}}', float(count)


def counts(updates: list[dict[str, object]]) -> dict[str, int]:
    """Count those that Windows selects by itself, or that have a severity, as important."""
    important = sum(bool(one.get("AutoSelectOnWebSites")) or bool(strings(one.get("MsrcSeverity"))) for one in updates)
    return {"important": important, "optional": len(updates) - important}


def reboot_required(keys: Keys, session: Keys) -> bool:
    """Whether servicing or Windows Update has left its mark, or files wait to be replaced at the next start."""
    if "RebootPending" in keys or "RebootRequired" in keys:
        return True
    return bool(session.get("", {}).get("PendingFileRenameOperations"))


def forced_reboot(keys: Keys) -> float:
    """Return the scheduled restart of UX\\StateVariables: ScheduledRebootTime, in 100 ns since 1601."""
    time = number(keys.get("StateVariables", {}).get("ScheduledRebootTime"))
    return time / 1e7 - EPOCH_1601 if time else 0.0
