"""Go's package fmt, for the values of templates (go: fmt/print.go, fmt/format.go, strconv/ftoa.go)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rules.template.values import Args, Data, Duration, Named, QueryResult, Sample, Time, type_name

_VERB: Final = re.compile(
    r"%([-+# 0]*)(\[\d+\]|)(\*|\d+|)(?:(\.)(\[\d+\]|)(\*|\d+|)|)(\[\d+\]|)([^\d.*]|\Z)", re.DOTALL
)
_TOO_LARGE: Final = 1_000_000
_INTEGER_BASES: Final = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_NAMED_ESCAPES: Final = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


def text(value: Any) -> str:
    """A value as %v prints it."""
    return _plain(value, "", False)


def sprint(values: Sequence[Any]) -> str:
    """Go's Sprint: a space between operands when neither is a string."""
    out: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out.append(" ")
        out.append(text(value))
    return "".join(out)


def sprintln(values: Sequence[Any]) -> str:
    """Go's Sprintln."""
    return " ".join(map(text, values)) + "\n"


def number(value: float, verb: str = "g", precision: int = -1, *, sharp: bool = False) -> str:
    """A float in Go's form; precision -1 is the shortest that reads back."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if verb in "xX":
        return _hexadecimal(value, verb)
    if verb == "b":
        return _binary(value)
    if verb in "fF":
        return _shortest_fixed(value) if precision < 0 else f"{value:{'#' if sharp else ''}.{precision}f}"
    if precision >= 0:
        return f"{value:{'#' if sharp else ''}.{precision}{verb}}"
    digits, exponent = _shortest(value)
    scientific = verb in "eE" or exponent < -4 or exponent >= 6
    made = _scientific(digits, exponent, value) if scientific else _shortest_fixed(value)
    return made.upper() if verb in "EG" else made


def _shortest(value: float) -> tuple[str, int]:
    """The shortest digits that read back, and the exponent of the first."""
    head, _, tail = repr(abs(value)).partition("e")
    whole, _, fraction = head.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0", 0
    if tail:
        exponent = int(tail) + len(whole) - 1
    else:
        exponent = len(whole) - 1 if whole != "0" else -(len(fraction) - len(fraction.lstrip("0")) + 1)
    return digits.rstrip("0") or "0", exponent


def _scientific(digits: str, exponent: int, value: float) -> str:
    sign = "-" if math.copysign(1, value) < 0 else ""
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _shortest_fixed(value: float) -> str:
    digits, exponent = _shortest(value)
    sign = "-" if math.copysign(1, value) < 0 else ""
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return sign + whole + ("." + fraction if fraction else "")


def _hexadecimal(value: float, verb: str) -> str:
    head, _, exponent = value.hex().partition("p")
    mantissa = head.rstrip("0").rstrip(".") if "." in head else head
    power = int(exponent)
    out = f"{mantissa}p{'-' if power < 0 else '+'}{abs(power):02d}"
    return out.upper() if verb == "X" else out


def _binary(value: float) -> str:
    """The mantissa as a whole number, and the power of two."""
    mantissa, exponent = math.frexp(value)
    power = max(exponent - 53, -1074)
    return f"{int(math.ldexp(mantissa, exponent - power))}p{power:+d}" if value else "0p-1074"


def quote(value: str) -> str:
    """Go's strconv.Quote."""
    out = ['"']
    for c in value:
        point = ord(c)
        if c in '"\\':
            out.append("\\" + c)
        elif point in _NAMED_ESCAPES:
            out.append(_NAMED_ESCAPES[point])
        elif c.isprintable():
            out.append(c)
        elif point < 0x20 or point == 0x7F:
            out.append(f"\\x{point:02x}")
        else:
            out.append(f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}")
    out.append('"')
    return "".join(out)


class _Spec:
    """The flags, width and precision of one verb."""

    __slots__ = ("flags", "precision", "verb", "width")

    def __init__(self, flags: str, verb: str) -> None:
        self.flags = flags
        self.verb = verb
        self.width = -1
        self.precision = -1

    def pad(self, body: str, *, zeros: bool = False) -> str:
        """Fill up to the width; zeros go behind the sign."""
        missing = self.width - len(body)
        if missing <= 0:
            return body
        if "-" in self.flags:
            return body + " " * missing
        if zeros and "0" in self.flags:
            signed = body[:1] in ("+", "-", " ")
            return body[:signed] + "0" * missing + body[signed:]
        return " " * missing + body


def sprintf(form: str, values: Sequence[Any]) -> str:
    """Go's Sprintf, with its notes on verbs that do not fit (`%!d(string=x)`, `%!v(MISSING)`, `%!(EXTRA …)`)."""
    out: list[str] = []
    at, used, reordered = 0, 0, False
    while (start := form.find("%", at)) >= 0:
        out.append(form[at:start])
        match = _VERB.match(form, start)
        if match is None:
            out.append("%!(NOVERB)")
            at = len(form)
            break
        at = match.end()
        piece, used, jumped = _verb(match, values, used)
        reordered = reordered or jumped
        out.append(piece)
    out.append(form[at:])
    if not reordered and used < len(values):
        extra = ", ".join("<nil>" if v is None else f"{type_name(v)}={text(v)}" for v in values[used:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _verb(match: re.Match[str], values: Sequence[Any], used: int) -> tuple[str, int, bool]:
    flags, first, width, dot, second, precision, third, verb = match.groups(default="")
    spec = _Spec(flags, verb)
    notes: list[str] = []
    used, jumped = _index(first, used)
    spec.width, used = _size(width, values, used, notes, "%!(BADWIDTH)")
    if spec.width < -1:
        spec.flags, spec.width = spec.flags + "-", -spec.width
    if dot:
        used, again = _index(second, used)
        jumped = jumped or again
        spec.precision, used = _size(precision, values, used, notes, "%!(BADPREC)")
        spec.precision = max(spec.precision, 0) if not notes else spec.precision
    used, again = _index(third, used)
    jumped = jumped or again
    if not verb:
        return "".join(notes) + "%!(NOVERB)", used, jumped
    if verb == "%":
        return "".join(notes) + "%", used, jumped
    if used >= len(values) or used < 0:
        word = "BADINDEX" if jumped else "MISSING"
        return "".join(notes) + f"%!{verb}({word})", used, jumped
    return "".join(notes) + formatted(spec, values[used]), used + 1, jumped


def _index(bracket: str, used: int) -> tuple[int, bool]:
    return (int(bracket[1:-1][:9]) - 1, True) if bracket else (used, False)


def _size(given: str, values: Sequence[Any], used: int, notes: list[str], bad: str) -> tuple[int, int]:
    """A width or precision, from the format or from an operand; -1 for none."""
    if given != "*":
        size = int(given[:9]) if given else -1
        if size > _TOO_LARGE:
            notes.append("%!(NOVERB)")
            size = -1
        return size, used
    operand = values[used] if 0 <= used < len(values) else None
    if isinstance(operand, bool) or not isinstance(operand, int) or abs(operand) > _TOO_LARGE:
        notes.append(bad)
        return -1, used + 1
    return operand, used + 1


def formatted(spec: _Spec, value: Any) -> str:
    """One operand under one verb."""
    verb = spec.verb
    if verb == "T":
        return spec.pad(type_name(value))
    if value is None:
        return spec.pad("<nil>") if verb == "v" else f"%!{verb}(<nil>)"
    body = None
    if isinstance(value, bool):
        body = spec.pad("true" if value else "false") if verb in "tv" else None
    elif isinstance(value, Named | Time | Duration) and verb in "vsq":
        body = _string(spec, text(value))
    elif isinstance(value, int):
        body = _integer(spec, value)
    elif isinstance(value, float):
        body = _float(spec, value)
    elif isinstance(value, str):
        body = _string(spec, value)
    elif verb in "vs":
        body = spec.pad(_plain(value, verb, "+" in spec.flags))
    if body is None:
        return f"%!{verb}({type_name(value)}={text(value)})"
    return body


def _integer(spec: _Spec, value: int) -> str | None:
    verb = "d" if spec.verb == "v" else spec.verb
    if verb in _INTEGER_BASES:
        digits = format(abs(value), _INTEGER_BASES[verb])
        if spec.precision >= 0:
            digits = "" if spec.precision == 0 and value == 0 else digits.rjust(spec.precision, "0")
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb, "") if "#" in spec.flags else ""
        prefix = "0o" if verb == "O" else prefix
        sign = "-" if value < 0 else "+" if "+" in spec.flags else " " if " " in spec.flags else ""
        return spec.pad(sign + prefix + digits, zeros=spec.precision < 0)
    if verb in "eEfFgG":
        return None
    if verb in "cqU":
        point = value if 0 <= value < 0x110000 else 0xFFFD
        return spec.pad({"c": chr(point), "q": "'" + quote(chr(point))[1:-1] + "'", "U": f"U+{value:04X}"}[verb])
    return None


def _float(spec: _Spec, value: float) -> str | None:
    verb = "g" if spec.verb == "v" else spec.verb
    if verb not in "beEfFgGxX":
        return None
    precision = 6 if spec.precision < 0 and verb in "eEfF" else spec.precision
    body = number(value, verb, precision, sharp="#" in spec.flags)
    if body[0] not in "+-":
        body = ("+" if "+" in spec.flags and spec.verb != "v" else " " if " " in spec.flags else "") + body
    if body == "+Inf" and " " in spec.flags and "+" not in spec.flags:
        body = " Inf"
    return spec.pad(body, zeros=math.isfinite(value))


def _string(spec: _Spec, value: str) -> str | None:
    cut = value if spec.precision < 0 else value[: spec.precision]
    match spec.verb:
        case "v" if "#" in spec.flags:
            return spec.pad(quote(cut))
        case "v" | "s":
            return spec.pad(cut, zeros=True)
        case "q":
            raw = "#" in spec.flags and "`" not in cut and cut.isprintable()
            return spec.pad(f"`{cut}`" if raw else quote(cut), zeros=True)
        case "x" | "X":
            return spec.pad(value.encode("utf-8", "surrogatepass").hex(*((" ",) if " " in spec.flags else ())))
    return None


def _plain(value: Any, verb: str, names: bool) -> str:
    """%v of anything; maps in the order of their keys."""
    if value is None:
        return "<nil>"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Named):
        return value.name
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        inner = " ".join(f"{key}:{_element(value[key], verb, names)}" for key in sorted(value))
        return f"map[{inner}]"
    if isinstance(value, QueryResult):
        return "[" + " ".join(_plain(s, verb, names) for s in value) + "]"
    if isinstance(value, Sample | Data):
        parts = [(n, getattr(value, n)) for n in value.__slots__]
        return "{" + " ".join((f"{n}:" if names else "") + _plain(v, verb, names) for n, v in parts) + "}"
    return str(value)


def _element(value: Any, verb: str, names: bool) -> str:
    return _plain(value, verb, names) if not isinstance(value, Args) else text(value)
