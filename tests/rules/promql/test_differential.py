"""The same question to us and to a real Prometheus, over the same samples, many times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from rules.query_range import History
from tests.rules.promql.compare import ours, same
from tests.rules.promql.expressions import scalars, vectors
from tests.rules.promql.prometheus import Prometheus, needs_prometheus, serve
from tests.rules.promql.samples import NOW, samples

pytestmark = needs_prometheus


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with serve(samples(), tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture(scope="module")
def history() -> History:
    return History(samples())


def agree(prometheus: Prometheus, history: History, expr: str) -> None:
    """Fail unless both answer alike."""
    theirs, mine = prometheus.ask(expr, NOW), ours(history, expr, NOW)
    assert same(mine, theirs), f"{expr}\n  Prometheus: {theirs}\n  Watchdesk:  {mine}"


quick = settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@quick
@given(expr=vectors(2))
def test_a_vector_is_prometheus(prometheus: Prometheus, history: History, expr: str) -> None:
    agree(prometheus, history, expr)


@settings(quick, max_examples=150)
@given(expr=scalars(2))
def test_a_number_is_prometheus(prometheus: Prometheus, history: History, expr: str) -> None:
    agree(prometheus, history, expr)


@pytest.mark.soak
@settings(quick, max_examples=30_000, derandomize=False)
@given(expr=vectors(3))
def test_a_deep_vector_is_prometheus(prometheus: Prometheus, history: History, expr: str) -> None:
    agree(prometheus, history, expr)
