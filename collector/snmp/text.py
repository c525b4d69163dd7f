"""Strings of devices as text: any encoding, any length, no control characters."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from collector.snmp.oid import Oid, decode
from collector.snmp.pdu import Missing, Value

MAX_TEXT: Final = 200
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_GB2312: Final = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xf7][\xa1-\xfe])*")


def text(value: Value) -> str:
    """Return a value as a label may hold it; of a string that is not UTF-8, what it most probably means."""
    if value is None or isinstance(value, Missing):
        return ""
    if isinstance(value, Oid):
        return decode(value)
    if not isinstance(value, bytes):
        return str(value)
    content = value.rstrip(b"\0")[: 4 * MAX_TEXT]
    found = _decoded(content)
    if not found.isprintable():
        found = "".join(char if unicodedata.category(char)[0] != "C" else " " for char in found)
    return " ".join(found.split())[:MAX_TEXT]


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if error.start > 4 * MAX_TEXT - 4:  # cut in the middle of a character
            return content[: error.start].decode()
    if _GB2312.fullmatch(content):
        try:
            return content.decode("gb2312")
        except UnicodeDecodeError:
            pass
    return content.decode("latin-1")


def number(value: Value) -> float:
    """Return the first number in a string, or the number that it is; NaN for none."""
    if isinstance(value, int | float):
        return float(value)
    found = _NUMBER.search(text(value))
    return float(found[0]) if found else float("nan")


def mac(content: bytes) -> str:
    """Return a MAC address as people write it; empty if it is none."""
    return ":".join(f"{byte:02x}" for byte in content) if len(content) == 6 else ""
