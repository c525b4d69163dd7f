"""Reading the Prometheus text format, of others' files and exporters: bounded, and each line on its own."""

from __future__ import annotations

from agent.wire import WireError, format_series, read_series

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE = 8_192
OWN_LABELS = ("instance", "job", "customer", "site", "class", "role")  # the collector's; it would rename them


def samples(text: str, most: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield (name, labels, value) of the lines that are samples, at most so many.

    Raises:
        ValueError: a line is no sample; what came before it is good.
    """
    found = 0
    for line in text.split("\n"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if len(line) > MAX_LINE:
            raise ValueError("a line that is too long")
        name, labels, value = _sample(line)
        if value != value:  # NaN is no value now
            continue
        found += 1
        if found > most:
            return
        yield name, labels, value


def _sample(line: str) -> tuple[str, dict[str, str], float]:
    end = line.rfind("}")
    series, rest = (line[: end + 1], line[end + 1 :]) if end >= 0 else (line.split()[0], line[len(line.split()[0]) :])
    words = rest.split()
    if not 1 <= len(words) <= 2:  # a value, and perhaps a time
        raise ValueError("no value")
    series = series.replace(" {", "{")
    try:
        name, labels = read_series(series)
    except WireError:  # spaces and a last comma are allowed between labels
        tight = series.replace('", ', '",').replace("{ ", "{").replace(",}", "}").replace('" }', '"}')
        name, labels = read_series(tight)
    return name, labels, float(words[0].replace("Inf", "inf"))


def series_of(name: str, labels: dict[str, str]) -> str:
    """Return the series as it is sent."""
    return format_series(name, labels)
