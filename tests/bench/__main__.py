"""Runs the areas named on the command line, or all: `python -m tests.bench [area …]`."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import Protocol, cast

import tests.bench
from tests.bench.figure import Figure


class Area(Protocol):
    """A module of this folder that measures."""

    def run(self) -> Iterator[Figure]:
        """Measure, and yield each figure when it is known."""


def areas() -> list[str]:
    """Return the names of the areas: the modules here that have a `run`."""
    names = [module.name for module in pkgutil.iter_modules(tests.bench.__path__)]
    return sorted(set(names) - {"__main__", "figure"})


def main(wanted: list[str]) -> int:
    """Print each figure as a line of JSON."""
    unknown = set(wanted) - set(areas())
    if unknown:
        print(f"No such area: {', '.join(sorted(unknown))}. There are: {', '.join(areas())}", file=sys.stderr)
        return 2
    for name in wanted or areas():
        area = cast("Area", importlib.import_module(f"tests.bench.{name}"))
        for figure in area.run():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
