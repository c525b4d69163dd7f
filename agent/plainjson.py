"""The little JSON that a running agent needs; the json module would cost it 1.6 MB (re and enum).

Written: objects of strings and numbers. Read: any document of the collector's answers, small and shallow.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 16
_SPACE = " \t\n\r"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"true": True, "false": False, "null": None}


def dumps(members: Mapping[str, object]) -> bytes:
    """Return an object of strings, finite numbers, truths, None and such objects as JSON."""
    return _value(members).encode()


def _value(value: object) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quote(key)}:{_value(member)}" for key, member in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float) and abs(value) < float("inf"):
        return repr(value)
    raise TypeError(f"{type(value).__name__} is not written")


def _quote(text: str) -> str:
    out = [char if " " <= char <= "~" and char not in '"\\' else _escape(char) for char in text]
    return '"' + "".join(out) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def loads(text: str) -> object:
    """Return the document as dict, list, str, float, int (of less than 20 digits), bool or None.

    Raises:
        ValueError: it is not JSON, or nested deeper than MAX_DEPTH.
    """
    value, at = _read(text, _skip(text, 0), 0)
    if _skip(text, at) != len(text):
        raise ValueError(f"text after the document at {at}")
    return value


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _read(text: str, at: int, depth: int) -> tuple[object, int]:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    char = text[at : at + 1]
    if char == '"':
        return _string(text, at + 1)
    if char == "{":
        return _object(text, _skip(text, at + 1), depth)
    if char == "[":
        return _list(text, _skip(text, at + 1), depth)
    return _word(text, at)


def _string(text: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    while True:
        char = text[at : at + 1]
        if not char or char < " ":
            raise ValueError(f"a string does not end at {at}")
        at += 1
        if char == '"':
            # Two escaped halves become one character; a half without its other is replaced.
            return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace"), at
        if char == "\\":
            char, at = _unescape(text, at)
        out.append(char)


def _unescape(text: str, at: int) -> tuple[str, int]:
    char = text[at : at + 1]
    if char == "u":
        digits = text[at + 1 : at + 5]
        if len(digits) != 4 or not digits.isascii() or not digits.isalnum():
            raise ValueError(f"not four hexadecimal digits at {at}")
        return chr(int(digits, 16)), at + 5
    if char not in _ESCAPES or not char:
        raise ValueError(f"an unknown escape at {at}")
    return _ESCAPES[char], at + 1


def _object(text: str, at: int, depth: int) -> tuple[dict[str, object], int]:
    members: dict[str, object] = {}
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise ValueError(f"a name is missing at {at}")
        name, at = _string(text, at + 1)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"a colon is missing at {at}")
        members[name], at = _read(text, _skip(text, at + 1), depth + 1)
        at, ended = _after(text, _skip(text, at), "}")
        if ended:
            return members, at


def _list(text: str, at: int, depth: int) -> tuple[list[object], int]:
    items: list[object] = []
    if text[at : at + 1] == "]":
        return items, at + 1
    while True:
        item, at = _read(text, at, depth + 1)
        items.append(item)
        at, ended = _after(text, _skip(text, at), "]")
        if ended:
            return items, at


def _after(text: str, at: int, end: str) -> tuple[int, bool]:
    char = text[at : at + 1]
    if char == end:
        return at + 1, True
    if char != ",":
        raise ValueError(f"a comma is missing at {at}")
    return _skip(text, at + 1), False


def _word(text: str, at: int) -> tuple[object, int]:
    """Return a number, true, false or null."""
    end = at
    while end < len(text) and (text[end].isalnum() or text[end] in "+-."):
        end += 1
    word = text[at:end]
    if word in _CONSTANTS:
        return _CONSTANTS[word], end
    if not _is_number(word):
        raise ValueError(f"no value at {at}")
    return (int(word) if len(word) < 20 and word.lstrip("-").isdigit() else float(word)), end


def _is_number(word: str) -> bool:
    """Whether it is a number by JSON's grammar, which is narrower than Python's."""
    mantissa, exponent_sign, exponent = word.replace("E", "e", 1).partition("e")
    whole, point, fraction = mantissa.removeprefix("-").partition(".")
    return (
        _are_digits(whole)
        and (whole == "0" or whole[0] != "0")
        and (not point or _are_digits(fraction))
        and (not exponent_sign or _are_digits(exponent[1:] if exponent[:1] in ("+", "-") else exponent))
    )


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
