"""Units of systemd: which state each is in, how often services were started again."""

from __future__ import annotations

import select
import time

from agent.probes import NoData, probe
from agent.probes.series import labels
from agent.units import UNWATCHED, Units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
    from agent.units import Unit

STATES = ("activating", "active", "deactivating", "failed", "inactive")
FIRST_ANSWER = 0.3  # seconds to wait for the first list, once
MAX_UNITS = 800  # five series each


@probe("systemd", blocks=False)
def systemd(host: Host) -> Iterator[tuple[str, float]]:
    """systemd over D-Bus, without automounts, devices, mounts, scopes and slices.

    Metrics:
        node_systemd_unit_state (gauge): Systemd unit
        node_systemd_units (gauge): Summary of systemd unit states
        node_systemd_service_restart_total (counter): Service unit count of Restart triggers
        node_systemd_system_running (gauge): Whether the system is operational (see 'systemctl is-system-running')
        node_systemd_timer_last_trigger_seconds (gauge): Seconds since epoch of last trigger.
        node_systemd_socket_accepted_connections_total (counter): Total number of accepted socket connections
        node_systemd_socket_current_connections (gauge): Current number of socket connections
        node_systemd_socket_refused_connections_total (gauge): Total number of refused socket connections
        node_systemd_version (gauge): Detected systemd version
    """
    units = host.memory.get("systemd")
    if not isinstance(units, Units):
        units = host.memory["systemd"] = Units(host.root)
        if units.pump():
            _await(units)
    units.ask_state()
    if not units.pump() or not units.loaded:
        raise NoData("systemd")
    yield from _manager(units)
    counts = dict.fromkeys(STATES, 0)
    watched = 0
    for name, unit in units.units.items():
        counts[unit.active] = counts.get(unit.active, 0) + 1
        if unit.load == "loaded" and not name.endswith(UNWATCHED) and watched < MAX_UNITS:
            watched += 1
            yield from _unit(name, unit)
    for state, count in counts.items():
        yield f'node_systemd_units{{state="{state}"}}', float(count)


def _await(units: Units) -> None:
    """Wait for the first list, and what is asked of each unit on it, as long as systemd goes on answering."""
    until = time.monotonic() + FIRST_ANSWER
    poll = select.poll()
    poll.register(units.file, select.POLLIN)
    while units.file >= 0 and not units.complete and (left := until - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            units.pump()


def _manager(units: Units) -> Iterator[tuple[str, float]]:
    state = units.manager.get("SystemState")
    if state is not None:
        yield "node_systemd_system_running", float(state == "running")
    version = units.manager.get("Version", "")
    major = version.split(" ")[0].split("-")[0].split("~")[0]
    if major.replace(".", "", 1).isdigit():
        yield "node_systemd_version" + labels(version=version), float(major)


def _unit(name: str, unit: Unit) -> Iterator[tuple[str, float]]:
    known = unit.told
    if known is None or known[0] != unit.type:
        series = [
            (state, "node_systemd_unit_state" + labels(name=name, state=state, type=unit.type)) for state in STATES
        ]
        known = (unit.type, series, labels(name=name))
        unit.told = known
    for state, text in known[1]:
        yield text, float(state == unit.active)
    for prop, value in unit.numbers.items():
        metric, divisor = NUMBERS[prop]
        yield metric + known[2], value / divisor


NUMBERS = {
    "NRestarts": ("node_systemd_service_restart_total", 1.0),
    "LastTriggerUSec": ("node_systemd_timer_last_trigger_seconds", 1e6),
    "NAccepted": ("node_systemd_socket_accepted_connections_total", 1.0),
    "NConnections": ("node_systemd_socket_current_connections", 1.0),
    "NRefused": ("node_systemd_socket_refused_connections_total", 1.0),
}
