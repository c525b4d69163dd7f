"""Networks of our own: each node is a network namespace, held by a process that goes with the test."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.diagnosis.local import run_here
from agent.errors import AgentError
from agent.state import State
from tests.agent.helpers import ROOT

LIVES = "900"
NOBODY = 65_534
LIBC = ctypes.CDLL(None, use_errno=True)


class Node:
    """A machine of the network; `pid` is the process that keeps it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def words(self, *words: str | Path) -> list[str]:
        """Return the command that runs a program there."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", *map(str, words)]

    def run(self, *words: str | Path) -> str:
        """Run a program there, which must succeed."""
        done = subprocess.run(self.words(*words), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def ip(self, line: str) -> None:
        """Run ip(8)."""
        self.run("ip", *line.split())

    def joins(self, name: str, address: str, other: "Node", other_name: str, other_address: str) -> None:
        """A cable to another node."""
        self.ip(f"link add {name} type veth peer name {other_name} netns {other.pid}")
        for node, device, where in ((self, name, address), (other, other_name, other_address)):
            node.ip(f"address add {where} dev {device}")
            node.ip(f"link set {device} mtu 1500 up")

    def diagnose(self, name: str, *words: str, rights: bool = True) -> dict[str, Any]:
        """Run a diagnosis there, in a process of its own, with root's rights or with none; return its result."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _told_there(self.pid, write_end, name, words, rights=rights)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as said:
            found: dict[str, Any] = json.loads(said.read() or b'{"error": "it ended without a word"}')
        os.waitpid(pid, 0)
        assert "error" not in found, found["error"]
        return found

    @contextmanager
    def serving(self, code: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A Python program that runs there; it says a line when it is ready."""
        process = subprocess.Popen(
            self.words("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", code, *words),
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), "it did not start"
            yield process
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()


def _told_there(node: int, out: int, name: str, words: tuple[str, ...], *, rights: bool) -> None:
    """Enter the namespaces, run it, write what `watchdesk-agent diagnose` would, and end."""
    try:
        for kind in ("net", "mnt"):
            file = os.open(f"/proc/{node}/ns/{kind}", os.O_RDONLY)
            assert LIBC.setns(file, 0) == 0
            os.close(file)
        if not rights:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        said = run_here(State("/nonexistent"), name, words)
    except (AgentError, AssertionError, OSError, ValueError, TypeError) as error:
        said = json.dumps({"error": f"{type(error).__name__}: {error}"})
    finally:
        data = memoryview(said.encode())
        while data:
            data = data[os.write(out, data) :]
        os._exit(0)


@contextmanager
def network(count: int) -> Iterator[list[Node]]:
    """Nodes that are not connected yet."""
    with ExitStack() as stack:
        yield [stack.enter_context(_node()) for _ in range(count)]


@contextmanager
def _node() -> Iterator[Node]:
    process = subprocess.Popen(["unshare", "-nm", "setpriv", "--pdeathsig", "KILL", "sleep", LIVES])
    try:
        until = time.monotonic() + 30
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            assert time.monotonic() < until
            time.sleep(0.01)
        node = Node(process.pid)
        node.run("mount", "-t", "sysfs", "sysfs", "/sys")  # else it shows the interfaces of the namespace around
        node.ip("link set lo up")
        yield node
    finally:
        process.kill()
        process.wait(10)


def needs_networks() -> pytest.MarkDecorator:
    """Skip where namespaces cannot be made."""
    return pytest.mark.skipif(not _possible(), reason="needs root that may make network namespaces, ip, setpriv")


def _possible() -> bool:
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("unshare", "nsenter", "ip", "setpriv")):
        return False
    return subprocess.run(["unshare", "-nm", "true"], capture_output=True, check=False).returncode == 0
