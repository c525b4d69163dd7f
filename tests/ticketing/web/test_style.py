"""The style sheet: contrast that can be read at three in the morning, and nothing fetched from elsewhere."""

import itertools
import re
from pathlib import Path

import pytest

import ticketing.web

STATIC = Path(ticketing.web.__file__).parent / "static"
CSS = (STATIC / "watchdesk.css").read_text()
PAIRS = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", CSS)}
TEXT = ("ink", "soft", "accent", "critical", "error", "warning", "info", "good")
GROUNDS = ("ground", "paper", "raised")


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.1)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme: int) -> None:
    pairs = [
        *itertools.product(TEXT, GROUNDS),
        ("on-accent", "accent"),
        ("on-critical", "critical"),
        ("ink", "tint-fresh"),
    ]
    weak = {pair: round(contrast(*(PAIRS[name][scheme] for name in pair)), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_edges_of_fields_can_be_seen(scheme: int) -> None:
    assert contrast(PAIRS["edge"][scheme], PAIRS["paper"][scheme]) >= 3


def test_every_colour_that_is_used_is_defined() -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS))
    assert used <= set(re.findall(r"--([\w-]+):", CSS))


def test_nothing_comes_from_elsewhere() -> None:
    for file in STATIC.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|@import|url\((?!#)|eval\(|innerHTML", text), file.name
