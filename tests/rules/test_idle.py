"""Rules that can yield nothing: told by what there is, and never wrongly."""

from __future__ import annotations

import pytest

from rules.files import parse
from rules.idle import empty, idle
from rules.promql.source import parse as parse_expression

THERE = {"a", "b"}


@pytest.mark.parametrize(
    "expr",
    [
        "gone",
        "gone > 5",
        "5 < gone",
        "-gone",
        "(gone)",
        "a and gone",
        "gone and a",
        "a * gone",
        "gone unless a",
        "gone or also_gone",
        "sum by (x) (gone)",
        "topk(3, gone)",
        "rate(gone[5m])",
        "max_over_time((gone > 1)[5m:1m])",
        "label_replace(gone, 'x', '$1', 'y', '(.*)')",
        "histogram_quantile(0.9, rate(gone[5m]))",
        '{__name__="gone"}',
        "a > on (instance) group_left () gone",
        "timestamp(gone)",
    ],
)
def test_certain_to_be_empty(expr: str) -> None:
    assert empty(parse_expression(expr).tree, THERE)


@pytest.mark.parametrize(
    "expr",
    [
        "a",
        "a or gone",
        "gone or a",
        "a unless gone",
        "absent(gone)",
        "absent_over_time(gone[5m])",
        "vector(1)",
        "vector(scalar(gone))",
        "scalar(gone)",
        "1 + 1",
        "time() > bool 5",
        "hour()",
        '{job="x"}',
        '{__name__=~"gone|x"}',
        "count(a) > scalar(gone)",
        "a * on (x) b",
    ],
)
def test_may_yield_something(expr: str) -> None:
    assert not empty(parse_expression(expr).tree, THERE)


def test_what_a_rule_records_is_there_if_the_rule_is_at_work() -> None:
    text = """
groups:
- name: g
  rules:
  - {alert: Second, expr: 'second > 1'}
  - {record: second, expr: 'first * 2'}
  - {record: first, expr: 'a * 2'}
  - {record: never, expr: 'gone * 2'}
  - {alert: Never, expr: 'never > 1'}
  - {alert: OfAlerts, expr: 'ALERTS{alertname="Second"}'}
"""
    (group,) = parse(text, "r.yml")
    told = dict(zip([rule.name for rule in group.rules], idle(group.rules, THERE), strict=True))
    assert told == {
        "Second": False,
        "second": False,
        "first": False,
        "never": True,
        "Never": True,
        "OfAlerts": False,
    }
