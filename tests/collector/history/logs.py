"""A small log of rows, its consumer, and the plain reference that the history is compared with."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from collector.history import History
from collector.history.chunk import Chunk
from collector.history.integers import Floats

START = 1.8e9

# Two schemas of a device overlap, as after a disk was added; the third is another job's.
SCHEMAS = {
    1: ["up", 'disk{name="a"}', "load"],
    2: ["up", 'disk{name="a"}', 'disk{name="b"}', "load"],
    (1 << 64) - 3: ['ifHCInOctets{ifIndex="1"}'],
}


@dataclass(frozen=True, slots=True)
class Record:
    """Rows of a device, as a record of the log has them."""

    device: int
    schema: int
    times: Floats
    values: Floats


def record(device: int, schema: int, times: Sequence[float], seed: int = 0) -> Record:
    """Return a record with values that tell where they come from."""
    random = np.random.default_rng([device, seed])
    values = random.integers(0, 10_000, (len(times), len(SCHEMAS[schema]))) / 100
    values[random.random(values.shape) < 0.05] = np.nan
    return Record(device, schema, START + np.array(times, np.float64), values)


def take(history: History, log: Sequence[Record], start: int, end: int) -> None:
    """Give records to the history."""
    for entry in log[start:end]:
        ref = history.schema(entry.schema, SCHEMAS[entry.schema])
        history.append(entry.device, ref, entry.times, entry.values)


def consume(history: History, log: Sequence[Record], *, now: float = START, each: int = 1) -> None:
    """Give the log from the history's position to its end, flushing after every so many records."""
    for at in range(history.position(), len(log), each):
        take(history, log, at, at + each)
        history.flush(min(at + each, len(log)), now)


@dataclass(slots=True)
class Reference:
    """All samples, by their text: the same one twice is one, and NaN is like NaN."""

    samples: dict[tuple[int, str], dict[str, tuple[float, float]]] = field(default_factory=dict)

    def add(self, log: Sequence[Record]) -> "Reference":
        """Take records, in the order of the log."""
        for entry in log:
            for column, text in enumerate(SCHEMAS[entry.schema]):
                pairs = zip(entry.times.tolist(), entry.values[:, column].tolist(), strict=True)
                known = self.samples.setdefault((entry.device, text), {})
                known.update((str(pair), pair) for pair in pairs)
        return self

    def check(self, history: History, start: float = -np.inf, end: float = np.inf) -> None:
        """Fail unless the history reads the same, from `start` to `end`."""
        texts = sorted({text for series in SCHEMAS.values() for text in series})
        for device in {device for device, _ in self.samples} | {99}:
            found = history.read(device, texts, start, end)
            for text in texts:
                pairs = [pair for pair in self.samples.get((device, text), {}).values() if start <= pair[0] <= end]
                times, values = found.get(text, (np.empty(0), np.empty(0)))
                assert times.tolist() == sorted(time for time, _ in pairs), (device, text)
                wanted = sorted(pairs, key=lambda pair: (pair[0], str(pair[1])))
                got = sorted(
                    zip(times.tolist(), values.tolist(), strict=True), key=lambda pair: (pair[0], str(pair[1]))
                )
                assert str(got) == str(wanted), (device, text)


def fleet(devices: int, rows: int, interval: float = 10.0) -> list[Record]:
    """Return the log of devices that each send a row at each interval, one of them with another schema."""
    return [
        record(device, 2 if device == 2 else 1, [number * interval + device / 100], seed=number)
        for number in range(rows)
        for device in range(1, devices + 1)
    ]


def reopen(history: History, folder: Path) -> History:
    """Forget what is in memory, as a crash does, and open the history again."""
    history.close()
    return History(folder)


def stored_rows(folder: Path) -> int:
    """Return how many rows there are in all chunks, were they there twice or not."""
    rows = 0
    for index in folder.glob("*.index"):
        chunks = index.with_suffix(".chunks").read_bytes()
        with closing(sqlite3.connect(index)) as connection:
            for start, size in connection.execute("SELECT start, size FROM chunk"):
                rows += Chunk(chunks[start : start + size]).rows
    return rows


def sent_rows(log: Sequence[Record]) -> int:
    """Return how many rows a log has."""
    return sum(len(entry.times) for entry in log)
