"""The functions of PromQL by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rules.errors import PromQLError
from rules.promql.node import Node, Time

if TYPE_CHECKING:
    from rules.promql.compiler import Compiler

Builder = Callable[["Compiler", Any], "Node[Any]"]


def _time(compiler: Compiler, tree: Any) -> Node[Any]:
    return compiler.shared(tree, lambda text: Time(compiler.fleet, text))


BUILDERS: Final[dict[str, Builder]] = {"time": _time}


def call(compiler: Compiler, tree: Any) -> Node[Any]:
    """Return the node of a function call.

    Raises:
        PromQLError: a function that is not supported.
    """
    builder = BUILDERS.get(tree.func.name)
    if builder is None:
        raise PromQLError(f"{tree.func.name}() is not supported", compiler.source.place(tree.func.name))
    return builder(compiler, tree)
