"""Tokens of PromQL, with their places, and the values of strings and numbers as Prometheus reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rules.errors import PromQLError

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
  | (?P<number>0[xX][0-9a-fA-F_]+(?![\w.]) | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?(?![\w.]))
  | (?P<duration>(?:\d+(?:ms|[smhdwy]))+(?!\w))
  | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
  | (?P<op>=~|!~|==|!=|>=|<=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_PART: Final = re.compile(r"(\d+)(ms|[smhdwy])")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_SIMPLE: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression: `kind` is string, number, duration, word, or op for every other character."""

    kind: str
    text: str
    at: int


def tokens(expr: str) -> list[Token]:
    """Return the tokens of an expression, without space and comments.

    Raises:
        PromQLError: a string that does not end.
    """
    found: list[Token] = []
    at = 0
    brackets = 0
    while at < len(expr):
        match = _TOKEN.match(expr, at)
        assert match is not None and match.lastgroup is not None  # noqa: S101, PT018 - the last alternative takes all
        kind, text = match.lastgroup, match.group()
        if kind == "word" and brackets and ":" in text:  # the colon of a subquery, not of a name
            text = text[: text.index(":")] or ":"
            kind = "word" if text != ":" else "op"
        if kind == "op":
            brackets += {"[": 1, "]": -1}.get(text, 0)
            if text in "\"'`":
                raise PromQLError("a string that does not end", at)
        if kind != "space":
            found.append(Token(kind, text, at))
        at += len(text)
    return found


def string_value(token: Token) -> str:
    """Return what a string literal stands for: Go's escapes in double and single quotes, none in backquotes.

    Raises:
        PromQLError: an escape that there is not.
    """
    body = token.text[1:-1]
    if token.text[0] == "`":
        return body
    if "\\" not in body:
        return body
    raw = bytearray()
    end = 0
    for match in _ESCAPE.finditer(body):
        raw += body[end : match.start()].encode()
        raw += _unescaped(match, token)
        end = match.end()
    raw += body[end:].encode()
    return raw.decode("utf-8", "replace")


def _unescaped(match: re.Match[str], token: Token) -> bytes:
    byte, short, long, octal, other = match.groups()
    if byte is not None:
        return bytes([int(byte, 16)])
    if octal is not None and int(octal, 8) < 256:
        return bytes([int(octal, 8)])
    if short is not None or long is not None:
        point = int(short or long, 16)
        if point < 0x110000 and not 0xD800 <= point < 0xE000:
            return chr(point).encode()
    if other in _SIMPLE and not (other in "\"'" and other != token.text[0]):
        return _SIMPLE[other].encode()
    raise PromQLError(f"unknown escape {match.group()!r} in a string", token.at + 1 + match.start())


def number_value(text: str) -> float:
    """Return the value of a number: hexadecimal, octal with a leading 0, or decimal; `_` between digits is nothing."""
    digits = text.replace("_", "")
    if digits[:2].lower() == "0x":
        return float(int(digits, 16))
    if len(digits) > 1 and digits[0] == "0" and re.fullmatch("[0-7]+", digits):
        return float(int(digits, 8))
    return float(digits)


def duration_value(text: str) -> float:
    """Return a duration such as 1h30m in seconds."""
    return sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(text))


def quoted(text: str) -> str:
    """Return a string literal for this text, in a form that every PromQL parser reads."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{text}"'
