"""Putting an agent together from its state directory and configuration."""

from __future__ import annotations

import os
import sys
import time

from agent import __version__, child, probes
from agent.agent import Agent
from agent.config import Config, parse
from agent.connection import Connection
from agent.endpoint import Proxy, context, endpoint, proxy
from agent.errands import FIRST, Errands
from agent.errors import ConfigError, StateError, TransportError
from agent.events import Event, Events
from agent.heavy import CHECKS, every_heavy, heavy
from agent.held import Held, starter
from agent.journal import Journal
from agent.lifeline import Lifeline, why
from agent.log import Log
from agent.manners import step_back
from agent.meaning import Meaning
from agent.probes.host import Host
from agent.runner import Runner
from agent.scout import Scout, kept_here, looks_for, watch_for
from agent.spool import Spool
from agent.state import State, read_file
from agent.state import parse as parse_pairs
from agent.transport import Sender, Timing, jitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.probes import Probe
    from agent.state import Enrolment

GOOD = "agent.conf.good"


def read_config(state: State, file: str | None) -> Config:
    """Return the configuration of the file, or of agent.conf in the state directory if there is one.

    Raises:
        ConfigError: it is wrong, and where.
    """
    path = file if file is not None else state.path("agent.conf")
    text = read_file(path)
    if text is None and file is not None:
        raise ConfigError(file, 1, "there is no such file")
    return parse(text or "", path, [*probes.discover(), *every_heavy()])


def chosen(config: Config) -> list[Probe]:
    """Return the probes that are switched on; a drill has its own."""
    found = probes.discover()
    names = [name for name in found if config.probes.get(name, True)]
    if config.drill is None:
        return [found[name] for name in names]
    from agent.probes import drill

    kept = [found[name] for name in names if name in drill.KEPT]
    return [*kept, drill.drill(config.drill, config.drill_state, time.monotonic)]


def assemble(state: State, config: Config, enrolment: Enrolment, log: Log, config_file: str | None = None) -> Agent:
    """Return an agent that is ready to run.

    Raises:
        TransportError: the enrolment's URL or CA cannot be used.
    """
    connection = connect(config, enrolment, os.environ)
    spool = Spool(
        state.path("spool"), log, time.time, limit_bytes=config.spool_max_bytes, limit_age=config.spool_max_age
    )
    interval = config.interval or enrolment.interval
    timing = Timing(
        timeout=config.timeout, last_retry=min(120.0, max(5.0, 3 * interval)), bandwidth=config.max_bandwidth
    )
    sender = Sender(connection, enrolment.token, spool, log, timing=timing, random=jitter(os.urandom))
    host = Host(options=config.options)
    runner = Runner(chosen(config), host, log)
    boot, identity = booted()
    reason = note_start(state, identity, log)
    scout = scout_for(state, config, host, log, config_file)
    if reason == "crash":
        text = f"The agent had ended without a goodbye: {why(state.read('ended') or '')}. It runs again"
        scout.events.add(Event("agent", "watchdesk-agent", "warning", text))
    _note(state, "", log, "ended")  # so that it is not told again
    scout.held = held_for(state, enrolment, connection.another(), scout.events, log, config_file)
    sender.heed = scout.held.advise
    return Agent(
        config,
        state,
        runner,
        sender,
        log,
        scout=scout,
        interval=enrolment.interval,
        boot=boot,
        reason=reason,
        check_config=lambda: connect(read_config(state, config_file), enrolment, os.environ),
        lifeline=Lifeline(os.environ),
    )


def scout_for(state: State, config: Config, host: Host, log: Log, config_file: str | None) -> Scout:
    """Return what sees the rest: heavy readings, changes at once, events."""
    events = Events(time.time, time.monotonic, kept_here(config.options))
    wanted = [one for one in heavy() if config.probes.get(one.name, True) and config.drill is None]
    if any(key.startswith(("check.", "exporter.")) for key in config.options):
        wanted.append(CHECKS)
    words = ["--state", state.directory, *(["--config", config_file] if config_file is not None else [])]

    def remember(memory: Mapping[str, str]) -> None:
        _note(state, "".join(f"{name} = {text}\n" for name, text in memory.items()), log, "memory")

    now = time.monotonic()
    memory = parse_pairs(state.read("memory") or "")
    first = float(config.options.get("heavy.delay", FIRST))
    errands = Errands(wanted, words, child.start, events, log, now, memory=memory, remember=remember, first=first)
    if config.drill is not None:
        return Scout(events, errands)
    watch = watch_for(host, events, config.options)
    meaning = Meaning(host, events, errands, journal_for(host), time.monotonic)
    return Scout(events, errands, watch, looks_for(host, watch), meaning)


def held_for(
    state: State, enrolment: Enrolment, connection: Connection, events: Events, log: Log, config_file: str | None
) -> Held:
    """Return what fetches requests for diagnoses."""
    words = ["--state", state.directory, *(["--config", config_file] if config_file is not None else [])]
    return Held(
        connection, enrolment.token, words, starter(child.start), events, log,
        prepared=os.path.exists(state.path("diagnosis.key")), monotonic=time.monotonic, random=jitter(os.urandom),
    )  # fmt: skip


def journal_for(host: Host) -> Journal | None:
    """Return systemd's journal of this machine, if it can have one."""
    machine = (read_file(host.root + "/etc/machine-id") or "").strip()
    return Journal(host.root, machine) if machine and sys.platform == "linux" else None


def connect(config: Config, enrolment: Enrolment, environ: Mapping[str, str]) -> Connection:
    """Return the way to the collector, not yet connected.

    Raises:
        TransportError: an address, the proxy or the CA cannot be used, or TLS would be given up.
    """
    where = [endpoint(url) for url in dict.fromkeys([enrolment.url, *config.collectors])]
    if where[0].tls and not all(one.tls for one in where):
        raise TransportError("the collector was enrolled at over TLS; `collectors` may not name an http:// address")
    trust = context(enrolment.ca) if any(one.tls for one in where) else None
    return Connection(where, trust, proxy=proxy_of(config, environ))


def proxy_of(config: Config, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that was chosen, None for none.

    Raises:
        TransportError: it is no address of a proxy.
    """
    url = config.proxy
    if url == "system":
        url = next((environ[name] for name in ("https_proxy", "HTTPS_PROXY") if environ.get(name)), "")
    password = (read_file(config.proxy_password_file) or "").strip() if config.proxy_password_file else ""
    return proxy(url, password) if url else None


def booted() -> tuple[float, str]:
    """Return when the machine was booted, and a text that is another after each boot."""
    try:
        with open("/proc/stat", "rb") as file:
            line = next((line for line in file if line.startswith(b"btime ")), b"btime 0")
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return float(line.split()[1]), file.read(64).decode("ascii", "replace").strip()
    except OSError:
        import psutil

        seconds = float(psutil.boot_time())
        return seconds, str(round(seconds / 60))


def note_start(state: State, boot: str, log: Log) -> str:
    """Return why the agent starts, from what the last run left, and note that this one runs."""
    last = parse_pairs(state.read("last") or "")
    _note(state, f"state = running\nboot = {boot}\nversion = {__version__}\n", log)
    if last and last.get("boot") != boot:
        return "boot"
    if last and last.get("version") != __version__:
        return "update"
    return "crash" if last.get("state") == "running" else "start"


def note_stop(state: State, log: Log) -> None:
    """Note that this run ended on purpose."""
    text = state.read("last") or ""
    _note(state, text.replace("state = running", "state = stopped"), log)


def _note(state: State, text: str, log: Log, name: str = "last") -> None:
    try:
        state.write(name, text, sync=False)
    except StateError as error:  # a full disk is what the agent is here to report
        log.warning("not noted", error=str(error))


def run(directory: str, config_file: str | None, hear: Callable[[Agent], None] | None = None) -> bool:
    """Run the agent of a state directory until it is stopped; return whether it wants to run again.

    `hear` lets what stops it know the agent; by default signals do.

    Raises:
        AgentError: it cannot start, and what to do.
    """
    state = State(directory)
    enrolment = state.enrolment()
    state.create()
    state.lock()
    config, problem = last_good(state, config_file)
    log = Log(config.log_level)
    if problem:
        log.error("configuration not taken, the last good one holds", error=problem)
    step_back(config.nice, log)
    agent = assemble(state, config, enrolment, log, config_file)
    agent.config_error = problem
    (hear or listen)(agent)
    log.info("started", version=__version__, device=enrolment.device, url=enrolment.url, state=directory)
    agent.run()
    note_stop(state, log)
    state.unlock()
    return agent.again


def begin_anew() -> None:
    """Become this very command once more, with new memory."""
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own interpreter and file


def last_good(state: State, config_file: str | None) -> tuple[Config, str]:
    """Return the configuration, and what is wrong with it if the last good one had to take its place.

    Raises:
        ConfigError: it is wrong, and there is no other.
    """
    good = state.path(GOOD)
    try:
        config = read_config(state, config_file)
    except ConfigError as error:
        if config_file is not None or read_file(good) is None:
            raise
        return read_config(state, good), str(error)
    text = state.read("agent.conf") or ""
    if config_file is None and text != (state.read(GOOD) or ""):
        _note(state, text, Log("error"), GOOD)
    return config, ""


def listen(agent: Agent) -> None:
    """Let signals stop the agent, or ask it for its status."""
    import _signal as signal  # type: ignore[import-not-found]  # the module signal would cost 1 MB (enum)

    def stop(_number: int, _frame: object) -> None:
        agent.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, lambda _number, _frame: agent.tell())
        signal.signal(signal.SIGUSR2, lambda _number, _frame: agent.nap())
        signal.signal(signal.SIGHUP, lambda _number, _frame: agent.reload())
    signal.set_wakeup_fd(agent.wake_file, warn_on_full_buffer=False)
