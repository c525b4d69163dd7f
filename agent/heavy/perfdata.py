"""What a Nagios plugin says of itself in numbers: `'label'=value[unit];[warn];[crit];[min];[max]`, spaces between.

Source: the Monitoring Plugins' development guidelines, "Performance data".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_VALUES = 100
MAX_LABEL = 64
# unit → (base unit, factor); the plugins count kilobytes by 1024
UNITS = {
    "": ("", 1.0), "s": ("seconds", 1.0), "ms": ("seconds", 1e-3), "us": ("seconds", 1e-6), "ns": ("seconds", 1e-9),
    "%": ("percent", 1.0), "B": ("bytes", 1.0), "KB": ("bytes", 1024.0), "MB": ("bytes", 1024.0**2),
    "GB": ("bytes", 1024.0**3), "TB": ("bytes", 1024.0**4), "c": ("total", 1.0),
}  # fmt: skip


class Value:
    """One value; the thresholds are None where there is none, or a range that is more than a number."""

    __slots__ = ("critical", "label", "unit", "value", "warning")

    def __init__(self, label: str, value: float, unit: str, warning: float | None, critical: float | None) -> None:
        self.label = label
        self.value = value
        self.unit = unit
        self.warning = warning
        self.critical = critical


def split_output(text: str) -> tuple[str, str]:
    """Return (what people read, performance data) of a plugin's output, whose later lines may have both too."""
    said: list[str] = []
    data: list[str] = []
    behind = False
    for number, line in enumerate(text.splitlines()):
        if behind:  # after a | in a later line all that follows is data
            data.append(line)
            continue
        words, bar, numbers = line.partition("|")
        said.append(words.strip())
        if bar:
            data.append(numbers)
            behind = number > 0
    return "\n".join(said).strip(), " ".join(data)


def perfdata(text: str) -> list[Value]:
    """Return the values that are in notation; others, such as U for unknown, are left out."""
    found: list[Value] = []
    for label, rest in _pairs(text):
        fields = rest.split(";")
        number, unit = _number_and_unit(fields[0])
        if number is None or unit not in UNITS or len(found) >= MAX_VALUES:
            continue
        base, factor = UNITS[unit]
        limits = [_plain(fields[at]) if len(fields) > at else None for at in (1, 2)]
        scaled = [None if limit is None else limit * factor for limit in limits]
        found.append(Value(label[:MAX_LABEL], number * factor, base, scaled[0], scaled[1]))
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text[at] == "'":
            label, at = _quoted(text, at + 1)
            if text[at : at + 1] != "=":
                return
        else:
            equals = text.find("=", at)
            if equals < 0:
                return
            label, at = text[at:equals], equals
        end = next((place for place in range(at, len(text)) if text[place].isspace()), len(text))
        yield label, text[at + 1 : end]
        at = end


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Return a label in quotes, in which '' stands for one, and where it ends."""
    parts = []
    while (end := text.find("'", at)) >= 0:
        parts.append(text[at:end])
        if text[end + 1 : end + 2] != "'":
            return "'".join(parts), end + 1
        at = end + 2
    return "", len(text)


def _number_and_unit(text: str) -> tuple[float | None, str]:
    end = len(text)
    while end and not (text[end - 1].isdigit() or text[end - 1] == "."):
        end -= 1
    return _plain(text[:end]), text[end:]


def _plain(text: str) -> float | None:
    if not text or set(text) - set("0123456789.-+eE"):
        return None
    try:
        return float(text)
    except ValueError:
        return None
