"""`status` and `probe`: what people ask an agent."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from agent import exposition, probes
from agent.asking_heavy import read_heavy
from agent.errors import AgentError, StateError
from agent.heavy import every_heavy
from agent.log import Log
from agent.probes.host import Host
from agent.runner import FAILED, HUNG, NO_DATA, Runner
from agent.start import chosen, read_config
from agent.state import State, parse

PATIENCE = 3.0
OWN = """Metrics:
    watchdesk_probe_duration_seconds (gauge): How long the probe took.
    watchdesk_probe_success (gauge): Whether the probe succeeded.
"""


def ask(state: State) -> dict[str, object]:
    """Return what the running agent says of itself, and what the state directory tells without it.

    Raises:
        StateError: the directory cannot be read.
    """
    pid = state.running()
    enrolment = parse(state.read("enrolment") or "")
    known: dict[str, object] = {
        "running": pid is not None,
        "pid": pid,
        "state": state.directory,
        "device": enrolment.get("device"),
        "url": enrolment.get("url"),
        "enrolled": state.read("token") is not None,
    }
    return known if pid is None else {**known, **_ask(state, pid)}


def _ask(state: State, pid: int) -> dict[str, object]:
    before = _written(state)
    if sys.platform != "win32":
        try:
            os.kill(pid, signal.SIGUSR1)
        except PermissionError:
            raise StateError(f"the agent (process {pid}) is another user's; use sudo") from None
        until = time.monotonic() + PATIENCE
        while _written(state) == before:
            if time.monotonic() > until:
                raise StateError(f"the agent (process {pid}) does not answer; restart it")
            time.sleep(0.01)
    said = json.loads(state.read("status") or "{}")
    return said if isinstance(said, dict) else {}


def _written(state: State) -> int:
    try:
        return os.stat(state.path("status")).st_mtime_ns
    except OSError:
        return 0


def show(said: dict[str, object], now: float) -> str:
    """Return it for people."""
    lines = [
        f"device        {said.get('device') or 'not enrolled'}",
        f"collector     {said.get('url') or '-'}",
        f"state         {said['state']}",
        f"agent         {'running, process ' + str(said['pid']) if said['running'] else 'not running'}",
    ]
    if not said["running"]:
        return "\n".join(lines)
    contact = said.get("last_contact")
    lines += [
        f"last contact  {f'{now - contact:.0f} s ago' if isinstance(contact, float) else 'none yet'}",
        f"last error    {said.get('last_error') or 'none'}",
        *([f"agent.conf    NOT TAKEN: {said['config_error']}"] if said.get("config_error") else []),
        f"spool         {said.get('spool_bytes')} bytes",
        f"lost          {said.get('spool_dropped')} batches dropped, {said.get('spool_damaged')} places damaged",
        f"clock offset  {said.get('clock_offset')} s",
        f"readings      {said.get('readings')}, {said.get('series')} series",
        "",
        f"{'probe':<14}{'result':<10}{'ms':>8}{'series':>8}",
    ]
    found = said.get("probes")
    for name, outcome in found.items() if isinstance(found, dict) else ():
        error = f"  {outcome['error']}" if "error" in outcome else ""
        lines.append(f"{name:<14}{outcome['state']:<10}{1000 * outcome['seconds']:>8.2f}{outcome['series']:>8}{error}")
    return "\n".join(lines)


def read_once(state: State, name: str, config_file: str | None) -> str:
    """Return the readings of a probe, or of all that are switched on, as Prometheus text format.

    Raises:
        AgentError: there is no such probe, or it failed.
    """
    config = read_config(state, config_file)
    known = probes.discover()
    if name in every_heavy() and name not in known:
        return read_heavy(state, name, config_file)
    if name == "all":
        wanted = chosen(config)
    elif name in known:
        wanted = [known[name]]
    else:
        raise AgentError(f"no probe {name}; there are: all, {', '.join(sorted({*known, *every_heavy()}))}")
    runner = Runner(wanted, Host(options=config.options), Log("error"), patience=5.0)
    readings = runner.read()
    if name != "all":
        outcome = runner.outcomes[name]
        if outcome.state in (FAILED, HUNG):
            raise AgentError(f"the probe {name} failed: {outcome.error}")
        if outcome.state == NO_DATA:
            raise AgentError(f"the probe {name} finds nothing of its kind on this machine")
    return exposition.exposition(readings, [*(probe.read.__doc__ or "" for probe in wanted), OWN])
