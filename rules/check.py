"""What is to be said of rule files before they are used: errors, warnings, and what each rule costs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import promql_parser

from rules.durations import format_duration
from rules.errors import RuleFileError
from rules.files import Group, Rule, parse
from rules.promql.source import parse as parse_expression
from rules.source import looked_at

Level = Literal["error", "warning", "note"]

OWN: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
_SAMPLE: Final = 16  # bytes of a sample in a window
_INTERVAL: Final = 10.0  # seconds between the samples of an agent


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be said of a line."""

    level: Level
    file: str
    line: int
    message: str
    alike: bool = False  # two rules of one name and labels: what promtool calls lint

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.level}: {self.message}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a rule needs: operators, selectors, the longest window in seconds.

    `series` are those that it looks at, `memory` the bytes of its windows at a sample every ten seconds; both are 0
    where it is not known how many series a metric has.
    """

    file: str
    group: str
    name: str
    line: int
    operators: int
    selectors: int
    window: float
    series: int
    memory: int

    def __str__(self) -> str:
        text = f"{self.name}: {self.operators} operators on {self.series:,} series of {self.selectors} selectors"
        return f"{text}, windows of {format_duration(self.window)}, {self.memory:,} bytes" if self.window else text


@dataclass(frozen=True, slots=True)
class Checked:
    """All that was found; `ok` if nothing is an error."""

    findings: tuple[Finding, ...]
    costs: tuple[Cost, ...]
    groups: int
    rules: int

    @property
    def ok(self) -> bool:
        """Whether the files can be loaded."""
        return not any(f.level == "error" for f in self.findings)

    def __str__(self) -> str:
        summary = f"{self.rules} rules in {self.groups} groups" if self.ok else "refused"
        return "\n".join([*map(str, self.findings), summary])

    def to_json(self) -> str:
        """The same as one JSON object."""
        found: dict[str, Any] = {"ok": self.ok, "groups": self.groups, "rules": self.rules}
        found["findings"] = [
            {"level": f.level, "file": f.file, "line": f.line, "message": f.message} for f in self.findings
        ]
        found["costs"] = [asdict(c) for c in self.costs]
        return json.dumps(found, ensure_ascii=False)


def check(files: Mapping[str, str], known_metrics: Collection[str] | Mapping[str, int] | None = None) -> Checked:
    """Check rule files, name to text.

    `known_metrics` are the names that somebody sends, or a mapping of them to their numbers of series; what a rule
    reads besides is warned of. Without it nothing is.
    """
    groups: list[Group] = []
    findings: list[Finding] = []
    for name, text in files.items():
        try:
            groups += parse(text, name)
        except RuleFileError as error:
            findings += (Finding("error", e.file, e.line, e.message) for e in (error, *error.others))
    sizes = known_metrics if isinstance(known_metrics, Mapping) else {}
    costs = [_cost(group, rule, sizes) for group in groups for rule in group.rules]
    findings += _alike(groups)
    if known_metrics is not None:
        findings += _unsent(groups, known_metrics)
    findings.sort(key=lambda f: (f.file, f.line))
    return Checked(tuple(findings), tuple(costs), len(groups), len(costs))


def _alike(groups: list[Group]) -> Iterator[Finding]:
    """Rules of one file with the same name and labels, which promtool warns of."""
    seen: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], tuple[str, int]] = {}
    for group in groups:
        for rule in group.rules:
            key = (group.file, rule.kind, rule.name, tuple(sorted(rule.labels.items())))
            if key in seen:
                file, line = seen[key]
                message = f"{rule.name} has the name and the labels of the rule at {file}:{line}"
                yield Finding("warning", group.file, rule.line, message, alike=True)
            seen.setdefault(key, (group.file, rule.line))


def _unsent(groups: list[Group], known: Collection[str]) -> Iterator[Finding]:
    recorded = {rule.name for group in groups for rule in group.rules if rule.kind == "record"}
    for group in groups:
        for rule in group.rules:
            for name in sorted(looked_at(parse_expression(rule.expr).tree)[0]):
                if name not in known and name not in recorded and name not in OWN:
                    message = f"{rule.name} reads {name}, which nobody sends and no rule records"
                    yield Finding("warning", group.file, rule.line, message)


def _cost(group: Group, rule: Rule, sizes: Mapping[str, int]) -> Cost:
    tree = parse_expression(rule.expr).tree
    operators, selectors, window = 0, 0, 0.0
    inside: list[float] = []

    def enter(node: Any) -> None:
        nonlocal operators, selectors, window
        operators += 1
        if isinstance(node, promql_parser.VectorSelector):
            selectors += 1
        span = getattr(node, "range", None)
        if span is not None:
            inside.append(span.total_seconds())
            window = max(window, sum(inside))

    def leave(node: Any) -> None:
        if getattr(node, "range", None) is not None:
            inside.pop()

    promql_parser.walk(tree, enter, leave)
    series = sum(sizes.get(name, 0) for name in looked_at(tree)[0])
    memory = round(series * window / _INTERVAL * _SAMPLE)
    return Cost(group.file, group.name, rule.name, rule.line, operators, selectors, window, series, memory)
