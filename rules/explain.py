"""Why an alert fires for a device, or does not: each part of its expression with its value now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.alerts import Alert
from rules.durations import format_duration
from rules.engine import Engine
from rules.errors import EvaluationError
from rules.promql import Vector
from rules.promql.explain import Explained
from rules.source import Source
from rules.template import gofmt
from rules.unittest.show import metric

_SHOWN = 8  # elements of a part that are printed


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is to be said of one rule and one device; `parts` from the whole expression inwards."""

    alert: str
    group: str
    file: str
    line: int
    expr: str
    hold: float
    keep: float
    health: str
    error: str
    verdict: str  # one sentence
    alerts: tuple[Alert, ...]
    parts: tuple[Explained, ...]

    def __str__(self) -> str:
        head = [f"{self.alert}  ({self.file}:{self.line}, group {self.group})", f"  {self.verdict}"]
        head += [f"  {a.state} since {a.active_at:.0f}: {gofmt.number(a.value)}" for a in self.alerts]
        if self.error:
            head.append(f"  the rule failed: {self.error}")
        return "\n".join([*head, "", *(line for part in self.parts for line in _lines(part))])


def explain(engine: Engine, alert: str, match: Mapping[str, str], now: float) -> list[Explanation]:
    """An explanation for each rule of that name; empty if there is none.

    `match` are labels that tell the device, such as `{"instance": "srv-1.hq.acme"}`.
    """
    found = []
    for work, status in engine.alerting():
        if work.rule.name != alert:
            continue
        alerts = tuple(a for a in work.alerts() if all(a.labels.get(n) == t for n, t in match.items()))
        found.append(
            Explanation(
                alert=alert,
                group=status.group,
                file=status.file,
                line=status.line,
                expr=work.rule.expr,
                hold=work.rule.hold,
                keep=work.rule.keep,
                health=status.health,
                error=status.last_error,
                verdict=_verdict(alerts, work.rule.hold, _there(work.source, match, now)),
                alerts=alerts,
                parts=tuple(work.source.query.explain(now, match)),
            )
        )
    return found


def _there(source: Source, match: Mapping[str, str], now: float) -> bool:
    """Whether there is any data to judge for the device."""
    try:
        present = source.present(now)
    except EvaluationError:
        return True
    return any(all(labels.get(n, t) == t for n, t in match.items()) for labels in present)


def _verdict(alerts: tuple[Alert, ...], hold: float, there: bool) -> str:
    states = {a.state for a in alerts}
    if "firing" in states:
        return "It fires: the condition holds" + (f" for {format_duration(hold)} and more." if hold else ".")
    if "stale" in states:
        return "It fired, and there is no data now that would tell whether it still should."
    if "pending" in states:
        return f"It is pending: the condition holds, but not for {format_duration(hold)} yet."
    if not there:
        return "It does not fire: there is no data that it could judge."
    return "It does not fire: there is data, and the condition does not hold."


def _lines(part: Explained) -> list[str]:
    indent = "  " * (part.depth + 1)
    head = f"{indent}{' '.join(part.text.split())}"
    value = part.value
    if value is None:
        return [f"{head}  =  error: {part.error}"]
    if isinstance(value, str):
        return [f"{head}  =  {gofmt.quote(value)}"]
    if isinstance(value, float):
        return [f"{head}  =  {gofmt.number(value)}"]
    return [head + _elsewhere(value, part.total), *_elements(value, indent + "    ")]


def _elsewhere(value: Vector, total: int) -> str:
    if len(value):
        return ""
    return f"  =  nothing here, {total} elsewhere" if total else "  =  nothing"


def _elements(value: Vector, indent: str) -> list[str]:
    shown = [f"{indent}{metric(labels)} {gofmt.number(number)}" for labels, number in list(value)[:_SHOWN]]
    return shown if len(value) <= _SHOWN else [*shown, f"{indent}… and {len(value) - _SHOWN} more"]
