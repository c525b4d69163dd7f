"""The dashboards' queries, as Prometheus gets them: with their variables filled in."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "packaging" / "grafana" / "dashboards"

# What Grafana would put in: its own intervals, and what the person chose; `.+` is "All".
CHOICES: Final = {"__rate_interval": "1m", "__range": "1h", "customer": ".+", "site": ".+"}


def load() -> dict[str, dict[str, Any]]:
    """Return the committed dashboards by file name."""
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels of a dashboard, those in rows included."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries(instance: str, choices: Mapping[str, str] | None = None) -> list[str]:
    """Return every query of every dashboard, for the device `instance`; `choices` replace those of CHOICES."""
    filled = {**CHOICES, "instance": instance, **(choices or {})}
    return [
        fill(target["expr"], filled)
        for board in load().values()
        for panel in panels(board)
        for target in panel.get("targets", [])
    ]


def fill(expr: str, choices: Mapping[str, str]) -> str:
    """Return the expression with `$name` replaced, the longest names first."""
    for name in sorted(choices, key=len, reverse=True):
        expr = expr.replace(f"${name}", choices[name])
    return expr
