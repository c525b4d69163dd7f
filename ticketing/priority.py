"""Priority = impact × urgency, the matrix of `docs/incidents.md`. Impact is thin as yet: the class of the device."""

from __future__ import annotations

from typing import Final

from ticketing.incident import Severity

LOW_IMPACT: Final = 3
LOW_URGENCY: Final = 4

# A row for each impact (1: many people, 2: a department or service, 3: one person), a column for each urgency.
_MATRIX: Final = ((1, 1, 2, 4), (1, 2, 3, 4), (2, 3, 3, 4))
_IMPACTS: Final = {"network": 1, "ups": 1, "server": 2, "desktop": 3, "printer": 3}
_SEVERITIES: Final = {
    "critical": Severity.CRITICAL,
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "info": Severity.INFO,
    # Words that public rules and other systems use.
    "page": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "disaster": Severity.CRITICAL,
    "fatal": Severity.CRITICAL,
    "major": Severity.ERROR,
    "high": Severity.ERROR,
    "average": Severity.ERROR,
    "warn": Severity.WARNING,
    "minor": Severity.WARNING,
    "low": Severity.INFO,
    "notice": Severity.INFO,
    "information": Severity.INFO,
    "none": Severity.INFO,
}


def severity(word: str) -> Severity:
    """Return the severity that a rule's label means; a word that nobody knows is a warning."""
    return _SEVERITIES.get(word) or _SEVERITIES.get(word.strip().lower(), Severity.WARNING)


def impact(klass: str) -> int:
    """Return how many are hit when a device of this class fails: 1 (many) to 3 (one)."""
    return _IMPACTS.get(klass, LOW_IMPACT)


def urgency(severity: Severity) -> int:
    """Return how soon it must be dealt with: 1 (now) to 4 (some time)."""
    return severity.rank + 1


def priority(impact: int, urgency: int) -> int:
    """Return 1 to 4. Raises ValueError for an impact outside 1 to 3 or an urgency outside 1 to 4."""
    if not (1 <= impact <= LOW_IMPACT and 1 <= urgency <= LOW_URGENCY):
        raise ValueError(f"impact {impact} or urgency {urgency} is outside the matrix")
    return _MATRIX[impact - 1][urgency - 1]
