"""Performance counters of Windows that psutil does not tell, through pdh.dll."""

from __future__ import annotations

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

# path, in English on every Windows → (metric, whether the raw count is wanted)
COUNTERS = {
    r"\System\Processor Queue Length": ("watchdesk_processor_queue_length", False),
    r"\Memory\Pages/sec": ("watchdesk_memory_swap_page_operations_total", True),
    r"\Memory\Free System Page Table Entries": ("watchdesk_memory_free_system_page_table_entries", False),
}
FORMAT_DOUBLE = 0x200


@probe("counters")
def counters(host: Host) -> Iterator[tuple[str, float]]:
    """PDH counters, by their English names.

    Metrics:
        watchdesk_processor_queue_length (gauge): Threads that wait for a processor.
        watchdesk_memory_swap_page_operations_total (counter): Pages read from and written to disk.
        watchdesk_memory_free_system_page_table_entries (gauge): Free page table entries.
    """
    query = host.memory.get("counters")
    if not isinstance(query, Query):
        query = host.memory["counters"] = Query()
    found = list(query.read())
    if not found:
        raise NoData("pdh")
    yield from found


class Query:
    """A query of PDH that is kept open, for opening one takes longer than reading it."""

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        load = getattr(ctypes, "WinDLL", None)  # on Windows alone
        self._pdh = load("pdh.dll") if load is not None else None
        self._query = ctypes.c_void_p()
        self._counters: list[tuple[str, bool, object]] = []
        if self._pdh is None or self._pdh.PdhOpenQueryW(None, 0, ctypes.byref(self._query)):
            return
        for path, (metric, raw) in COUNTERS.items():
            counter = ctypes.c_void_p()
            if not self._pdh.PdhAddEnglishCounterW(self._query, path, 0, ctypes.byref(counter)):
                self._counters.append((metric, raw, counter))

    def read(self) -> Iterator[tuple[str, float]]:
        """Yield (metric, value) of the counters that this Windows has."""
        if self._pdh is None or not self._counters or self._pdh.PdhCollectQueryData(self._query):
            return
        for metric, raw, counter in self._counters:
            value = self._raw(counter) if raw else self._formatted(counter)
            if value is not None:
                yield metric, value

    def _formatted(self, counter: object) -> float | None:
        ctypes = self._ctypes
        # PDH_FMT_COUNTERVALUE: a status, then a union that is aligned to 8 bytes.
        place = (ctypes.c_uint64 * 2)()
        if self._pdh is None or self._pdh.PdhGetFormattedCounterValue(counter, FORMAT_DOUBLE, None, place):
            return None
        return float(ctypes.c_double.from_buffer(place, 8).value)

    def _raw(self, counter: object) -> float | None:
        ctypes = self._ctypes
        # PDH_RAW_COUNTER: status, FILETIME, then FirstValue at 16.
        place = (ctypes.c_uint64 * 6)()
        if self._pdh is None or self._pdh.PdhGetRawCounterValue(counter, None, place):
            return None
        return float(ctypes.c_int64.from_buffer(place, 16).value)
