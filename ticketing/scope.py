"""Whose incidents a request may see: it comes from the credential alone and is given to every query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scope:
    """One customer's slug, or None for the provider's staff, who see all."""

    customer: str | None


EVERYTHING: Final = Scope(None)
