"""What can go wrong with the history.

HistoryError
├── HistoryFullError     no room on the disk, or too much held back for want of it; nothing is lost, try again later
└── CorruptChunkError    bytes that are no chunk; readers count it and go on
"""


class HistoryError(Exception):
    """The history cannot do what it was asked for."""


class HistoryFullError(HistoryError):
    """There is no room; what was taken is still held, and the next flush that finds room writes it."""


class CorruptChunkError(HistoryError):
    """A chunk's bytes are damaged."""
