"""The readings of a machine that fails on demand, for `watchdesk drill`; all behind the readings is the real path.

The state file is read at each reading; its word is `fault` or `healthy`. A missing file is healthy.
"""

from __future__ import annotations

import os

from agent.probes import Probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.probes.host import Host

    Faults = Callable[[float | None], Iterator[tuple[str, float]]]

SIZE = 100 * 1024**3
BEFORE, FULL, FILL_SECONDS = 0.70, 0.98, 5.0
FLAP_SECONDS = 3.0
KINDS = ("disk-full", "cpu", "service-dead", "flapping", "host-down")
# What the failing machine also tells, from the real one; nothing that could raise a ticket of its own.
KEPT = ("memory", "load", "uname", "os_release", "time")
UNIT_STATES = ("activating", "active", "deactivating", "failed", "inactive")


def drill(kind: str, state_file: str, monotonic: Callable[[], float]) -> Probe:
    """Return the probe of a failing machine; `kind` is one of KINDS."""
    machine = Machine(kind, state_file, monotonic)
    return Probe("drill", machine.read, blocks=False)


class Machine:
    """A machine that is healthy until its state file says `fault`."""

    __slots__ = ("_busy", "_fault_since", "_faults", "_file", "_idle", "_kind", "_last", "_monotonic")

    def __init__(self, kind: str, state_file: str, monotonic: Callable[[], float]) -> None:
        faults: dict[str, Faults] = {
            "disk-full": self._disk_full,
            "flapping": self._flapping,
            "cpu": self._cpu,
            "service-dead": self._service,
            "host-down": self._plain,
        }
        self._faults = faults[kind]
        self._kind = kind
        self._file = state_file
        self._monotonic = monotonic
        self._fault_since: float | None = None
        self._last = monotonic()
        self._busy = 1_000.0
        self._idle = 20_000.0

    def read(self, _host: Host) -> Iterator[tuple[str, float]]:
        """Yield the readings of now."""
        now = self._monotonic()
        if not _is_fault(self._file):
            self._fault_since = None
        elif self._fault_since is None:
            self._fault_since = now
        fault_for = None if self._fault_since is None else now - self._fault_since
        yield from self._faults(fault_for)
        if self._kind != "cpu":
            yield from self._cpu(None)
        self._last = now

    def _disk_full(self, fault_for: float | None) -> Iterator[tuple[str, float]]:
        filled = 0.0 if fault_for is None else min(1.0, fault_for / FILL_SECONDS)
        return _disk(BEFORE + (FULL - BEFORE) * filled)

    def _flapping(self, fault_for: float | None) -> Iterator[tuple[str, float]]:
        over = fault_for is not None and int(fault_for / FLAP_SECONDS) % 2 == 0
        return _disk(FULL if over else BEFORE)

    def _cpu(self, fault_for: float | None) -> Iterator[tuple[str, float]]:
        seconds = self._monotonic() - self._last
        share = 0.05 if fault_for is None else 0.97
        self._busy += seconds * share
        self._idle += seconds * (1 - share)
        modes = {"user": 0.9 * self._busy, "system": 0.1 * self._busy, "idle": self._idle}
        for mode in ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"):
            yield "node_cpu_seconds_total" + labels(cpu="0", mode=mode), modes.get(mode, 0.0)

    def _service(self, fault_for: float | None) -> Iterator[tuple[str, float]]:
        current = "active" if fault_for is None else "failed"
        for state in UNIT_STATES:
            label = labels(name="drill.service", state=state, type="simple")
            yield "node_systemd_unit_state" + label, float(state == current)

    def _plain(self, _fault_for: float | None) -> Iterator[tuple[str, float]]:
        return iter(())


def _disk(used: float) -> Iterator[tuple[str, float]]:
    label = labels(device="/dev/drill", fstype="ext4", mountpoint="/drill")
    free = float(round(SIZE * (1 - used)))
    yield "node_filesystem_size_bytes" + label, float(SIZE)
    yield "node_filesystem_free_bytes" + label, free
    yield "node_filesystem_avail_bytes" + label, free
    yield "node_filesystem_files" + label, 6_553_600.0
    yield "node_filesystem_files_free" + label, 6_000_000.0
    yield "node_filesystem_readonly" + label, 0.0
    yield "node_filesystem_device_error" + label, 0.0


def _is_fault(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.read(file, 64).strip() == b"fault"
    finally:
        os.close(file)
