"""The program watchdesk-agent. `run` takes the short way, the other commands the long one with argparse."""

from __future__ import annotations

import os
import sys

# `python3 -I -S .../agent/__main__.py`: the lean way to run, without site-packages, has to find its own package.
if not __package__:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


CHILDREN = ("errand", "diagnosis-requests", "diagnosis-worker")  # how the agent starts itself


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code: 0 well, 1 a failure that is explained, 2 wrong use."""
    if sys.stderr is None:  # pythonw.exe: a service or an installer, where nobody reads it
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    words = list(sys.argv[1:] if arguments is None else arguments)
    deed = next((word for word in words if word in CHILDREN), "")
    if deed:
        return run_child(deed, words)
    if words == ["windows-service"]:
        from agent.service_windows import serve

        return serve()
    plain = plain_run(words)
    if plain is None:
        from agent.cli import command

        return command(words)
    make_lean(words)
    from agent.errors import AgentError
    from agent.start import begin_anew, run
    from agent.state import default_directory

    directory, config = plain
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        if run(directory or default_directory(os.environ, root=is_root), config):
            begin_anew()
        return 0
    except AgentError as error:
        sys.stderr.write(f"watchdesk-agent: {error}\n")
        return 1


def plain_run(words: Sequence[str]) -> tuple[str | None, str | None] | None:
    """Return (--state, --config) if the command is `run` with nothing else, for which argparse need not be loaded."""
    values: dict[str, str] = {}
    command = ""
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in ("--state", "--config") and option not in values:
            values[option] = value if equals else next(rest, "")
            if not values[option]:
                return None
        elif word == "run" and not command:
            command = word
        else:
            return None
    return (values.get("--state"), values.get("--config")) if command else None


def run_child(deed: str, words: Sequence[str]) -> int:
    """Do one thing and end: `--state DIR [--config FILE] errand NAME …`, as the running agent calls it."""
    at = words.index(deed)
    values = dict(zip(words[:at:2], words[1:at:2], strict=False))
    rest = words[at + 1 :]
    if deed == "errand":
        from agent.errand import errand

        return errand(values.get("--state", ""), values.get("--config"), rest)
    if deed == "diagnosis-worker":
        from agent.diagnosis.worker import worker

        return worker(list(rest))
    from agent.diagnosis.main import handle

    return handle(values.get("--state", ""), values.get("--config"), rest)


def make_lean(words: Sequence[str]) -> None:
    """Start over without site-packages, which cost memory that the agent never uses on Linux."""
    if not sys.platform.startswith("linux") or (sys.flags.isolated and sys.flags.no_site):
        return
    if os.environ.get("WATCHDESK_AGENT_LEAN") == "no":  # to measure coverage, or to debug
        return
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__), *words]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter and file


if __name__ == "__main__":
    sys.exit(main())
