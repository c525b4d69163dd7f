"""The register of a recording: the target labels of its devices.

devices:
  fs01.hq.acme: {class: server, role: files}
  10.0.0.5:9100: {customer: acme, site: hq, class: server}
"""

from __future__ import annotations

from typing import Any

import yaml

from collector.errors import BacktestError

_LABELS = ("customer", "site", "class", "role")


def load(text: str, file: str) -> dict[str, dict[str, str]]:
    """Return the labels by instance. Raises BacktestError if the text is no register."""
    try:
        content: Any = yaml.safe_load(text) or {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BacktestError(f"{file}:{line}: not YAML: {error.problem}.") from error
    devices = content.get("devices") if isinstance(content, dict) else None
    if not isinstance(devices, dict):
        raise BacktestError(f"{file}: there must be a mapping `devices`.")
    return {str(name): _labels(str(name), entry or {}, file) for name, entry in devices.items()}


def _labels(name: str, entry: Any, file: str) -> dict[str, str]:
    if not isinstance(entry, dict):
        raise BacktestError(f"{file}: what is said of {name} must be a mapping.")
    parts = name.split(".")
    placed = {"site": parts[1], "customer": parts[2]} if len(parts) == 3 and all(parts) else {}
    return {"instance": name, **placed, **{label: str(entry[label]) for label in _LABELS if label in entry}}
