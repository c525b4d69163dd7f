"""Fixtures of the end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disks
from tests.e2e.desk import Desk
from tests.e2e.desk import desk as run_desk

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A collector's folder, nothing started yet."""
    with run_desk(tmp_path) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    with disks.small_disk(tmp_path / "disk", "32m") as folder:
        yield folder
