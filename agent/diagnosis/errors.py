"""What can go wrong with a request for a diagnosis.

Refusal      the request itself is none: `reason` is a word that is counted, and the collector hears of it as an event
Denied       the request is sound, and the policy or a person here says no
NotFound     the function finds nothing of its kind on this machine; no fault
"""

from __future__ import annotations


class Refusal(Exception):
    """A request that is not what it must be; nothing of it was carried out."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Denied(Exception):
    """The customer's policy, or the person who was asked, does not want it; `reason` is a word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotFound(Exception):
    """There is nothing of its kind to examine here; the text says what was looked for."""
