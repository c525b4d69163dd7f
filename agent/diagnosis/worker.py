"""Running one diagnosis."""

from __future__ import annotations

from typing import Any

from agent.diagnosis.catalogue import Diagnosis, Look
from agent.diagnosis.output import finished


def examine(diagnosis: Diagnosis, asked: object, look: Look) -> dict[str, Any]:
    """Run it in this process, and return the members of its result.

    Raises:
        NotFound: there is nothing of its kind here.
        OutputError: it gave what it does not declare.
    """
    return finished(diagnosis, diagnosis.function(look, asked))
