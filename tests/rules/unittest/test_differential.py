"""Our runner against the real promtool: the same verdict on the same files, and the same alerts and samples.

Generated files expect nothing, so that promtool tells all that it got. Their series have a sample every 7.001 s and
are looked at every minute: no sample lies on the edge of a range or of the lookback, which Prometheus 2 includes on
the left and Prometheus 3 and we do not.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from rules.template.constants import unquote
from rules.unittest import FileReport, run
from tests.rules import promtool
from tests.rules.soak import times

CASES = sorted((Path(__file__).parent / "cases").glob("*.test.yml"))

_ALERT = re.compile(r"alertname: (\w+), time: (\w+), line: \d+\n((?:        .*\n?)*)")
_EXPR = re.compile(r"expr: ('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"), time: (\w+), line: \d+\n((?:        .*\n?)*)")


@promtool.needs_promtool
@pytest.mark.parametrize("path", CASES, ids=lambda p: p.name)
def test_cases_are_judged_alike(path: Path) -> None:
    theirs, [ours] = promtool.judge(path), run([path]).files
    assert (theirs.code, bool(ours.failures)) == ((1, True) if "fail" in path.name else (0, False)), (
        theirs.errors + str(ours)
    )
    assert set(got(ours)) == set(theirs.got)


@promtool.needs_promtool
@pytest.mark.parametrize("seed", range(times(300)))
def test_generated_files_give_the_same_alerts_and_samples(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    (tmp_path / "rules.yml").write_text(json.dumps(rule_file(source)))
    (tmp_path / "test.yml").write_text(json.dumps(unit_tests(source)))
    theirs, [ours] = promtool.judge(tmp_path / "test.yml"), run([tmp_path / "test.yml"]).files
    reference = {asked: frozenset(map(rounded, found)) for asked, found in theirs.got.items()}
    assert got(ours) == reference, theirs.errors + str(ours)
    assert theirs.code == bool(ours.failures)


def got(report: FileReport) -> dict[tuple[str, str], frozenset[str]]:
    """What our runner got where nothing was expected."""
    text = "\n".join(report.failures) + "\n"
    found = {}
    for name, time, lines in _ALERT.findall(text):
        found[name, time] = _surplus(lines)
    for expr, time, lines in _EXPR.findall(text):
        found[_unrepr(expr), time] = _surplus(lines)
    return found


def _surplus(lines: str) -> frozenset[str]:
    shown = [line.strip().removeprefix("+ surplus: ") for line in lines.splitlines() if "+ surplus: " in line]
    return frozenset(map(rounded, shown))


def rounded(sample: str) -> str:
    """A sample with its value to ten digits: sums are made in another order here. An alert stays as it is."""
    if sample.endswith("}"):
        return sample
    labels, _, value = sample.rpartition(" ")
    return f"{labels} {float(value):.9e}"


def _unrepr(text: str) -> str:
    return unquote('"' + text[1:-1].replace("\\'", "'").replace('"', '\\"') + '"') if text[0] == "'" else unquote(text)


EXPRS = [
    "cpu > 50",
    "cpu > 50 and mem < 30",
    "cpu - on (instance, job) mem > 10",
    "sum by (job) (cpu) > 80",
    "rate(reqs[3m]) > 0.5",
    "max_over_time(cpu[150s]) > 90",
    "avg without (instance) (cpu) < 60",
    "absent(mem)",
    'absent(cpu{instance="a"})',
    "job:cpu:sum > 100",
    "job:cpu:sum / 2 < 40",
    'ALERTS{alertname="A0",alertstate="firing"}',
    "count by (alertstate) (ALERTS)",
    "time() - ALERTS_FOR_STATE > 120",
    "changes(cpu[5m30s]) > 5",
    "cpu unless on (instance) mem > 40",
    "cpu > bool 50 == 1",
    "topk(1, cpu) > 40",
    "predict_linear(mem[4m30s], 600) < 0",
    "vector(1) and on () cpu > 95",
    "cpu offset 90s > 70",
    "label_replace(cpu, 'short', '$1', 'instance', '(.).*') > 60",
    "quantile(0.5, cpu) > 40",
    "increase(reqs[130s]) > 20",
]
TEXTS = [
    "{{ $value | humanize }}",
    "{{ $labels.instance }} of {{ $labels.job }}",
    '{{ printf "%.3f" $value }}',
    '{{ range query "sum(cpu)" }}{{ .Value | printf "%.6g" }}{{ end }}',
    "{{ if gt $value 60.0 }}high{{ else }}low{{ end }} {{ $externalLabels.region }}",
    "{{ $labels.nosuch.thing }}",
]


def rule_file(source: random.Random) -> dict[str, Any]:
    """A rule file with two groups."""
    alerts = []
    for number in range(5):
        alert: dict[str, Any] = {"alert": f"A{number}", "expr": source.choice(EXPRS)}
        if source.random() < 0.6:
            alert["for"] = source.choice(["1m", "2m", "90s", "5m"])
        if source.random() < 0.3:
            alert["keep_firing_for"] = source.choice(["1m", "3m"])
        if source.random() < 0.5:
            alert["labels"] = {"severity": "page", "text": source.choice([*TEXTS[:2], TEXTS[4]])}
        alert["annotations"] = {f"t{i}": text for i, text in enumerate(source.sample(TEXTS, 3))}
        alerts.append(alert)
    recording = {"record": "job:cpu:sum", "expr": "sum by (job) (cpu)", "labels": {"made": "yes"}}
    return {"groups": [{"name": "one", "rules": [recording, *alerts[:3]]}, {"name": "two", "rules": alerts[3:]}]}


def unit_tests(source: random.Random) -> dict[str, Any]:
    """A test file that expects nothing."""
    series = [
        {"series": f'{metric}{{instance="{instance}",job="{job}"}}', "values": values(source, metric)}
        for metric in ("cpu", "mem", "reqs")
        for instance, job in (("a", "web"), ("b", "web"), ("c", "db"))
        if source.random() < 0.9
    ]
    minutes = [f"{source.randint(0, 18)}m" for _ in range(3)]
    exprs = [{"expr": source.choice(EXPRS), "eval_time": m} for m in {*minutes, f"{source.randint(61, 900)}s"}]
    exprs += [{"expr": expr, "eval_time": m} for m in minutes[:2] for expr in ("ALERTS", "job:cpu:sum")]
    alerts = [{"alertname": f"A{n}", "eval_time": m} for n in range(5) for m in set(minutes)]
    test = {
        "interval": "7s1ms",
        "input_series": series,
        "alert_rule_test": alerts,
        "promql_expr_test": [dict(pair) for pair in {tuple(e.items()) for e in exprs}],
        "external_labels": {"region": "north"},
    }
    return {"rule_files": ["rules.yml"], "group_eval_order": ["one", "two"], "tests": [test]}


def values(source: random.Random, metric: str) -> str:
    """Some values in the notation, with steps, gaps, stale markers and NaN."""
    items = ["_"]  # a sample at 0 s would lie on the edge of the lookback at 5 min
    for _ in range(source.randint(3, 8)):
        start, step, count = source.randint(0, 100), source.choice([1, 2, -1, 0.5, -3]), source.randint(1, 40)
        kinds = [f"{start}x{count}", f"{start}{step:+}x{count}", f"{start}", "_", f"_x{count}", "stale"]
        items.append(source.choice(kinds if metric != "reqs" else [f"{start}+{abs(step)}x{count}", "_", f"_x{count}"]))
    return " ".join(items)
