"""A schema as the history keeps it: small, for there may be one for each of ten thousand devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cramjam


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SchemaRef:
    """The number by which rows name a schema (64 bits, unsigned), how many series it has, and their texts, packed."""

    id: int
    columns: int
    packed: bytes = field(repr=False)

    @property
    def series(self) -> list[str]:
        """The texts of the series, in the order of the columns."""
        return unpack(self.packed)


def pack(series: Sequence[str]) -> bytes:
    """Return the texts of series as few bytes."""
    return bytes(cramjam.zstd.compress("\n".join(series).encode(), 6))


def unpack(packed: bytes) -> list[str]:
    """Return what `pack` was given."""
    return bytes(cramjam.zstd.decompress(packed)).decode().split("\n")
