"""`watchdesk-agent doctor`: what stands between this machine and its collector, each with what to do.

Runs as a command beside the agent, and changes nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from agent import probes, wire
from agent.config import Config
from agent.connection import Connection
from agent.diagnosis import audit, machine, policy
from agent.endpoint import Endpoint
from agent.errors import AgentError, CertificateError, ConfigError, TransportError
from agent.loop import complete
from agent.start import connect, read_config
from agent.state import Enrolment, State

TIMEOUT = 10.0
SKEW = 60.0  # seconds; the default rules warn from here on
ROOM = 64 << 20
OK, WARNING, PROBLEM = "ok", "warning", "problem"


class Finding(NamedTuple):
    """What was looked at, how it is, and what to do about it if it is not well."""

    about: str
    state: str
    text: str
    advice: str = ""


def examine(
    state: State, config_file: str | None, environ: Mapping[str, str], clock: Callable[[], float]
) -> list[Finding]:
    """Return the findings, in the order in which one depends on the other."""
    return list(_examine(state, config_file, environ, clock))


def _examine(
    state: State, config_file: str | None, environ: Mapping[str, str], clock: Callable[[], float]
) -> Iterator[Finding]:
    yield Finding("python", OK, f"{sys.version.split()[0]} at {sys.executable}")
    try:
        enrolment = state.enrolment()
    except AgentError as error:
        yield Finding("enrolment", PROBLEM, str(error))
        return
    yield Finding("enrolment", OK, f"{enrolment.device} at {enrolment.url}")
    yield from _files(state)
    config = Config()
    try:
        config = read_config(state, config_file)
        yield Finding("configuration", OK, config_file or state.path("agent.conf"))
    except ConfigError as error:
        yield Finding("configuration", PROBLEM, str(error), "mend the line; a running agent goes on with the old one")
    yield _running(state)
    yield from _collector(config, enrolment, environ, clock)
    yield _probes(config)
    yield from _diagnosis(state)


def _diagnosis(state: State) -> Iterator[Finding]:
    """What may be examined here, and whether the record of it is whole."""
    where = policy.path_for(state.directory)
    found = policy.load(where, machine.kind())
    said = ", ".join(f"{name} {decision}" for name, decision in found.classes.items())
    if found.problem:
        advice = "mend it; until then nothing but health is examined"
        yield Finding("policy", PROBLEM, found.problem, advice)
    else:
        yield Finding("policy", OK, f"{said} ({where if os.path.exists(where) else f'{found.machine}, no {where}'})")
    wrong = audit.verify(state.directory)
    if wrong:
        yield Finding("audit", PROBLEM, wrong[0], "somebody has changed the record: find out who may write there")
    else:
        yield Finding("audit", OK, f"{audit.Audit(state.directory).head()[0]} entries")


def _files(state: State) -> Iterator[Finding]:
    where = state.directory
    if os.name == "posix":
        status = os.stat(where)
        if status.st_mode & 0o077:
            yield Finding("permissions", PROBLEM, f"others may look into {where}", f"chmod 700 {where}")
        elif os.stat(state.path("token")).st_uid != status.st_uid:
            advice = f"chown -R --reference={where} {where}"
            yield Finding("permissions", PROBLEM, f"the token belongs to another user than {where}", advice)
        else:
            yield Finding("permissions", OK, f"{where} is private")
    free = shutil.disk_usage(where).free
    if free < ROOM:
        text = f"{free >> 20} MiB are free where the spool is"
        yield Finding("disk", WARNING, text, "make room; an outage of the collector could lose readings")
    else:
        yield Finding("disk", OK, f"{free >> 20} MiB free")


def _running(state: State) -> Finding:
    pid = state.running()
    if pid is None:
        return Finding("agent", WARNING, "it does not run", "systemctl start watchdesk-agent, or watchdesk-agent run")
    return Finding("agent", OK, f"runs as process {pid}")


def _collector(
    config: Config, enrolment: Enrolment, environ: Mapping[str, str], clock: Callable[[], float]
) -> Iterator[Finding]:
    """Ask each address for its CA, over the very connection that the agent would take."""
    try:
        connection = connect(config, enrolment, environ)
    except TransportError as error:
        yield Finding("collector", PROBLEM, str(error), "mend `proxy` or `collectors` in agent.conf")
        return
    while True:
        where = connection.endpoint
        started = time.monotonic()
        try:
            answer = complete(connection.request("GET /v1/ca HTTP/1.1\r\n", b"", TIMEOUT))
        except CertificateError as error:
            advice = "something stands between, or the provider has a new CA: enrol again with a new token (--force)"
            yield Finding("tls", PROBLEM, str(error), advice)
        except TransportError as error:
            yield Finding("collector", PROBLEM, f"{where.authority}: {error}", _reach(config, where))
        else:
            seconds = time.monotonic() - started
            yield Finding("collector", OK, f"{where.authority} answers after {seconds * 1000:.0f} ms")
            yield _clock(answer.headers.get(wire.TIME_HEADER.lower(), ""), clock() - seconds / 2)
            yield _token(connection, enrolment, clock())
        if not connection.fail_over():
            connection.close()
            return


def _reach(config: Config, where: Endpoint) -> str:
    if config.proxy:
        return "look at the proxy, and whether it lets CONNECT through to this port"
    return f"let the firewall pass TCP {where.port} to {where.host}, or set `proxy` in agent.conf"


def _clock(theirs: str, ours: float) -> Finding:
    try:
        offset = ours - float(theirs)
    except ValueError:
        return Finding("clock", WARNING, "the collector does not tell the time", "is it a Watchdesk collector?")
    if abs(offset) > SKEW:
        return Finding(
            "clock", WARNING, f"{offset:+.0f} s beside the collector's", "have this machine's clock set by NTP"
        )
    return Finding("clock", OK, f"{offset:+.3f} s beside the collector's")


def _token(connection: Connection, enrolment: Enrolment, now: float) -> Finding:
    """Push nothing, and judge the answer."""
    head = (
        f"POST /v1/push HTTP/1.1\r\nAuthorization: Bearer {enrolment.token}\r\nContent-Type: {wire.CONTENT_TYPE}\r\n"
        f"{wire.TIME_HEADER}: {now:.3f}\r\n"
    )
    try:
        status = complete(connection.request(head, b"", TIMEOUT)).status
    except TransportError as error:
        return Finding("token", PROBLEM, str(error), "is it a Watchdesk collector?")
    if status == 401:
        advice = "the device was retired; enrol again with a new token (--force)"
        return Finding("token", PROBLEM, "the collector does not know this device's token", advice)
    if status in (200, 204, 400):
        return Finding("token", OK, "the collector knows this device")
    return Finding("token", WARNING, f"the collector answers {status} to a push", "see `watchdesk doctor` there")


def _probes(config: Config) -> Finding:
    known = probes.discover()
    off = sorted(name for name, on in config.probes.items() if not on)
    text = f"{len(known) - len(off)} of {len(known)}" + (f"; off: {', '.join(off)}" if off else "")
    return Finding("probes", OK, text)


def show(findings: list[Finding]) -> str:
    """Return the findings for people."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<9}{finding.about:<15}{finding.text}")
        if finding.advice:
            lines.append(f"{'':<24}→ {finding.advice}")
    return "\n".join(lines)
