"""What can be wrong with rules, and where.

RuleError
├── PromQLError          an expression that Prometheus would refuse: message, position in the expression
├── EvaluationError      an expression that cannot be evaluated on this data (many-to-many, a limit)
├── TemplateError        a template that does not parse, or fails when it is expanded
├── FileError            a file that is wrong at a line: file, line, message
│   ├── RuleFileError    a rule file
│   ├── TestFileError    a unit-test file of rules
│   └── TableError       a table of thresholds or a list of baselines
├── SampleError          samples in OpenMetrics text that cannot be read: line, message
└── StateError           a dump of the engine that is not one, or of another version
"""

from __future__ import annotations

from collections.abc import Sequence


class RuleError(Exception):
    """Something about rules, which the message tells in a sentence."""


class PromQLError(RuleError):
    """An expression that Prometheus would refuse; `position` is the offset in it, -1 where it is not known."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class EvaluationError(RuleError):
    """An expression that cannot be evaluated on the data of this moment, such as a join that is many-to-many."""


class TemplateError(RuleError):
    """A template that does not parse, or that fails when it is expanded."""


class FileError(RuleError):
    """A file that is wrong at a line (1 is the first, 0 the file as a whole); `others` are further faults in it."""

    def __init__(self, file: str, line: int, message: str, others: Sequence[FileError] = ()) -> None:
        super().__init__(file, line, message)
        self.file = file
        self.line = line
        self.message = message
        self.others = tuple(others)

    def __str__(self) -> str:
        return "\n".join(f"{e.file}:{e.line}: {e.message}" for e in (self, *self.others))


class RuleFileError(FileError):
    """A rule file that is refused."""


class TestFileError(FileError):
    """A file of unit tests for rules that is refused."""

    __test__ = False  # its name looks like a test to pytest


class TableError(FileError):
    """A table of thresholds, or a list of baselines, that is refused."""


class SampleError(RuleError):
    """Samples in OpenMetrics text that cannot be read."""

    def __init__(self, line: int, message: str, file: str = "") -> None:
        super().__init__(f"{file}:{line}: {message}" if file else f"line {line}: {message}")
        self.line = line
        self.message = message


class StateError(RuleError):
    """A dump that is not one of this engine, is damaged, or is of a version that this one does not know."""
