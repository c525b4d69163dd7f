"""What the rule layer asks of an expression without a fleet: whether it is one."""

from __future__ import annotations

import functools

from rules.fleet import Fleet
from rules.promql import Query


@functools.cache
def _nobody() -> Fleet:
    return Fleet()


def check(expr: str) -> None:
    """Raise PromQLError unless the expression can be compiled."""
    Query(_nobody(), expr)
