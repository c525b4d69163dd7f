"""Queries that templates make: compiled once, bounded in number and in what they return."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rules.errors import EvaluationError, PromQLError
from rules.source import Source
from rules.template import CallError

MAX_KEPT: Final = 256
MAX_LENGTH: Final = 10_000
MAX_RESULTS: Final = 10_000


class Queries:
    """What the template function `query` calls."""

    def __init__(self, compile_source: Callable[[str], Source]) -> None:
        self._compile = compile_source
        self._sources: OrderedDict[str, Source] = OrderedDict()

    def __call__(self, expr: str, now: float) -> Sequence[tuple[Mapping[str, str], float]]:
        """The elements of an expression's result; CallError if it has none."""
        try:
            result = self._source(expr).at(now)
        except PromQLError as error:
            raise CallError(error.message) from None
        except EvaluationError as error:
            raise CallError(str(error)) from None
        if len(result) > MAX_RESULTS:
            raise CallError(f"the query returns more than {MAX_RESULTS:,} elements")
        return list(result)

    def _source(self, expr: str) -> Source:
        source = self._sources.get(expr)
        if source is None:
            if len(expr) > MAX_LENGTH:
                raise CallError(f"the query is longer than {MAX_LENGTH:,} characters")
            source = self._sources[expr] = self._compile(expr)
            if len(self._sources) > MAX_KEPT:
                self._sources.popitem(last=False)
        self._sources.move_to_end(expr)
        return source
