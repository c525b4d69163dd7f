"""Priority = impact × urgency, the matrix of `docs/incidents.md`."""

from __future__ import annotations

from typing import Final

from ticketing.incident import Severity
from ticketing.topology import Device

LOW_IMPACT: Final = 3
LOW_URGENCY: Final = 4
LOWEST: Final = 4
_MANY: Final = 20  # people

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


def impact(klass: str, device: Device | None = None) -> int:
    """Return how many are hit when a device fails, 1 (many) to 3 (one): what the register says, else a guess.

    The guess is the worse of its class and of the people who use what runs on it.
    """
    usual = _IMPACTS.get(klass, LOW_IMPACT)
    if device is None:
        return usual
    if device.criticality is not None:
        return device.criticality
    if device.users >= _MANY:
        return 1
    return min(usual, 2) if device.services else usual


def urgency(severity: Severity, *, coming: bool = False) -> int:
    """Return how soon it must be dealt with: 1 (now) to 4 (some time); a fault that is coming has a little time."""
    return min(severity.rank + 1 + coming, LOW_URGENCY)


def priority(impact: int, urgency: int) -> int:
    """Return 1 to 4. Raises ValueError for an impact outside 1 to 3 or an urgency outside 1 to 4."""
    if not (1 <= impact <= LOW_IMPACT and 1 <= urgency <= LOW_URGENCY):
        raise ValueError(f"impact {impact} or urgency {urgency} is outside the matrix")
    return _MATRIX[impact - 1][urgency - 1]
