"""How close results must come: as promtool's own tests of its fuzzy comparison have it."""

from __future__ import annotations

import math

import pytest

from rules.promql.source import parse
from rules.unittest.closeness import closeness

LOW, HIGH = 2.9999999999999996, 3.0000000000000004  # the neighbours of 3
FAR = 2.9999999999999987


@pytest.mark.parametrize("expr", ["a", "a + 1", "max(a)", "-a", "a * on (x) b > 5", "clamp_min(a, 2)", "a or ALERTS"])
def test_what_is_calculated_alike_must_be_the_same(expr: str) -> None:
    tree = parse(expr).tree
    exact, fuzzy = (closeness(tree, {"a", "b"}, fuzzy=fuzzy) for fuzzy in (False, True))
    assert exact(3.0, 3.0)
    assert not exact(LOW, 3.0)
    assert not exact(HIGH, 3.0)
    assert fuzzy(LOW, 3.0)
    assert fuzzy(HIGH, 3.0)
    assert not fuzzy(FAR, 3.0)
    assert exact(math.inf, math.inf)


@pytest.mark.parametrize("expr", ["sum(a)", "rate(a[5m])", "a / on () sum(b)", "rec", '{x="y"}', "a ^ 0.5", "exp(a)"])
def test_sums_may_differ_in_the_last_bits(expr: str) -> None:
    for fuzzy in (False, True):
        close = closeness(parse(expr).tree, {"a", "b"}, fuzzy=fuzzy)
        assert close(FAR, 3.0)
        assert not close(3.000001, 3.0)
