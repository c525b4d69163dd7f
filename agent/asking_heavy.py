"""`watchdesk-agent probe NAME` for a heavy reading: what would be sent, to the last word."""

from __future__ import annotations

import json
import sys
import time

from agent import child, exposition
from agent.errors import AgentError
from agent.heavy import every_heavy
from agent.state import State


def read_heavy(state: State, name: str, config_file: str | None) -> str:
    """Run a heavy reading in its child, and return its readings in text format, its events and inventory as remarks.

    Raises:
        AgentError: it failed, hung, or finds nothing of its kind here.
    """
    reading = every_heavy()[name]
    words = ["--state", state.directory, *(["--config", config_file] if config_file is not None else [])]
    started = child.start([*words, "errand", name, f"{reading.budget:g}"])
    until = time.monotonic() + reading.budget
    try:
        while not started.ended():
            if time.monotonic() > until:
                raise AgentError(f"the probe {name} does not come to an end within {reading.budget:g} s")
            time.sleep(0.05)
        lines = started.output().decode("utf-8", "replace").splitlines()
    finally:
        started.close()
    if lines[-1:] != ["."]:
        said = next((line[2:] for line in lines if line.startswith("? ")), "it ended without a word")
        raise AgentError(f"the probe {name} failed: {said}")
    shown = _shown(name, lines)
    if not shown:
        raise AgentError(f"the probe {name} finds nothing of its kind on this machine")
    return shown


def _shown(name: str, lines: list[str]) -> str:
    module = "agent.heavy." + every_heavy()[name].module
    __import__(module)
    pairs = (line[2:].rpartition(" ") for line in lines if line.startswith("= "))
    readings = {series: float(value) for series, _, value in pairs}
    text = exposition.exposition(readings, [sys.modules[module].read.__doc__ or ""])
    for line in lines:
        if line.startswith(("! ", "I ")):
            told = json.dumps(json.loads(line[2:]), indent=1, ensure_ascii=False)
            text += "".join(f"# {part}\n" for part in told.splitlines())
    return text
