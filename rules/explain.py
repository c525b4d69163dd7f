"""Why an alert fires for a device, or does not: each part of its expression with its value now."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.alerts import Alert
from rules.durations import format_duration
from rules.engine import Engine
from rules.errors import EvaluationError
from rules.labels import NAME, Labels
from rules.promql import Vector
from rules.promql.explain import Explained
from rules.source import Source
from rules.template import gofmt
from rules.thresholds import METRIC as THRESHOLD
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
    at: float
    alerts: tuple[Alert, ...]
    parts: tuple[Explained, ...]

    def __str__(self) -> str:
        head = [f"{self.alert}  ({self.file}:{self.line}, group {self.group})", f"  {self.verdict}"]
        head += [f"  {self._progress(alert)}" for alert in self.alerts]
        head += [f"  {_threshold(own, value)}" for own, value in self.thresholds()]
        if self.error:
            head.append(f"  the rule failed: {self.error}")
        return "\n".join([*head, "", *(line for part in self.parts for line in _lines(part))])

    def thresholds(self) -> list[tuple[Labels, float]]:
        """The thresholds of the device's own that the expression reads."""
        found: dict[Labels, float] = {}
        for part in self.parts:
            if isinstance(part.value, Vector):
                found |= {own: value for own, value in part.value if own.get(NAME) == THRESHOLD}
        return list(found.items())

    def to_json(self) -> dict[str, Any]:
        """The same for programs; times in Unix seconds."""
        return {
            "alert": self.alert,
            "group": self.group,
            "file": self.file,
            "line": self.line,
            "expr": self.expr,
            "for": self.hold,
            "keep_firing_for": self.keep,
            "health": self.health,
            "error": self.error,
            "verdict": self.verdict,
            "at": self.at,
            "alerts": [
                {"state": a.state, "labels": dict(a.labels), "value": gofmt.number(a.value), "active_at": a.active_at}
                for a in self.alerts
            ],
            "thresholds": [{"labels": dict(own), "value": gofmt.number(value)} for own, value in self.thresholds()],
            "parts": [_part(part) for part in self.parts],
        }

    def _progress(self, alert: Alert) -> str:
        """Since when an alert holds, and how much of `for` is over."""
        since = datetime.datetime.fromtimestamp(alert.active_at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        told = f"{alert.state} since {since}, value {gofmt.number(alert.value)}"
        if alert.state != "pending":
            return told
        return f"{told}: {format_duration(round(self.at - alert.active_at))} of {format_duration(self.hold)}"


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
                at=now,
                verdict=_verdict(alerts, work.rule.hold, _there(work.source, match, now)),
                alerts=alerts,
                parts=tuple(work.source.query.explain(now, match)),
            )
        )
    return found


def _threshold(own: Labels, value: float) -> str:
    severity = f" ({own['severity']})" if "severity" in own else ""
    return f"its own threshold {own.get('name', '')}{severity}: {gofmt.number(value)}"


def _part(part: Explained) -> dict[str, Any]:
    value: Any = part.value
    if isinstance(value, Vector):
        value = [{"labels": dict(own), "value": gofmt.number(number)} for own, number in list(value)[:_SHOWN]]
    elif isinstance(value, float):
        value = gofmt.number(value)
    return {"expr": part.text, "depth": part.depth, "value": value, "total": part.total, "error": part.error}


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
