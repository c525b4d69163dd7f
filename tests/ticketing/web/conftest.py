"""A world for each module: users and devices are made once, each test opens its own incidents."""

from collections.abc import Iterator

import pytest

from tests.ticketing.web.world import World, served


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served(tmp_path_factory.mktemp("web")) as made:
        yield made
