"""The process that handles one answer: `watchdesk-agent --state DIR [--config FILE] diagnosis-requests LENGTH`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from agent.diagnosis import machine, policy
from agent.diagnosis.frame import AnyConsent, Frame
from agent.diagnosis.policy import Policy
from agent.diagnosis.request import MAX_BODY
from agent.diagnosis.results import Collector
from agent.diagnosis.store import Store
from agent.endpoint import endpoint
from agent.errors import AgentError, TransportError
from agent.start import connect, read_config
from agent.state import State

MAX_LIFE = 3_600 + 16 * 130  # seconds: the longest answer that people are given, and sixteen of the longest runs


def handle(directory: str, config_file: str | None, words: Sequence[str]) -> int:
    """Read an answer from stdin and do what it asks for; return the exit code."""
    length = int(words[0])
    if sys.platform != "win32":
        import resource
        import signal

        signal.alarm(MAX_LIFE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    body = sys.stdin.buffer.read(MAX_BODY)
    os.umask(0o077)
    try:
        _handle(State(directory), config_file, body, length)
    except (AgentError, OSError) as error:
        _out(f"? {type(error).__name__}: {error}".replace("\n", " "))
        return 1
    _out(f"C watchdesk_agent_diagnosis_cpu_seconds_total {sum(os.times()[:4]):.3f}")
    _out(".")
    return 0


def _handle(state: State, config_file: str | None, body: bytes, length: int) -> None:
    enrolment = state.enrolment()
    config = read_config(state, config_file)
    store = Store(state)
    collector = Collector(connect(config, enrolment, os.environ), enrolment.token)
    prepare(store, collector)
    if length:
        allowed = policy.load(policy.path_for(state.directory), machine.kind())
        known = machine.known_targets(config.options, [enrolment.url, *config.collectors])
        consent = consent_for(state, allowed, enrolment.url)
        frame = Frame(
            store, enrolment.device, allowed, config.options, known,
            post=collector.post, consent=consent, out=_out,
        )  # fmt: skip
        try:
            frame.handle(body, length)
        finally:
            consent.close()
    collector.close()


def consent_for(state: State, allowed: Policy, url: str) -> AnyConsent:
    """Return who asks people on this system."""
    company = endpoint(url).host
    if sys.platform == "win32":
        from agent.diagnosis.consent_windows import WindowsConsent

        return WindowsConsent(allowed, company)
    from agent.diagnosis.consent import Consent, folder_for
    from agent.diagnosis.showing import show

    return Consent(folder_for(state.directory), allowed, company, show=show)


def prepare(store: Store, collector: Collector) -> None:
    """Have what the first request will need: the collector's key, and room on the disk while there is some.

    Raises:
        OSError: the disk is full.
    """
    with store.held():
        store.seen.within(0.0, time.time())
        store.audit.reserve()
    if store.key() is None:
        try:
            key = collector.key()
        except TransportError:
            return  # without a key every request will be refused
        if key is not None:
            store.pin(key)


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
