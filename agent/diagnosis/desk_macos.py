"""Batteries of macOS, by system_profiler."""

from __future__ import annotations

from agent.diagnosis.desk import of_profiler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look


def batteries(look: Look) -> list[dict[str, object]]:
    """Return the batteries."""
    return of_profiler(look.command(["system_profiler", "-json", "SPPowerDataType"], timeout=15.0).json())
