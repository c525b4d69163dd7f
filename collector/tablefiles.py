"""Thresholds and baselines: files beside the rules, looked at again for changes, and never taken when they are bad."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from collector.config import RuleSources
from rules import baseline, defaults, thresholds
from rules.errors import TableError

_LOG = logging.getLogger(__name__)
_CHECKS: Final[Mapping[str, Callable[[str, str], Any]]] = {"thresholds": thresholds.parse, "baselines": baseline.parse}


class TableFiles:
    """The tables of a configuration.

    Attributes:
        current: "thresholds" and "baselines" → text, as last found good.
        problem: what is wrong with the files as they are now; empty if nothing is.
    """

    def __init__(self, sources: RuleSources, data: Path, current: dict[str, str]) -> None:
        """`current` are the tables that hold already."""
        self.current = current
        self.problem = ""
        self._paths = {"thresholds": data / sources.thresholds, "baselines": data / sources.baselines}
        self._without = {"thresholds": "", "baselines": defaults.baselines()}
        self._seen: object = None

    def changed(self) -> dict[str, str] | None:
        """Return the tables if they are others than those that hold, and all good; None if those go on."""
        try:
            seen = [_seen(path) for path in self._paths.values()]
            if seen == self._seen:
                return None
            self._seen = seen
            found = {name: self._read(name, path) for name, path in self._paths.items()}
        except (OSError, UnicodeDecodeError) as error:
            self._refuse(f"a table cannot be read: {error}")
            return None
        except TableError as error:
            self._refuse(str(error))
            return None
        self.problem = ""
        if found == self.current:
            return None
        self.current = found
        return found

    def _read(self, name: str, path: Path) -> str:
        text = path.read_text(encoding="utf-8") if path.exists() else self._without[name]
        _CHECKS[name](text, str(path))
        return text

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            _LOG.error("thresholds and baselines not loaded, the old ones go on: %s", problem)
        self.problem = problem


def _seen(path: Path) -> object:
    """Return what changes with the file; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
