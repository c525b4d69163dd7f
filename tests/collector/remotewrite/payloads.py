"""Writes the messages of remote write, field by field, as its specification gives them; not with our own decoder."""

import struct
from collections.abc import Iterable, Mapping, Sequence

import cramjam

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
V1 = "application/x-protobuf"
V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

Labels = Mapping[str, str]
Sample = tuple[float, int]  # value, milliseconds


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    content = bytearray()
    while number > 127:
        content.append(number & 127 | 128)
        number >>= 7
    return bytes([*content, number])


def part(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(value: float, time: int) -> bytes:
    """A sample; as Go writes it, without what is zero."""
    content = b"" if struct.pack("<d", value) in (bytes(8), b"\0" * 7 + b"\x80") else b"\x09" + struct.pack("<d", value)
    return part(2, content + (b"\x10" + varint(time) if time else b""))


def labels1(labels: Labels) -> bytes:
    return b"".join(part(1, part(1, name.encode()) + part(2, value.encode())) for name, value in sorted(labels.items()))


def request1(series: Iterable[tuple[Labels, Sequence[Sample]]], more: bytes = b"") -> bytes:
    """A prometheus.WriteRequest, not compressed."""
    return (
        b"".join(part(1, labels1(labels) + b"".join(sample(*one) for one in samples)) for labels, samples in series)
        + more
    )


def request2(series: Iterable[tuple[Labels, Sequence[Sample]]], *, metadata: bool = True, more: bytes = b"") -> bytes:
    """An io.prometheus.write.v2.Request, not compressed; `more` goes into each series."""
    symbols: dict[str, int] = {"": 0}
    content = b""
    for labels, samples in series:
        words = [word for pair in sorted(labels.items()) for word in pair]
        refs = b"".join(varint(symbols.setdefault(word, len(symbols))) for word in words)
        body = part(1, refs) + b"".join(sample(*one) for one in samples) + more
        if metadata:
            helped = symbols.setdefault("Some help.", len(symbols))
            body += part(5, b"\x08\x02" + b"\x18" + varint(helped))
        content += part(5, body)
    return b"".join(part(4, symbol.encode()) for symbol in symbols) + content


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def host(name: str, metric: str = "node_load1", **labels: str) -> dict[str, str]:
    """The labels of a series as node_exporter's are."""
    return {"__name__": metric, "instance": f"{name}:9100", "job": "node", **labels}
