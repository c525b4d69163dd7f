"""Whether systemd's journal has new errors: a few bytes of its file, instead of asking journalctl all the time.

A journal file holds one object for each distinct field, and that object counts its entries. The objects PRIORITY=0 to
PRIORITY=3 are found by the file's hash table once; then the count is a read of 8 bytes.
Source: https://systemd.io/JOURNAL_FILE_FORMAT/ (header, hash tables, DATA objects, SipHash-2-4 keyed by the file's id).
"""

from __future__ import annotations

import os
import struct

HEADER = struct.Struct("<8sIIB7x16s16s16s16sQQQQ")
KEYED_HASH, COMPACT = 4, 16
DATA_OBJECT = 1
FIELDS = tuple(f"PRIORITY={level}".encode() for level in range(4))
MASK = (1 << 64) - 1
MAX_CHAIN = 10_000
FOLDERS = ("/var/log/journal", "/run/log/journal")


class Journal:
    """The system's journal; `count` is of all errors and worse in its current file."""

    __slots__ = ("_file", "_folder", "_id", "_offsets", "_path")

    def __init__(self, root: str, machine: str) -> None:
        self._folder = next((path for path in (f"{root}{one}/{machine}" for one in FOLDERS) if os.path.isdir(path)), "")
        self._path = self._folder + "/system.journal"
        self._file = -1
        self._id = (0, 0)
        self._offsets: dict[bytes, int] = {}

    def count(self) -> int | None:
        """Return the number, or None if there is no journal that can be read."""
        try:
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) != self._id:  # it was rotated
                self.close()
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._id = (found.st_dev, found.st_ino)
            return sum(self._entries(field) for field in FIELDS)
        except (OSError, struct.error, ValueError):
            return None

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self._id = (0, 0)
        self._offsets = {}

    def _entries(self, field: bytes) -> int:
        at = self._offsets.get(field) or self._find(field)
        if not at:
            return 0
        self._offsets[field] = at
        entries: int = struct.unpack("<Q", self._read(at + 56, 8))[0]
        return entries

    def _find(self, field: bytes) -> int:
        """Return where the object of a field lies, 0 if there is none yet."""
        head = HEADER.unpack(self._read(0, HEADER.size))
        if head[0] != b"LPKSHHRH" or not head[2] & KEYED_HASH:
            raise ValueError("no journal whose hash is known")
        table, size = struct.unpack("<QQ", self._read(104, 16))
        if size < 16:
            raise ValueError("no hash table")
        digest = siphash24(field, head[4])
        at: int = struct.unpack("<Q", self._read(table + digest % (size // 16) * 16, 8))[0]
        payload = 72 if head[2] & COMPACT else 64
        for _ in range(MAX_CHAIN):
            if not at:
                return 0
            kind, _, length, found, following = struct.unpack("<BB6xQQQ", self._read(at, 32))
            if kind != DATA_OBJECT:
                raise ValueError("not the object that it should be")
            if found == digest and length == payload + len(field) and self._read(at + payload, len(field)) == field:
                return at
            at = following
        return 0

    def _read(self, at: int, size: int) -> bytes:
        data = os.pread(self._file, size, at)
        if len(data) < size:
            raise ValueError("cut off")
        return data


def siphash24(data: bytes, key: bytes) -> int:
    """Return SipHash-2-4 (Aumasson and Bernstein, 2012)."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(-(len(data) + 1) % 8) + bytes((len(data) & 255,))
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    digest: int = v[0] ^ v[1] ^ v[2] ^ v[3]
    return digest


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        for a, b, c, d, left, right in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
            v[a] = (v[a] + v[b]) & MASK
            v[b] = _rotate(v[b], left) ^ v[a]
            v[a] = _rotate(v[a], 32)
            v[c] = (v[c] + v[d]) & MASK
            v[d] = _rotate(v[d], right) ^ v[c]


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & MASK
