"""Every series of the recent days: compact, exact, in chunks; a consumer of the collector's log.

    history = History(data / "history")
    consume the log from history.position():
        ref = history.schema(number, series)                  # of each schema
        history.append(device, ref, times, values)            # of each rows record
        history.flush(position, now)                          # of each group of records
    history.flush(position, now, everything=True)             # at a stop
    history.close()

`History.read` gives what was appended to this moment; a `Reader` in another process gives what was flushed.
"""

from collector.history.errors import CorruptChunkError, HistoryError, HistoryFullError
from collector.history.gathering import Matcher, metric
from collector.history.history import History
from collector.history.reader import Reader
from collector.history.resolution import Steps
from collector.history.schema import SchemaRef

__all__ = [
    "CorruptChunkError",
    "History",
    "HistoryError",
    "HistoryFullError",
    "Matcher",
    "Reader",
    "SchemaRef",
    "Steps",
    "metric",
]
