"""Applies many records to the state at once, with the very effect that they have one after the other.

What most records are is taken in a few vector operations: a single new row of a device whose layout stands. A device
that sent anything else between two barriers is left to `State.apply`, record by record; as no device's rows have an
effect on another's, it does not matter that these come after. A barrier is what does reach further: a tick, a hello
(after which the liveness of all is told), a start, rules, a change of the register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from agent.wire import Kind
from collector.log import Block, RecordKind
from collector.observed import OWN
from collector.singles import Singles, frames, singles
from rules import steady

if TYPE_CHECKING:
    from collector.state import State
    from rules.alerts import Transition
    from rules.layouts import Layout

_NEVER: Final = 1 << 64  # above every seq
_FEW: Final = 8  # singles between two barriers that are not worth it
Indices = NDArray[np.intp]


class Bulk:
    """A block, ready to be applied in pieces."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._singles = singles(block)
        indices, kinds = frames(block)
        is_barrier = np.ones(len(block), np.bool_)
        is_barrier[indices[kinds != Kind.HELLO]] = False
        self._barriers = np.flatnonzero(is_barrier)
        self.ticks = np.flatnonzero(block.kinds == RecordKind.TICK).tolist()

    def apply(self, state: State, first: int, end: int) -> list[Transition]:
        """Apply the records from an index to another, and return what they changed of the alerts."""
        inside = self._barriers[(self._barriers >= first) & (self._barriers < end)]
        changes: list[Transition] = []
        for barrier in [*inside.tolist(), end]:
            self._apply_run(state, first, barrier)
            if barrier < end:
                changes += state.apply(self._block.record(barrier))
            first = barrier + 1
        if end:
            state.position = int(self._block.numbers[end - 1])
        return changes

    def _apply_run(self, state: State, first: int, end: int) -> None:
        """Apply the records between two barriers."""
        block, found = self._block, self._singles
        low, high = np.searchsorted(found.indices, [first, end])
        if high - low < _FEW:
            for record in block.records(first, end):
                state.apply(record)
            return
        left = np.ones(end - first, np.bool_)
        left[found.indices[low:high] - first] = False
        order = low + np.argsort(found.devices[low:high], kind="stable")
        taken = _take(state, found, order, set(block.devices[first:end][left].tolist()))
        left[found.indices[order[~taken]] - first] = True
        for index in np.flatnonzero(left).tolist():
            state.apply(block.record(first + index))


def _take(state: State, found: Singles, order: Indices, others: set[int]) -> NDArray[np.bool_]:
    """Apply the rows, sorted by device, of the devices whose rows are all as usual; return which rows those are.

    Devices in `others` sent something else in between and are left out.
    """
    devices, epochs, seqs = found.devices[order], found.epochs[order], found.seqs[order]
    schemas, columns = found.schemas[order], found.columns[order]
    times = np.rint(found.times[order] * 1000)
    fresh = devices[1:] != devices[:-1]
    usual = (epochs[1:] == epochs[:-1]) & (seqs[1:] > seqs[:-1]) & (times[1:] > times[:-1])
    usual &= (schemas[1:] == schemas[:-1]) & (columns[1:] == columns[:-1])
    starts = np.concatenate(([0], np.flatnonzero(fresh) + 1))
    ends = np.concatenate((starts[1:], [len(order)]))
    unusual = np.concatenate(([0], np.cumsum(~(fresh | usual))))  # before each row
    whole = (unusual[ends - 1] == unusual[starts]) & (seqs[starts] > 0) & (epochs[starts] < np.uint64(OWN))
    firsts, lasts = starts[whole], ends[whole] - 1
    layouts: list[Layout] = []
    heard: list[int] = []
    fit = np.zeros(len(firsts), np.bool_)
    each = zip(
        devices[firsts].tolist(), schemas[firsts].tolist(), columns[firsts].tolist(), epochs[firsts].tolist(),
        seqs[firsts].tolist(), seqs[lasts].tolist(), times[firsts].tolist(), range(len(firsts)), strict=True,
    )  # fmt: skip
    for device, schema, width, epoch, seq, newest, time, place in each:
        marks = state.marks.get(device)
        layout = state.layouts.get((device, schema))
        if marks is None or layout is None or device in others or not steady.fits(layout, width, time):
            continue
        if seq <= marks.get(epoch, _NEVER):
            continue
        marks[epoch] = newest
        heard.append(device)
        layouts.append(layout)
        fit[place] = True
    if not layouts:
        return np.zeros(len(order), np.bool_)
    whole[whole] = fit
    taken = np.repeat(whole, ends - starts)
    steady.write(state.fleet, found, layouts, order[taken], np.cumsum((ends - starts)[whole]))
    state.presence.heard_all(heard, found.received[order[ends[whole] - 1]])
    return taken
