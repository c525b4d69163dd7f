"""From readings to rows: which series have which column, and the frames that say so."""

from __future__ import annotations

from agent import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COLUMNS = 10_000
MAX_TEXT = 400_000  # bytes of a schema: with a row of it, it must fit a body of 1 MiB
KEEP_ABSENT = 3_600.0  # seconds a series that has gone keeps its column, for most come back
NO_VALUE = float("nan")


class Layout:
    """The columns of the rows now. A series that is absent for a while is sent as NaN, and needs no new schema."""

    __slots__ = ("_absent", "_columns", "_known", "dropped", "payload", "schema")

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._known: frozenset[str] = frozenset()
        self._absent: dict[str, float] = {}
        self.payload = b""
        self.schema = 0
        self.dropped = 0

    @property
    def columns(self) -> int:
        """How many series a row has."""
        return len(self._columns)

    def row(self, readings: Mapping[str, float], now: float) -> list[float]:
        """Return the values in the order of the columns; `schema` and `payload` tell what they are."""
        if not readings.keys() <= self._known:
            self._extend(readings, now)
        if len(readings) != len(self._columns) or self._absent:
            self._mark_absent(readings, now)
        return [readings.get(series, NO_VALUE) for series in self._columns]

    def _mark_absent(self, readings: Mapping[str, float], now: float) -> None:
        gone = self._known - readings.keys()
        if 2 * len(gone) > len(self._columns):
            self._absent = {}
            self._use(list(readings))
            return
        self._absent = {series: self._absent.get(series, now) for series in gone}

    def _extend(self, readings: Mapping[str, float], now: float) -> None:
        kept = [
            series
            for series in self._columns
            if series in readings or now - self._absent.get(series, now) < KEEP_ABSENT
        ]
        known = set(kept)
        self._use(kept + [series for series in readings if series not in known])

    def _use(self, columns: list[str]) -> None:
        """Take these columns, as far as they are no more than a collector takes."""
        size = 0
        taken = 0
        for series in columns[:MAX_COLUMNS]:
            size += len(series.encode()) + 1
            if size > MAX_TEXT:
                break
            taken += 1
        self.dropped = len(columns) - taken
        self._columns = columns[:taken]
        # Those that found no room are known too, or each reading would lay the columns anew.
        self._known = frozenset(columns)
        self.payload = wire.encode_schema(self._columns)
        self.schema = wire.schema_id(self.payload)
