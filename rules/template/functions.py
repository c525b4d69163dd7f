"""The functions that templates may call: Go's own and Prometheus' (prometheus: template/template.go)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

from rules.durations import parse_duration
from rules.template import builtins, humanize, regexps
from rules.template.builtins import CallError
from rules.template.hosts import strip_domain, strip_port
from rules.template.values import Args, Duration, Html, QueryResult, Sample, Time

__all__ = ["FUNCTIONS", "Around", "CallError", "Function"]

Query = Callable[[str, float], Sequence[tuple[Mapping[str, str], float]]]

_RESULT: Final = "template.queryResult"
_SAMPLE: Final = "*template.sample"
_NIL: Final = "runtime error: invalid memory address or nil pointer dereference"


@dataclass(slots=True)
class Around:
    """What the functions of one expansion work with; `query` raises CallError for a query that fails.

    `own_url` is what `externalURL` answers: None in promtool's tests, where Go stumbles over it.
    """

    now: float
    query: Query
    own_url: str | None
    invoke: Callable[[str, Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A function: the types of its parameters, of those that may repeat at the end, and what it does."""

    params: tuple[str, ...]
    call: Callable[..., Any]
    rest: str | None = None

    def param(self, index: int) -> str:
        """The type of a parameter by its place."""
        return self.params[index] if index < len(self.params) else self.rest or "any"


def _query(around: Around, expr: str) -> QueryResult:
    return QueryResult(Sample(labels, value) for labels, value in around.query(expr, around.now))


def _first(_: Around, result: QueryResult) -> Sample:
    if not result:
        raise CallError("first() called on vector with no elements")
    return result[0]


def _label(_: Around, name: str, sample: Sample | None) -> str:
    return _known(sample).Labels.get(name, "")


def _value(_: Around, sample: Sample | None) -> float:
    return _known(sample).Value


def _strvalue(_: Around, sample: Sample | None) -> str:
    return _known(sample).Labels.get("__value__", "")


def _known(sample: Sample | None) -> Sample:
    if sample is None:
        raise CallError(_NIL)
    return sample


def _own_url(around: Around) -> str:
    if around.own_url is None:
        raise CallError(_NIL)
    return around.own_url


def _sort_by_label(_: Around, label: str, result: QueryResult) -> QueryResult:
    result.sort(key=lambda s: s.Labels.get(label, "").encode("utf-8", "surrogatepass"))
    return result


def _args(_: Around, *values: Any) -> Args:
    return Args({f"arg{i}": value for i, value in enumerate(values)})


def _tmpl(around: Around, name: str, data: Any) -> Html:
    assert around.invoke is not None  # noqa: S101 - the machine sets it before it runs
    return Html(around.invoke(name, data))


def _to_time(_: Around, value: Any) -> Time:
    seconds = humanize.to_float(value)
    if math.isnan(seconds) or math.isinf(seconds):
        raise CallError("value is NaN or Inf")
    return humanize.to_time(seconds)


def _to_duration(_: Around, value: Any) -> Duration:
    return Duration(humanize.int64(humanize.to_float(value) * 1e9))


def _parse_duration(_: Around, text: str) -> float:
    try:
        return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)
    except ValueError as error:
        raise CallError(str(error)) from None


def _title(_: Around, text: str) -> str:
    """Go's strings.Title: a letter that follows no letter, digit or underscore is raised."""
    out, inside = [], False
    for c in text:
        out.append(c if inside else humanize.upper(c))
        inside = c == "_" or c.isalnum() or (ord(c) >= 128 and not c.isspace())
    return "".join(out)


def _link(tab: int) -> Callable[[Around, str], str]:
    return lambda _, expr: f"/graph?g0.expr={quote_plus(expr, safe='~')}&g0.tab={tab}"


def _map(change: Callable[[str], str]) -> Callable[[Around, str], str]:
    return lambda _, text: "".join(map(change, text))


def _number(change: Callable[[Any], str]) -> Function:
    return Function(("any",), lambda _, value: change(value))


FUNCTIONS: Final[Mapping[str, Function]] = {
    **{name: Function(params, call, rest) for name, (params, call, rest) in builtins.BUILTINS.items()},
    "query": Function(("string",), _query),
    "first": Function((_RESULT,), _first),
    "label": Function(("string", _SAMPLE), _label),
    "value": Function((_SAMPLE,), _value),
    "strvalue": Function((_SAMPLE,), _strvalue),
    "sortByLabel": Function(("string", _RESULT), _sort_by_label),
    "args": Function((), _args, "any"),
    "tmpl": Function(("string", "any"), _tmpl),
    "humanize": _number(humanize.humanize),
    "humanize1024": _number(humanize.humanize1024),
    "humanizeDuration": _number(humanize.humanize_duration),
    "humanizePercentage": _number(humanize.humanize_percentage),
    "humanizeTimestamp": _number(humanize.humanize_timestamp),
    "toTime": Function(("any",), _to_time),
    "toDuration": Function(("any",), _to_duration),
    "now": Function((), lambda around: around.now),
    "parseDuration": Function(("string",), _parse_duration),
    "title": Function(("string",), _title),
    "toUpper": Function(("string",), _map(humanize.upper)),
    "toLower": Function(("string",), _map(humanize.lower)),
    "match": Function(("string", "string"), lambda _, pattern, text: regexps.match(pattern, text)),
    "reReplaceAll": Function(("string",) * 3, lambda _, pattern, new, text: regexps.replace(pattern, new, text)),
    "safeHtml": Function(("string",), lambda _, text: Html(text)),
    "urlQueryEscape": Function(("string",), lambda _, text: quote_plus(text, safe="~")),
    "graphLink": Function(("string",), _link(0)),
    "tableLink": Function(("string",), _link(1)),
    "externalURL": Function((), _own_url),
    "pathPrefix": Function((), lambda around: urlsplit(_own_url(around)).path),
    "stripPort": Function(("string",), lambda _, host: strip_port(host)),
    "stripDomain": Function(("string",), lambda _, host: strip_domain(host)),
}
