"""The unit tests of the packs by our own runner and engine: the same verdict as promtool's."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.unittest import run
from tests.rules.packs.shipped import UNIT_TESTS


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_passes(path: Path) -> None:
    report = run([path])
    assert report.ok, str(report)
