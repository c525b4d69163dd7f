"""Labels in Prometheus notation, for the series that probes yield."""

from __future__ import annotations

from agent.wire import format_series


def labels(**values: str) -> str:
    """Return the braces that follow a metric's name: `{device="sda"}`."""
    return format_series("", values)
