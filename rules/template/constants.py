"""Go's literals: numbers, characters and quoted strings."""

from __future__ import annotations

import re
from typing import Final

_SIMPLE: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_ESCAPE: Final = re.compile(
    r"""\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\'"]))"""
)
_INT64: Final = 1 << 63


def parse_number(text: str) -> int | float:
    """An integer where it is written as one, else a float; ValueError, with Go's words, if neither fits."""
    lower = text.lower()
    if lower.endswith("i"):
        raise ValueError(f'complex numbers are not taken: "{text}"')
    floating = "p" in lower if "0x" in lower else any(c in lower for c in ".e")
    try:
        if floating:
            return float.fromhex(lower.replace("_", "")) if "0x" in lower else float(lower)
        value = _integer(lower)
    except (ValueError, OverflowError):
        raise ValueError(f'illegal number syntax: "{text}"') from None
    if not -_INT64 <= value < 2 * _INT64:
        raise ValueError(f'integer overflow: "{text}"')
    return value


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.removeprefix("+"))
    if digits[:2] in ("0x", "0o", "0b"):
        return sign * int(digits, 0)
    if len(digits) > 20:
        return _INT64 * 4  # out of range, and not worth parsing
    octal = len(digits) > 1 and digits[0] == "0"
    return sign * int(digits, 8 if octal else 10)


def parse_char(text: str) -> int:
    """The code point of a character constant."""
    value = _unescape(text[1:-1], "'")
    if not value:
        raise ValueError("invalid syntax")
    if len(value) != 1:
        raise ValueError(f"malformed character constant: {text}")
    return ord(value)


def unquote(text: str) -> str:
    """The value of a string literal; ValueError if an escape in it is none."""
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    return _unescape(text[1:-1], '"')


def _unescape(body: str, quote: str) -> str:
    if "\\" not in body:
        return body
    out = bytearray()
    at = 0
    while at < len(body):
        if body[at] != "\\":
            out += body[at].encode("utf-8", "surrogatepass")
            at += 1
            continue
        match = _ESCAPE.match(body, at)
        if match is None:
            raise ValueError("invalid syntax")
        out += _escape(match, quote)
        at = match.end()
    return out.decode("utf-8", "replace")


def _escape(match: re.Match[str], quote: str) -> bytes:
    hexa, octal, short, wide, simple = match.groups()
    if simple is not None:
        if simple in "'\"" and simple != quote:
            raise ValueError("invalid syntax")
        return bytes([_SIMPLE[simple]])
    if hexa is not None:
        return bytes([int(hexa, 16)])
    if octal is not None:
        if int(octal, 8) > 255:
            raise ValueError("invalid syntax")
        return bytes([int(octal, 8)])
    point = int(short or wide, 16)
    if point > 0x10FFFF or 0xD800 <= point < 0xE000:
        raise ValueError("invalid syntax")
    return chr(point).encode()
