"""The collector's log: what arrived, durable before it is acknowledged; everything else is a consumer of it."""

from collector.log.reader import Reader
from collector.log.record import Record, RecordKind
from collector.log.writer import Log

__all__ = ["Log", "Reader", "Record", "RecordKind"]
