"""Having a question shown in people's sessions, where the agent has the rights to do so.

Root may act as anybody; an agent that a user runs may act as that user. The agent of a package is nobody in particular:
there the user's own systemd sees the question and starts the window (packaging/agent).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from agent.child import MAIN
from agent.diagnosis.sessions import Person, screen_of
from agent.heavy.people import account

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def show(path: str, people: Sequence[Person]) -> None:
    """Start what shows the question at the socket, once for each of the people."""
    for person in people:
        if os.geteuid() in (0, person.uid):
            command = [sys.executable, "-I", MAIN, "consent", "--prompt", "--at", os.path.dirname(path)]
            environment = screen_of(person.uid)
            if sys.platform == "darwin":
                command = ["launchctl", "asuser", str(person.uid), *command]
            elif not environment:
                continue
            _start(command, {**environment, "PATH": PATH}, person)


def _start(command: Sequence[str], environment: dict[str, str], person: Person) -> None:
    try:
        subprocess.Popen(  # noqa: S603 - our own program, as the one who is asked
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **account(person.name),
        )
    except OSError:
        return  # the console is left
