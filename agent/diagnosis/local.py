"""`watchdesk-agent diagnoses` and `diagnose`: what there is, and what would be sent, for people at the machine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from agent.diagnosis.arguments import spec
from agent.diagnosis.catalogue import HERE, Diagnosis, Look, catalogue
from agent.diagnosis.errors import NotFound, Refusal
from agent.diagnosis.request import find
from agent.diagnosis.worker import examine
from agent.errors import AgentError
from agent.heavy.tools import Task
from agent.probes.host import Host
from agent.state import State, parse


def listed(*, as_json: bool) -> str:
    """Return the catalogue, as JSON an object a line."""
    known = catalogue().values()
    if as_json:
        return "\n".join(json.dumps(one.describe(), sort_keys=True) for one in known)
    return "\n".join(_line(one) for one in known)


def _line(one: Diagnosis) -> str:
    words = " ".join(f"{name}={bounds.get('default', '?')!s}" for name, bounds in spec(one.arguments).items())
    here = "" if HERE in one.systems else f"  (not on {HERE})"
    summary = one.describe()["summary"]
    return f"{one.name:<20}{one.privacy:<9}{summary}{here}" + (f"\n{'':<29}{words}" if words else "")


def run_here(state: State, name: str, words: Sequence[str]) -> str:
    """Run a diagnosis in this process, and return its result as it would be sent.

    Raises:
        AgentError: there is none of that name, an argument is wrong, or it finds nothing of its kind.
    """
    try:
        diagnosis, asked = find(name, _arguments(name, words))
        options = parse(state.read("agent.conf") or "")
        look = Look(Task(Host(options=options), options, time.time()), time.monotonic() + diagnosis.seconds)
        return json.dumps(examine(diagnosis, asked, look), indent=1, ensure_ascii=False)
    except (Refusal, NotFound) as error:
        raise AgentError(str(error)) from error


def _arguments(name: str, words: Sequence[str]) -> dict[str, Any]:
    known = catalogue().get(name)
    bounds = spec(known.arguments) if known is not None else {}
    pairs = (word.partition("=") for word in words)
    return {key: _typed(value, bounds.get(key, {}).get("type", "text")) for key, _, value in pairs}


def _typed(value: str, kind: str) -> object:
    try:
        if kind == "bool":
            return {"yes": True, "true": True, "no": False, "false": False}[value]
        return {"int": int, "float": float}.get(kind, str)(value)
    except (ValueError, KeyError):
        return value  # its bounds will say what is wrong
