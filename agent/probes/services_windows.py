"""Services of Windows: which run, and how each is meant to start."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.series import labels
from agent.registry_windows import below, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.probes.host import Host

READINGS = 40  # how a service starts is read once in so many readings
MAX_SERVICES = 800
SERVICES = r"SYSTEM\CurrentControlSet\Services"
AUTO, MANUAL, DISABLED = 2, 3, 4
MODES = {MANUAL: "manual", DISABLED: "disabled"}


@probe("services")
def services(host: Host) -> Iterator[tuple[str, float]]:
    """The service control manager by psutil, start types from the registry.

    Metrics:
        watchdesk_service_running (gauge): Whether the service runs.
    """
    import psutil  # where it is used: Linux does without

    ask = getattr(psutil, "win_service_iter", None)
    if ask is None:
        raise NoData("services")
    known = host.memory.get("services")
    if not isinstance(known, tuple) or known[0] <= 0:
        known = (READINGS, dict(_modes()))
    host.memory["services"] = (known[0] - 1, known[1])
    for number, service in enumerate(ask()):
        if number >= MAX_SERVICES:
            return
        try:
            status = service.status()
        except (OSError, psutil.Error):  # it was removed meanwhile, or may not be asked
            continue
        mode = known[1].get(service.name(), "manual")
        yield "watchdesk_service_running" + labels(name=service.name(), start_mode=mode), float(status == "running")


def _modes() -> Iterator[tuple[str, str]]:
    for name in below(SERVICES):
        path = f"{SERVICES}\\{name}"
        yield name, start_mode(values(path), "TriggerInfo" in below(path))


def start_mode(told: Mapping[str, object], has_triggers: bool) -> str:
    """Return how a service starts: auto, auto_delayed, auto_trigger, manual or disabled."""
    start = told.get("Start")
    if start != AUTO:
        return MODES.get(start if isinstance(start, int) else MANUAL, "manual")
    if has_triggers:
        return "auto_trigger"
    return "auto_delayed" if told.get("DelayedAutostart") == 1 else "auto"
