"""The collector's own history as samples for a backtest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent import wire
from collector.history.reader import Reader
from collector.register import Device
from rules.backtest import Samples
from rules.files import parse
from rules.labels import NAME, Labels
from rules.promql.source import parse as parse_expression
from rules.source import looked_at

Floats = NDArray[np.float64]


def metrics(files: Mapping[str, str]) -> frozenset[str]:
    """Return the metrics that rule files read. Raises RuleFileError for a file that is none."""
    rules = [rule for name, text in files.items() for group in parse(text, name) for rule in group.rules]
    return frozenset().union(*(looked_at(parse_expression(rule.expr).tree)[0] for rule in rules))


def samples(folder: Path, devices: Collection[Device], wanted: Collection[str], start: float, end: float) -> Samples:
    """Return what the history in a folder holds of some devices' metrics, with the devices' target labels.

    Raises:
        HistoryError: a file of it cannot be read.
    """
    names: list[Labels] = []
    columns: list[tuple[Floats, Floats]] = []
    reader = Reader(folder)
    try:
        for device in devices:
            for own, column in _of_device(reader, device, wanted, start, end):
                names.append(own)
                columns.append(column)
    finally:
        reader.close()
    if not columns:
        return Samples(names, np.zeros(0, np.int32), np.zeros(0), np.zeros(0))
    series = np.repeat(np.arange(len(columns), dtype=np.int32), [len(times) for times, _ in columns])
    times, values = (np.concatenate(each) for each in zip(*columns, strict=True))
    return Samples(names, series, times, values)


def _of_device(
    reader: Reader, device: Device, wanted: Collection[str], start: float, end: float
) -> Iterator[tuple[Labels, tuple[Floats, Floats]]]:
    targets = device.labels()
    found = reader.read(device.id, lambda name, _: name in wanted, start, end)
    for text, column in found.items():
        name, labels = wire.read_series(text)
        own = {f"exported_{label}" if label in targets else label: value for label, value in labels.items()}
        yield Labels({**own, **targets, NAME: name}), column
