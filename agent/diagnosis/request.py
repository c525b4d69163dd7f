"""A request: read with bounds, and held against the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.diagnosis import arguments
from agent.diagnosis.catalogue import HERE, Diagnosis, catalogue
from agent.diagnosis.errors import NotFound, Refusal


def find(name: str, given: Mapping[str, object]) -> tuple[Diagnosis, Any]:
    """Return the diagnosis and its arguments as its dataclass.

    Raises:
        Refusal: there is none of that name, or an argument is not what it must be.
        NotFound: it is none of this system's.
    """
    diagnosis = catalogue().get(name)
    if diagnosis is None:
        raise Refusal("unknown", f"no diagnosis {name[:60]!r}; `watchdesk-agent diagnoses` lists them")
    asked = arguments.read(diagnosis.arguments, given)
    if HERE not in diagnosis.systems:
        raise NotFound(f"{name} is not there on {HERE}")
    return diagnosis, asked
