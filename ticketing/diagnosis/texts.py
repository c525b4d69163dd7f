"""Gives Babel the sentences that agents say, so that `make locale` puts them into the catalogue of texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any


def extract(
    fileobj: IO[bytes],
    keywords: Any,  # noqa: ARG001 - Babel gives them by name
    comment_tags: Any,  # noqa: ARG001
    options: Any,  # noqa: ARG001
) -> Iterator[tuple[int, str, str, list[str]]]:
    """Yield the findings of a catalogue.json, as Babel's extraction methods do."""
    for entry in json.load(fileobj):
        for text in entry.get("findings", ()):
            yield 1, "gettext", text, []
