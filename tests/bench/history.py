"""The history: bytes a value on a real machine's metrics, a day of one series, and values a second.

`data/machine.npz` is an hour of a machine with two cores (Debian 12, a small virtual machine on which software was
being built and tested), as node_exporter told it every 10 s: `series` (a text with a line each), `times` [rows],
`values` [series, rows].
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.history import History, Reader
from tests.bench.figure import Figure

RECORDING: Final = Path(__file__).parent / "data" / "machine.npz"
DEVICES: Final = 50
READ: Final = ("node_load1", 'node_cpu_seconds_total{cpu="0",mode="user"}', "node_memory_MemAvailable_bytes")
BATCH: Final = 100
TICK: Final = 30.0  # seconds of the log between two flushes, as the collector does it


class Machine(NamedTuple):
    """What a machine told: times [rows], values [rows, series]."""

    series: list[str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def only(self, wanted: NDArray[np.intp]) -> "Machine":
        """Return the same of some of the series."""
        return Machine(
            [self.series[column] for column in wanted], self.times, np.ascontiguousarray(self.values[:, wanted])
        )


def recording() -> Machine:
    """Return the recorded hour."""
    with np.load(RECORDING) as file:
        return Machine(str(file["series"]).split("\n"), file["times"], np.ascontiguousarray(file["values"].T))


def changing(machine: Machine) -> Machine:
    """Return the series that changed at all in the hour."""
    bits = machine.values.view(np.int64)
    return machine.only(np.flatnonzero((bits != bits[0]).any(axis=0)))


def day(machine: Machine) -> Machine:
    """Return a day: the hour, forwards and backwards in turn, so that no chunk has a jump that no machine makes."""
    rows = 8640
    turn = np.arange(rows) % (2 * len(machine.times) - 2)
    order = np.minimum(turn, 2 * len(machine.times) - 2 - turn)
    jitter = np.random.default_rng(1).normal(0, 0.002, rows).round(6)
    return Machine(machine.series, machine.times[0] + 10.0 * np.arange(rows) + jitter, machine.values[order])


def store(folder: Path, machine: Machine, devices: int) -> float:
    """Store a machine as so many devices, row by row as agents send them; return seconds of CPU to the last commit."""
    history = History(folder)
    ref = history.schema(1, machine.series)
    flushed, position = machine.times[0], 0
    started = time.process_time()
    for row in range(len(machine.times)):
        times, values = machine.times[row : row + 1], machine.values[row : row + 1]
        for device in range(devices):
            history.append(device, ref, times, values)
        position += devices
        if times[0] - flushed >= TICK:
            flushed = times[0]
            history.flush(position, flushed)
    history.flush(position, machine.times[-1], everything=True)
    spent = time.process_time() - started
    history.close()
    return spent


def size(machine: Machine, devices: int = DEVICES) -> float:
    """Return bytes on the disk a value, everything included, of a fleet of such machines."""
    with tempfile.TemporaryDirectory() as name:
        store(Path(name), machine, devices)
        total = sum(file.stat().st_size for file in Path(name).iterdir())
    return total / (machine.values.size * devices)


def rate(machine: Machine, devices: int) -> tuple[float, int]:
    """Return values a second of one core from rows to committed chunks, and how many values."""
    values = machine.values.size * devices
    with tempfile.TemporaryDirectory() as name:
        return values / store(Path(name), machine, devices), values


def read_ms(machine: Machine, repeats: int = 20) -> tuple[float, int]:
    """Return milliseconds to read one series of a day, the median of several series and times, and how many."""
    spent = []
    with tempfile.TemporaryDirectory() as name:
        store(Path(name), machine, 1)
        reader = Reader(Path(name))
        for _ in range(repeats):
            for text in READ:
                started = time.perf_counter()
                times, _ = reader.read(0, [text], 0, np.inf)[text]
                spent.append(1000 * (time.perf_counter() - started))
                assert len(times) == len(machine.times)
        reader.close()
    return statistics.median(spent), len(spent)


def run() -> Iterator[Figure]:
    """Measure."""
    machine = recording()
    moving = changing(machine)
    yield Figure("history.bytes_per_value", size(machine), "B", machine.values.size * DEVICES)
    yield Figure("history.bytes_per_changing_value", size(moving), "B", moving.values.size * DEVICES)
    yield Figure("history.day_read_ms", *swap(read_ms(day(machine)), "ms"))
    yield Figure("history.values_per_core_second", *swap(rate(machine, DEVICES), "1/s"))
    share = np.flatnonzero(np.arange(len(machine.series)) % 4 == 0)[:BATCH]
    small = machine.only(share)
    yield Figure("history.values_per_core_second_batches_of_100", *swap(rate(small, 4 * DEVICES), "1/s"))


def swap(measured: tuple[float, int], unit: str) -> tuple[float, str, int]:
    """Return (value, unit, n) of (value, n)."""
    return measured[0], unit, measured[1]
