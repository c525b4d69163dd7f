"""Unit tests for rules, in promtool's format, with promtool's verdict: `run(files)`.

A file of tests names rule files, gives series and their values in a short notation, and says which alerts fire and
what expressions yield at which time. Everything runs on a fleet and an engine of its own, with Prometheus' own way
with missing data (no `stale`), so that the same file passes or fails here and in promtool.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rules.errors import TestFileError
from rules.unittest.suite import Suite, parse
from rules.unittest.trial import Trial

__all__ = ["FileReport", "Report", "run"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file."""

    file: str
    failures: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"Unit Testing:  {self.file}", *(f"  WARNING: {w}" for w in self.warnings)]
        if not self.failures:
            return "\n".join([*lines, "  SUCCESS\n"])
        return "\n".join([*lines, "  FAILED:", *(f"{failure}\n" for failure in self.failures)])


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all files; `code` is promtool's exit code: 0 all passed, 1 not."""

    files: tuple[FileReport, ...]

    @property
    def ok(self) -> bool:
        """Whether every test of every file passed."""
        return not any(report.failures for report in self.files)

    @property
    def code(self) -> int:
        """The exit code."""
        return 0 if self.ok else 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.files))


def run(files: Iterable[str | Path]) -> Report:
    """Run the tests in these files."""
    return Report(tuple(_file(Path(file)) for file in files))


def _file(path: Path) -> FileReport:
    try:
        suite = parse(path.read_text(encoding="utf-8"), str(path))
    except TestFileError as error:
        return FileReport(str(path), tuple(str(error).splitlines()))
    except OSError as error:
        return FileReport(str(path), (f"{path}: {error.strerror}",))
    except UnicodeDecodeError:
        return FileReport(str(path), (f"{path}: not UTF-8",))
    warnings: list[str] = []
    try:
        rules = dict(_rule_files(suite, path.parent, warnings))
    except OSError as error:
        return FileReport(str(path), (f"{error.filename}: {error.strerror}",), tuple(warnings))
    failures = [text for group in suite.groups for text in Trial(suite, group, rules).run()]
    return FileReport(str(path), tuple(failures), tuple(warnings))


def _rule_files(suite: Suite, base: Path, warnings: list[str]) -> Iterator[tuple[str, str]]:
    for pattern in suite.rule_files:
        whole = str(base / pattern)
        found = sorted(glob.glob(whole, include_hidden=True))  # noqa: PTH207 - the pattern may be absolute
        if not found:
            warnings.append(f"no file match pattern {whole}")
        for name in found:
            yield name, Path(name).read_text(encoding="utf-8", errors="surrogateescape")
