"""What the rule layer asks of an expression without a fleet: whether it is one."""

from __future__ import annotations

import promql_parser

from rules.errors import PromQLError


def check(expr: str) -> None:
    """Raise PromQLError unless the expression can be compiled."""
    try:
        promql_parser.parse(expr)
    except ValueError as error:
        raise PromQLError(str(error)) from None
