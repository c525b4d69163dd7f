"""The collector's log: what arrived, durable before it is acknowledged; everything else is a consumer of it."""

from collector.log.block import Block
from collector.log.partitions import MergedReader
from collector.log.reader import Reader
from collector.log.record import Record, RecordKind
from collector.log.tail import Tail
from collector.log.writer import Log

__all__ = ["Block", "Log", "MergedReader", "Reader", "Record", "RecordKind", "Tail"]
