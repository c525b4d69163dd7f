"""The protocol between an agent and a collector; `docs/protocol.md` tells it for other languages.

Everything that is sent, spooled or logged is a *frame*: a fixed header with a checksum, then a payload. An agent's
spool is a file of frames, the body of a push is frames, and the collector's log is frames too, so that a batch is
encoded once, on the machine where it was read.

All integers are little-endian; times are Unix seconds as float64.

    offset  size  field
         0     4  magic    b"WDF1"
         4     1  kind     see Kind
         5     3  zero
         8     4  length   of the payload, in bytes
        12     4  crc32    of the header with this field zero, then of the payload (polynomial of zlib)
        16     8  epoch    identity of the sender's spool: its creation, in Unix milliseconds
        24     8  seq      1, 2, 3 ... within the epoch; 0 for a frame outside the sequence (a schema)
        32        payload
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import namedtuple

# Not the one of typing: the agent does without that module, which would cost it 1.7 MiB.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final, NamedTuple

    class Frame(NamedTuple):
        """A frame inside a buffer: the payload is `buffer[start:end]`, the whole frame `buffer[start - 32:end]`."""

        kind: int
        epoch: int
        seq: int
        start: int
        end: int

    class Rows(NamedTuple):
        """The head of a ROWS payload; `times` and `values` are offsets in the buffer that holds the frame."""

        schema: int
        rows: int
        columns: int
        times: int
        values: int
else:
    Frame = namedtuple("Frame", "kind epoch seq start end")
    Rows = namedtuple("Rows", "schema rows columns times values")

MAGIC: Final = b"WDF1"
HEADER: Final = struct.Struct("<4sB3xIIQQ")
ROWS_HEADER: Final = struct.Struct("<QII")  # schema id, rows, columns

MAX_PAYLOAD: Final = 1 << 20
MAX_BODY: Final = 4 << 20
MAX_ROWS: Final = 1_000
MAX_COLUMNS: Final = 20_000
MAX_SERIES_LENGTH: Final = 4_096
MAX_LABELS: Final = 32

CONTENT_TYPE: Final = "application/x-watchdesk"
TIME_HEADER: Final = "Watchdesk-Time"  # the sender's clock, on a push; the collector's, on every answer

_CRC_AT: Final = struct.calcsize("<4sB3xI")
_CRC: Final = struct.Struct("<I")
_ZERO_CRC: Final = bytes(_CRC.size)


class Kind:
    """What a frame's payload is; plain integers, for they are compared for every batch."""

    HELLO: Final = 1  # JSON, see docs/protocol.md
    SCHEMA: Final = 2  # UTF-8 text, a series in Prometheus notation on each line; seq is 0
    ROWS: Final = 3  # ROWS_HEADER, float64 times[rows], float64 values[rows][columns]; NaN = no value now
    EVENT: Final = 4  # JSON, see docs/protocol.md; seq is 1 or more
    GOODBYE: Final = 5  # JSON {"reason": str, "ttl": seconds}
    PART: Final = 15  # only in the collector's log: ROWS of series that came by Prometheus' remote write
    GROUP: Final = 17  # only in the collector's log: records that were made durable together (16 had no lengths)


class WireError(ValueError):
    """Bytes that are not what the protocol says; `path` tells where, such as `$.frames[2].rows`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def encode(kind: int, epoch: int, seq: int, payload: bytes) -> bytes:
    """Return a whole frame.

    Raises:
        WireError: the payload is longer than MAX_PAYLOAD (groups of the log excepted).
    """
    if len(payload) > MAX_PAYLOAD and kind != Kind.GROUP:
        raise WireError("$.length", f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD}")
    head = HEADER.pack(MAGIC, kind, len(payload), 0, epoch, seq)
    crc = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((head[:_CRC_AT], _CRC.pack(crc), head[_CRC_AT + 4 :], payload))


def seal(frame: bytearray) -> None:
    """Write the checksum into a frame whose field for it is zero."""
    _CRC.pack_into(frame, _CRC_AT, zlib.crc32(frame))


def encode_rows(schema: int, times: list[float], rows: list[list[float]]) -> bytes:
    """Return the payload of a ROWS frame: `rows[i]` are the values at `times[i]`, all of one length."""
    columns = len(rows[0])
    flat = [value for row in rows for value in row]
    return ROWS_HEADER.pack(schema, len(rows), columns) + struct.pack(f"<{len(times) + len(flat)}d", *times, *flat)


def read_frame(buffer: bytes | bytearray | memoryview, at: int = 0, limit: int = MAX_PAYLOAD) -> Frame | None:
    """Return the frame that starts at `at`, or None if there is no whole and sound one."""
    if at + HEADER.size > len(buffer):
        return None
    magic, kind, length, crc, epoch, seq = HEADER.unpack_from(buffer, at)
    start = at + HEADER.size
    end = start + length
    if magic != MAGIC or length > limit or end > len(buffer):
        return None
    head = bytes(buffer[at : at + _CRC_AT]) + _ZERO_CRC + bytes(buffer[at + _CRC_AT + 4 : start])
    if zlib.crc32(buffer[start:end], zlib.crc32(head)) != crc:
        return None
    return Frame(kind, epoch, seq, start, end)


def frames(body: bytes) -> list[Frame]:
    """Return the frames that `body` consists of, to its last byte.

    Raises:
        WireError: something in the body is no sound frame; nothing of it may be used.
    """
    found: list[Frame] = []
    at = 0
    while at < len(body):
        frame = read_frame(body, at)
        if frame is None:
            raise WireError(f"$.frames[{len(found)}]", f"no sound frame at byte {at}")
        found.append(frame)
        at = frame.end
    return found


def salvage(buffer: bytes, limit: int = MAX_PAYLOAD) -> Iterator[Frame | int]:
    """Yield the sound frames of a file that may be damaged, and between them the number of bytes that are none.

    A header whose bytes were changed makes the search go on at the next magic, so that one bad sector costs the
    frames on it and no more.
    """
    at = 0
    while at < len(buffer):
        frame = read_frame(buffer, at, limit)
        if frame is not None:
            yield frame
            at = frame.end
            continue
        following = at
        while True:
            following = buffer.find(MAGIC, following + 1)
            if following < 0:
                following = len(buffer)
                break
            if read_frame(buffer, following, limit) is not None:
                break
        yield following - at
        at = following


def read_rows(body: bytes, frame: Frame, path: str = "$") -> Rows:
    """Return the head of a ROWS frame whose size agrees with it.

    Raises:
        WireError: too many rows or columns, none at all, or a length that does not fit them.
    """
    if frame.end - frame.start < ROWS_HEADER.size:
        raise WireError(path, "no room for the head of the rows")
    schema, rows, columns = ROWS_HEADER.unpack_from(body, frame.start)
    if not 0 < rows <= MAX_ROWS:
        raise WireError(f"{path}.rows", f"{rows} rows, 1 to {MAX_ROWS} are taken")
    if not 0 < columns <= MAX_COLUMNS:
        raise WireError(f"{path}.columns", f"{columns} columns, 1 to {MAX_COLUMNS} are taken")
    times = frame.start + ROWS_HEADER.size
    values = times + 8 * rows
    if values + 8 * rows * columns != frame.end:
        raise WireError(f"{path}.length", f"not the size of {rows} rows of {columns} columns")
    return Rows(schema, rows, columns, times, values)


def encode_schema(series: list[str]) -> bytes:
    """Return the payload of a SCHEMA frame; its columns are the series, in this order."""
    return "\n".join(series).encode()


def schema_id(payload: bytes) -> int:
    """Return the number by which rows name a schema: the first 8 bytes of the SHA-256 of its payload."""
    return int.from_bytes(hashlib.sha256(payload).digest()[:8], "little")


def read_schema(payload: bytes, path: str = "$") -> list[tuple[str, dict[str, str]]]:
    """Return a schema's series as (metric name, labels).

    Raises:
        WireError: not UTF-8, no series or too many, one that is not in Prometheus notation, or one that is there twice.
    """
    try:
        lines = payload.decode().split("\n")
    except UnicodeDecodeError as error:
        raise WireError(path, "not UTF-8") from error
    if len(lines) > MAX_COLUMNS:
        raise WireError(path, f"{len(lines)} series, at most {MAX_COLUMNS}")
    series = [read_series(line, f"{path}[{number}]") for number, line in enumerate(lines)]
    if len({(name, frozenset(labels.items())) for name, labels in series}) < len(series):
        raise WireError(path, "a series is there twice")
    return series


def format_series(name: str, labels: Mapping[str, str]) -> str:
    """Return a series in the notation of the Prometheus text format: `name{a="b",c="d"}`."""
    if not labels:
        return name
    return name + "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def read_series(text: str, path: str = "$") -> tuple[str, dict[str, str]]:
    """Return (metric name, labels) of a series in Prometheus notation.

    Raises:
        WireError: not that notation, longer than MAX_SERIES_LENGTH, or with more than MAX_LABELS labels.
    """
    if len(text) > MAX_SERIES_LENGTH:
        raise WireError(path, f"a series of {len(text)} characters, at most {MAX_SERIES_LENGTH}")
    name, brace, rest = text.partition("{")
    if not _is_name(name, colon=True):
        raise WireError(path, "the metric name is not valid")
    if not brace:
        return name, {}
    labels: dict[str, str] = {}
    while not rest.startswith("}"):
        label, quote, rest = rest.partition('="')
        if not quote or not _is_name(label) or label == "__name__" or label in labels:
            raise WireError(path, "a label name is not valid")
        value, rest = _quoted(rest, path)
        if value:  # Prometheus takes an empty label as absent
            labels[label] = value
        if rest.startswith(","):
            rest = rest[1:]
        elif not rest.startswith("}"):
            raise WireError(path, "a comma or a closing brace is missing")
    if rest != "}":
        raise WireError(path, "text after the closing brace")
    if len(labels) > MAX_LABELS:
        raise WireError(path, f"{len(labels)} labels, at most {MAX_LABELS}")
    return name, labels


def _quoted(text: str, path: str) -> tuple[str, str]:
    """Return the value up to the closing quote, without its escapes, and what follows it."""
    parts: list[str] = []
    while True:
        quote = text.find('"')
        slash = text.find("\\")
        if quote < 0:
            raise WireError(path, "a label value does not end")
        if slash < 0 or quote < slash:
            parts.append(text[:quote])
            return "".join(parts), text[quote + 1 :]
        escaped = text[slash + 1 : slash + 2]
        if escaped not in ("\\", '"', "n"):
            raise WireError(path, "an unknown escape in a label value")
        parts.append(text[:slash] + ("\n" if escaped == "n" else escaped))
        text = text[slash + 2 :]


def _is_name(text: str, *, colon: bool = False) -> bool:
    """Whether the text is a metric name (with colons) or a label name of Prometheus."""
    if colon:
        text = text.replace(":", "_")
    return text.isascii() and text.isidentifier()
