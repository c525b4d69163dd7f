"""Which rule files hold: the packs that come along, and the provider's own; looked at again for changes."""

from __future__ import annotations

import logging
from pathlib import Path

from collector.config import RuleSources
from rules import packs
from rules.engine import Engine
from rules.errors import RuleFileError
from rules.fleet import Fleet

_LOG = logging.getLogger(__name__)


class RuleFiles:
    """The rule files of a configuration.

    Attributes:
        current: file name → text, as last found good.
        problem: what is wrong with the files as they are now; empty if nothing is.
    """

    def __init__(self, sources: RuleSources, data: Path, current: dict[str, str]) -> None:
        """`current` are the rules that hold already."""
        self.current = current
        self.problem = ""
        self._sources = sources
        self._directory = data / sources.directory
        self._shipped = packs.load()
        self._seen: object = None

    def changed(self) -> dict[str, str] | None:
        """Return the files if they are others than those that hold, and all good; None if those go on."""
        try:
            own = self._own()
            seen = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in own]
            if seen == self._seen:
                return None
            self._seen = seen
            files = {**self._wanted_packs(), **{str(path): path.read_text() for path in own}}
            Engine(Fleet()).load(files)
        except (OSError, UnicodeDecodeError) as error:
            self._refuse(f"the rules in {self._directory} cannot be read: {error}")
            return None
        except RuleFileError as error:
            self._refuse(str(error))
            return None
        self.problem = ""
        if files == self.current:
            return None
        self.current = files
        return files

    def _own(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return sorted(path for path in self._directory.iterdir() if path.suffix in {".yml", ".yaml"})

    def _wanted_packs(self) -> dict[str, str]:
        wanted = self._sources.packs
        return {name: text for name, text in self._shipped.items() if wanted is None or Path(name).stem in wanted}

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            _LOG.error("rules not loaded, the old ones go on: %s", problem)
        self.problem = problem
