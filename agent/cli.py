"""The commands of watchdesk-agent, except the short way of `run`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence

from agent import __version__, diagnosing
from agent.errors import AgentError, StateError, TransportError
from agent.state import FILES, FOLDERS, State, default_directory

SHELLS = ("bash", "zsh", "fish")
EPILOG = "exit codes: 0 well, 1 a failure (one sentence on stderr says what to do), 2 wrong use"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="watchdesk-agent",
        description="Reads the health of this machine and brings it to the Watchdesk collector.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"watchdesk-agent {__version__}")
    _state_option(top, default=None)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    enrol = _command(commands, "enrol", "enrol this machine with a token of `watchdesk enrol-token create`")
    enrol.add_argument("token", metavar="TOKEN", help="the token, from wde_ to its end; - reads it from stdin")
    enrol.add_argument("--name", default="", help="the device's name; else this machine's host name")
    enrol.add_argument("--class", dest="klass", choices=("desktop", "server"), default="", help="what it is")
    enrol.add_argument("--proxy", metavar="URL", default="", help="an HTTP proxy to go through, from now on; or system")
    enrol.add_argument("--force", action="store_true", help="replace an enrolment that is there")

    run = _command(commands, "run", "run in the foreground until SIGTERM or Ctrl-C, then say goodbye")
    run.add_argument("--config", metavar="FILE", help="the configuration; else agent.conf in the state directory")

    watched = _command(commands, "supervise", "run, and start again what fails, hangs or takes too much (no systemd)")
    watched.add_argument("--config", metavar="FILE", help="the configuration; else agent.conf in the state directory")

    status = _command(commands, "status", "show last contact, spool, and each probe's time and result")
    status.add_argument("--json", action="store_true", help="for a script")

    doctor = _command(commands, "doctor", "look at what stands between this machine and its collector, and what to do")
    doctor.add_argument("--config", metavar="FILE", help="the configuration; else agent.conf in the state directory")
    doctor.add_argument("--json", action="store_true", help="for a script")

    probe = _command(commands, "probe", "read once and print what would be sent, in Prometheus text format")
    probe.add_argument("name", metavar="NAME", help="a probe's name, or all")
    probe.add_argument("--config", metavar="FILE", help="the configuration; else agent.conf in the state directory")

    for name, about in diagnosing.ABOUT.items():
        diagnosing.add_arguments(name, _command(commands, name, about))

    uninstall = _command(commands, "uninstall", "retire this machine at the collector and remove the agent's state")
    uninstall.add_argument("--force", action="store_true", help="remove the state though the collector is not reached")

    service = _command(commands, "service", "install or remove the system's service that runs the agent (as root)")
    service.add_argument("deed", metavar="install|remove", choices=("install", "remove"))

    completion = _command(commands, "completion", "print a completion script for a shell")
    completion.add_argument("shell", choices=SHELLS)
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=EPILOG)
    _state_option(made, default=argparse.SUPPRESS)  # after the command it wins over one before it
    return made


def _state_option(to: argparse.ArgumentParser, default: str | None) -> None:
    standard = default_directory(os.environ, root=_is_root())
    to.add_argument("--state", metavar="DIR", default=default, help=f"the agent's state (now: {standard})")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def command(words: Sequence[str]) -> int:
    """Run a command line and return the exit code."""
    try:
        chosen = parser().parse_args(words)
    except SystemExit as done:  # argparse has said why
        return int(done.code or 0)
    state = State(chosen.state or default_directory(os.environ, root=_is_root()))
    os.umask(0o077)
    try:
        return COMMANDS[chosen.command](state, chosen)
    except AgentError as error:
        print(f"watchdesk-agent: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


say = diagnosing.say


def enrol_command(state: State, chosen: argparse.Namespace) -> int:
    """Enrol this machine."""
    from agent.enrolment import enrol, read_token
    from agent.start import proxy_of, read_config

    given: str = chosen.token
    token = read_token(sys.stdin.readline() if given == "-" else given)
    state.create()
    if state.running() is not None:
        raise StateError(f"an agent is running with {state.directory}; stop it before enrolling again")
    if state.read("token") and not chosen.force:
        raise StateError(f"this machine is enrolled already (in {state.directory}); to replace that, add --force")
    if chosen.proxy:
        if state.read("agent.conf") not in (None, f"proxy = {chosen.proxy}\n"):
            raise StateError(f"write the proxy into {state.path('agent.conf')}, which is there already")
        state.write("agent.conf", f"proxy = {chosen.proxy}\n")
    proxy = proxy_of(read_config(state, None), os.environ)
    enrolment = enrol(token, name=chosen.name, klass=chosen.klass, proxy=proxy)
    state.enrol(enrolment)
    say(f"Enrolled as {enrolment.device} at {enrolment.url}, a reading every {enrolment.interval:g} s.")
    return 0


def run_command(state: State, chosen: argparse.Namespace) -> int:
    """Run in the foreground."""
    from agent.start import begin_anew, run

    if run(state.directory, chosen.config):
        begin_anew()
    return 0


def supervise_command(state: State, chosen: argparse.Namespace) -> int:
    """Run as a child, and watch over it."""
    from agent.supervise import supervise

    state.create()
    config = ["--config", chosen.config] if chosen.config else []
    return supervise(state, ["--state", state.directory, "run", *config])


def status_command(state: State, chosen: argparse.Namespace) -> int:
    """Show what the running agent is doing."""
    from agent.asking import ask, show

    said = ask(state)
    say(json.dumps(said) if chosen.json else show(said, time.time()))
    return 0 if said["running"] else 1


def doctor_command(state: State, chosen: argparse.Namespace) -> int:
    """Examine the way to the collector."""
    from agent import doctor

    findings = doctor.examine(state, chosen.config, os.environ, time.time)
    say(json.dumps([finding._asdict() for finding in findings]) if chosen.json else doctor.show(findings))
    return 1 if any(finding.state == doctor.PROBLEM for finding in findings) else 0


def probe_command(state: State, chosen: argparse.Namespace) -> int:
    """Read once and print."""
    from agent.asking import read_once

    say(read_once(state, chosen.name, chosen.config).rstrip("\n"))
    return 0


def uninstall_command(state: State, chosen: argparse.Namespace) -> int:
    """Retire the device and remove the state."""
    from agent import service
    from agent.enrolment import retire
    from agent.start import proxy_of, read_config

    if not os.path.isdir(state.directory):
        say(f"There is nothing in {state.directory}.")
        return 0
    ours = _is_root() and service.by_script()
    if ours:
        service.carry_out(service.stop())
    if state.running() is not None:
        raise StateError(f"an agent is running with {state.directory}; stop it before uninstalling")
    if state.read("token"):
        try:
            retire(state.enrolment(), proxy_of(read_config(state, None), os.environ))
        except TransportError as error:
            if not chosen.force:
                raise TransportError(
                    f"the collector could not be told: {error}; try again, or add --force and retire the device there"
                ) from error
            print(f"watchdesk-agent: the collector was not told: {error}", file=sys.stderr)  # noqa: T201
    remove(state)
    if ours:
        service.carry_out(service.remove(state.directory))
    say(f"Removed {state.directory}{' and the program' if ours else ''}.")
    return 0


def remove(state: State) -> None:
    """Remove what the agent wrote, and the directory if nothing else is in it.

    Raises:
        StateError: somebody else's files are in it, or it cannot be removed.
    """
    try:
        for folder, names in (*((state.path(name), None) for name in FOLDERS), (state.directory, FILES)):
            if os.path.isdir(folder):
                for name in os.listdir(folder):
                    if names is None or name.removesuffix(".new") in names:
                        os.unlink(os.path.join(folder, name))
                os.rmdir(folder)
    except OSError as error:
        raise StateError(f"cannot remove all of {state.directory}: {error.strerror}; look into it") from error


def service_command(state: State, chosen: argparse.Namespace) -> int:
    """Install or remove the service."""
    from agent import service

    if chosen.deed == "remove":
        service.carry_out([*service.stop(), *service.remove_unit()])
        say("The service is removed; the state and the program are still there.")
        return 0
    device = state.enrolment().device
    program = service.LINK if service.by_script() else os.path.abspath(sys.argv[0])
    steps = service.install(state.directory, program)
    service.carry_out(steps)
    if any(isinstance(step, service.Write) for step in steps):
        say(f"The service runs, now and after each boot, as {device}.")
    else:
        say(f"No systemd runs here: have `{program} --state {state.directory} run` started as user watchdesk-agent.")
    return 0


def completion_command(_state: State, chosen: argparse.Namespace) -> int:
    """Print a completion script."""
    from agent.completion import script

    say(script(chosen.shell))
    return 0


COMMANDS = {
    **diagnosing.COMMANDS,
    "enrol": enrol_command,
    "run": run_command,
    "supervise": supervise_command,
    "status": status_command,
    "probe": probe_command,
    "uninstall": uninstall_command,
    "service": service_command,
    "doctor": doctor_command,
    "completion": completion_command,
}
