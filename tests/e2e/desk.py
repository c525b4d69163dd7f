"""Runs the real programs: `watchdesk serve` or `up`, and `watchdesk-agent`, each as a process, on folders of a test."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ticketing.database import connect
from ticketing.incident import State, to_json
from ticketing.scope import EVERYTHING
from ticketing.store import Filter, Order, Store

BIN = Path(sys.executable).parent
Value = TypeVar("Value")


def free_port() -> int:
    """Return a port that is free now, as is the one after it.

    None that the system gives to outgoing connections: while a collector is down, one could get its port.
    """
    while True:
        with socket.socket() as first, socket.socket() as second:
            port = random.SystemRandom().randrange(20_000, 32_000)
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def eventually(
    what: Callable[[], Value | None], *, seconds: float = 30, otherwise: str | Callable[[], str] = ""
) -> Value:
    """Return what the call returns as soon as that is neither None nor False."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError((otherwise() if callable(otherwise) else otherwise) or f"nothing after {seconds} s")
        time.sleep(0.05)


class Process:
    """A program of ours that runs, its output in a file."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def stop(self, seconds: float = 15) -> int:
        """Ask it to stop, and return its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.popen.kill()
        self.popen.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def output(self) -> str:
        """Return what it wrote until now."""
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
            self.popen.wait()


class Desk:
    """A collector of a test."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = port or free_port()
        self.processes: list[Process] = []
        self.collector: Process | None = None
        self._store: Store | None = None

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    def configure(self, text: str) -> None:
        """Write the collector's configuration."""
        self.data.mkdir(exist_ok=True, mode=0o700)
        (self.data / "watchdesk.yml").write_text(text)

    def serve(self, *, environment: dict[str, str] | None = None) -> Process:
        """Start the collector, and return when it is ready."""
        self.collector = self.run("serve", "--port", str(self.port), environment=environment)
        eventually(self.ready, otherwise=self.collector.output)
        return self.collector

    def run(self, *words: str, environment: dict[str, str] | None = None) -> Process:
        """Start a `watchdesk` command that goes on."""
        command = [str(BIN / "watchdesk"), "--data", str(self.data), *words]
        process = Process(command, self.folder / f"{words[0]}.log", environment)
        self.processes.append(process)
        return process

    def ready(self) -> bool:
        """Whether the pages answer."""
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a `watchdesk` command to its end."""
        command = [str(BIN / "watchdesk"), "--data", str(self.data), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    @property
    def store(self) -> Store:
        """The incidents, read as the command reads them."""
        if self._store is None:
            self._store = Store(connect(f"sqlite:///{self.data / 'watchdesk.db'}"))
        return self._store

    def incidents(self, **wanted: object) -> list[dict[str, Any]]:
        """Return the incidents that have these members, the newest first."""
        page = self.store.incidents(EVERYTHING, Filter(states=frozenset(State)), order=Order.NEWEST, limit=200)
        found = [to_json(incident) for incident in page.incidents]
        return [one for one in found if all(one[name] == value for name, value in wanted.items())]

    def wait_incident(self, *, seconds: float = 30, **wanted: object) -> dict[str, Any]:
        """Return the incident that has these members as soon as there is one."""
        return eventually(
            lambda: next(iter(self.incidents(**wanted)), None),
            seconds=seconds,
            otherwise=lambda: f"no incident with {wanted}; there are {self.incidents()}",
        )

    def token(self, customer: str = "acme", site: str = "hq", **options: str) -> str:
        """Return a new enrolment token."""
        more = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        done = self.command("enrol-token", "create", "--customer", customer, "--site", site, *more)
        return done.stdout.strip()

    def agent(self, name: str = "pc1", **options: str) -> Agent:
        """Return an agent that is enrolled, and not yet running."""
        agent = Agent(self, name)
        done = agent.command("enrol", self.token(**options), "--name", name)
        assert done.returncode == 0, done.stderr
        agent.configure("interval = 1\n")
        return agent

    def scrape(self, path: str, *, token: bool = True) -> str:
        """Return what Prometheus would get."""
        request = urllib.request.Request(self.url + path)
        if token:
            request.add_header("Authorization", f"Bearer {(self.data / 'metrics.token').read_text()}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def end(self) -> None:
        """End every process of the test."""
        for process in reversed(self.processes):
            process.end()


class Agent:
    """An agent of a test, with a state folder of its own."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk = desk
        self.name = name
        self.state = desk.folder / f"agent-{name}"
        self.process: Process | None = None

    def _words(self, *words: str) -> list[str]:
        return [str(BIN / "watchdesk-agent"), "--state", str(self.state), *words]

    def configure(self, text: str) -> None:
        """Write the agent's configuration."""
        (self.state / "agent.conf").write_text(text)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a `watchdesk-agent` command to its end."""
        return subprocess.run(self._words(*words), capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> Process:
        """Start the agent."""
        self.process = Process(self._words("run"), self.desk.folder / f"agent-{self.name}.log")
        self.desk.processes.append(self.process)
        return self.process


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """Give a desk whose processes end with the test."""
    made = Desk(folder)
    try:
        yield made
    finally:
        made.end()
