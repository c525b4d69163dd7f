"""Fixtures: one CA a session, a collector a test, a state directory that is enrolled there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.agent.helpers import Lines, enrolled


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The CA of the collectors."""
    return Authority()


@pytest.fixture
def collector(authority: Authority) -> Iterator[TestCollector]:
    """A collector that listens."""
    with running(authority) as made:
        yield made


@pytest.fixture
def state(collector: TestCollector, tmp_path: Path) -> Path:
    """A state directory, enrolled at the collector."""
    return enrolled(collector, tmp_path / "state")


@pytest.fixture
def log() -> Lines:
    """A log that keeps its lines."""
    return Lines()
