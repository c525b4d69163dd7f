"""The functions that Go's templates have of their own (go: text/template/funcs.go)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from rules.template import gofmt
from rules.template.values import Args, Duration, QueryResult, Time, truth, type_name


class CallError(Exception):
    """A function that cannot do what it was asked, in Go's words."""


_BAD: Final = "incompatible types for comparison"
_HTML: Final = str.maketrans({"\0": "�", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_JS: Final = str.maketrans(
    {"\\": r"\\", "'": r"\'", '"': r"\"", "<": r"\u003C", ">": r"\u003E", "&": r"\u0026", "=": r"\u003D"}
)


def _kind(value: Any) -> str:
    """What Go calls the basic kind of a value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "bool"
    for python, kind in ((int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, python):
            return kind
    return "int" if isinstance(value, Duration) else "other"


def _comparable(value: Any) -> None:
    if isinstance(value, Mapping | QueryResult):
        raise CallError(f"non-comparable type {gofmt.text(value)}: {type_name(value)}")


def _equal(first: Any, *others: Any) -> bool:
    _comparable(first)
    if not others:
        raise CallError("missing argument for comparison")
    for other in others:
        if _kind(first) != _kind(other):
            raise CallError(_BAD)
        _comparable(other)
        if first is other if _kind(first) == "other" and not isinstance(first, Time) else first == other:
            return True
    return False


def _different(first: Any, other: Any) -> bool:
    return not _equal(first, other)


def _less(first: Any, other: Any) -> bool:
    kinds = _kind(first), _kind(other)
    if "other" in kinds or "none" in kinds:
        raise CallError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise CallError(_BAD)
    if kinds[0] == "bool":
        raise CallError("invalid type for comparison")
    if isinstance(first, str):
        return bool(first.encode("utf-8", "surrogatepass") < other.encode("utf-8", "surrogatepass"))
    return bool(first < other)


def _less_or_equal(first: Any, other: Any) -> bool:
    return _less(first, other) or _equal(first, other)


def _greater(first: Any, other: Any) -> bool:
    return not _less_or_equal(first, other)


def _greater_or_equal(first: Any, other: Any) -> bool:
    return not _less(first, other)


def _length(value: Any) -> int:
    if value is None:
        raise CallError("len of nil pointer")
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping | QueryResult):
        return len(value)
    raise CallError(f"len of type {type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise CallError("index of untyped nil")
    for key in keys:
        if value is None:
            raise CallError("index of nil pointer")
        value = _at(value, key)
    return value


def _at(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        if not isinstance(key, str):
            wrong = (
                "is nil; should be of type string" if key is None else f"has type {type_name(key)}; should be string"
            )
            raise CallError(f"value {wrong}")
        return value.get(key, None if isinstance(value, Args) else "")
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogatepass")
        return raw[_offset(key, len(raw) - 1)]
    if isinstance(value, QueryResult):
        return value[_offset(key, len(value) - 1)]
    raise CallError(f"can't index item of type {type_name(value)}")


def _offset(key: Any, last: int) -> int:
    if key is None:
        raise CallError("cannot index slice/array with nil")
    if isinstance(key, bool) or not isinstance(key, int):
        raise CallError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= last:
        raise CallError(f"index out of range: {key}")
    return key


def _slice(value: Any, *bounds: Any) -> Any:
    if value is None:
        raise CallError("slice of untyped nil")
    if len(bounds) > 3:
        raise CallError(f"too many slice indexes: {len(bounds)}")
    if not isinstance(value, str | QueryResult):
        raise CallError(f"can't slice item of type {type_name(value)}")
    if isinstance(value, str) and len(bounds) == 3:
        raise CallError("cannot 3-index slice a string")
    size = _length(value)
    offsets = [_offset(b, size) for b in bounds]
    low = offsets[0] if offsets else 0
    high = offsets[1] if len(offsets) > 1 else size
    if low > high:
        raise CallError(f"invalid slice index: {low} > {high}")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")[low:high].decode("utf-8", "replace")
    return QueryResult(value[low:high])


def _text(values: tuple[Any, ...]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else gofmt.sprint(values)


def _js(text: str) -> str:
    out = text.translate(_JS)
    return "".join(c if c >= " " and c.isprintable() else f"\\u{ord(c):04X}" for c in out)


def _call(value: Any, *_: Any) -> Any:
    raise CallError("call of nil" if value is None else f"non-function of type {type_name(value)}")


def _plain(call: Callable[..., Any]) -> Callable[..., Any]:
    """Without what the functions of Prometheus work with."""
    return lambda _, *values: call(*values)


Builtin = tuple[tuple[str, ...], Callable[..., Any], str | None]
BUILTINS: Final[Mapping[str, Builtin]] = {
    "and": (("value",), _plain(lambda *values: values[-1]), "value"),
    "or": (("value",), _plain(lambda *values: values[-1]), "value"),
    "not": (("value",), _plain(lambda value: not truth(value)), None),
    "len": (("value",), _plain(_length), None),
    "index": (("value",), _plain(_index), "value"),
    "slice": (("value",), _plain(_slice), "value"),
    "call": (("value",), _plain(_call), "value"),
    "print": ((), _plain(lambda *values: gofmt.sprint(values)), "any"),
    "printf": (("string",), _plain(lambda form, *values: gofmt.sprintf(form, values)), "any"),
    "println": ((), _plain(lambda *values: gofmt.sprintln(values)), "any"),
    "html": ((), _plain(lambda *values: _text(values).translate(_HTML)), "any"),
    "js": ((), _plain(lambda *values: _js(_text(values))), "any"),
    "urlquery": ((), _plain(lambda *values: quote_plus(_text(values), safe="~")), "any"),
    "eq": (("value",), _plain(_equal), "value"),
    "ne": (("value", "value"), _plain(_different), None),
    "lt": (("value", "value"), _plain(_less), None),
    "le": (("value", "value"), _plain(_less_or_equal), None),
    "gt": (("value", "value"), _plain(_greater), None),
    "ge": (("value", "value"), _plain(_greater_or_equal), None),
}
