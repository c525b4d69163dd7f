"""An inventory as lines that people read."""

from __future__ import annotations

from typing import Any, Final

from collector.events.differences import text_of
from collector.events.store import Parts
from ticketing.web.sources import PartView

_MOST: Final = 500  # lines of a part


def parts_of(parts: Parts) -> list[PartView]:
    """Return each part with a line for each of its things, or for each member of a single object."""
    return [PartView(name, _lines(part)[:_MOST]) for name, part in sorted(parts.items())]


def _lines(part: Any) -> list[str]:
    if isinstance(part, list):
        return [", ".join(f"{name}: {text_of(value)}" for name, value in thing.items()) for thing in part[:_MOST]]
    return [f"{name}: {text_of(value)}" for name, value in part.items()]
