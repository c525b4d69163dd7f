"""Who watches the agent: systemd by its signs of life, a parent elsewhere; and that it tells why it was ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent import wire
from agent.lifeline import NEVER, Lifeline, why
from agent.service_linux import UNIT
from agent.state import State
from agent.supervise import Limits, Supervisor, usage
from tests.agent.collector import TestCollector
from tests.agent.helpers import MAIN, Lines, agent, command, enrolled, eventually
from tests.agent.systemd import PYTHON, booted, needs_systemd, systemctl


def told(collector: TestCollector) -> list[str]:
    """Return what the agent said of itself."""
    events = [json.loads(payload) for kind, payload in collector.taken.frames.values() if kind == wire.Kind.EVENT]
    return [event["text"] for event in events if event["type"] == "agent"]


def test_signs_of_life_come_twice_in_each_span(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        line = Lifeline({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"})
        line.ready(100.0)
        assert heard.recv(99) == b"READY=1"
        assert line.due == 105.0
        line.beat(104.9)
        with pytest.raises(BlockingIOError):
            heard.recv(99)
        line.beat(105.0)
        assert heard.recv(99) == b"WATCHDOG=1"
        assert line.due == 110.0
    line.beat(111.0)  # nobody listens any more
    line.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}])
def test_nobody_who_watches(environ: dict[str, str]) -> None:
    line = Lifeline(environ)
    line.ready(1.0)
    assert line.due == NEVER
    line.close()


def test_why() -> None:
    assert why("watchdog\n") == "it hung"
    assert "memory" in why("oom-kill")
    assert "nobody knows" in why("")
    assert "nobody knows" in why("rm -rf\n")


def script(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "child.py"
    file.write_text("import os, signal, socket, sys, time\n" + text)
    return [sys.executable, "-I", "-S", str(file), str(tmp_path / "runs")]


COUNTED = "runs = open(sys.argv[1], 'a+'); runs.write('x'); runs.flush(); runs.seek(0); number = len(runs.read())\n"
SAY = (
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "say = lambda: s.sendto(b'WATCHDOG=1', os.environ['NOTIFY_SOCKET'])\n"
)


@pytest.mark.parametrize(
    ("fails", "result"),
    [
        ("say(); time.sleep(1000)", "watchdog"),
        ("held = b'x' * (90 << 20)\nwhile True: say(); time.sleep(0.1)", "memory"),
        ("sys.exit(3)", "exit-code"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "core-dump"),
    ],
    ids=["hangs", "memory", "failure", "killed", "aborted"],
)
def test_what_fails_is_started_again_and_why_is_kept(tmp_path: Path, fails: str, result: str) -> None:
    words = script(tmp_path, COUNTED + SAY + f"if number == 2: sys.exit(0)\n{fails}\n")
    made = Supervisor(
        words, State(str(tmp_path)), Lines(), limits=Limits(silence=2.0, memory=64 << 20), first_pause=0.05
    )
    assert made.run(os.environ) == 0
    assert (tmp_path / "runs").read_text() == "xx"
    assert (tmp_path / "ended").read_text() == f"{result}\n"
    assert not (tmp_path / "lifeline").exists()


def test_a_stop_is_handed_on_and_nothing_is_started_again(tmp_path: Path) -> None:
    words = script(
        tmp_path,
        COUNTED + "signal.signal(15, lambda *_: sys.exit(7))\nopen(sys.argv[1] + '.on', 'w')\ntime.sleep(1000)\n",
    )
    made = Supervisor(words, State(str(tmp_path)), Lines(), limits=Limits())
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(made.run(os.environ)))
    thread.start()
    eventually((tmp_path / "runs.on").exists, 60)
    made.stop()
    thread.join(60)
    assert codes == [7]
    assert (tmp_path / "runs").read_text() == "x"
    assert not (tmp_path / "ended").exists()


def test_what_a_process_takes() -> None:
    memory, cpu = usage(os.getpid())
    assert memory > 10 << 20
    assert cpu > 0
    assert usage(1 << 30) == (0, 0.0)


def test_under_a_parent_it_is_started_again_and_says_so(collector: TestCollector, state: Path) -> None:
    (state / "agent.conf").write_text("interval = 1\n")
    parent = subprocess.Popen(
        [sys.executable, "-I", "-S", MAIN, "--state", state, "supervise"], stderr=subprocess.DEVNULL
    )
    try:
        eventually(collector.rows, 60)
        first = int((state / "lock").read_text())
        os.kill(first, signal.SIGKILL)
        eventually(lambda: [one["reason"] for one in collector.said(wire.Kind.HELLO)] == ["start", "crash"], 60)
        assert int((state / "lock").read_text()) != first
        eventually(lambda: told(collector), 60)
        assert told(collector) == ["The agent had ended without a goodbye: it was killed. It runs again"]
        assert command("status", state=state).returncode == 0
    finally:
        parent.terminate()
        assert parent.wait(60) == 0
    assert collector.said(wire.Kind.GOODBYE)[0]["reason"] == "stop"


def test_without_one_who_watches_it_still_says_that_it_crashed(collector: TestCollector, state: Path) -> None:
    with agent(state) as process:
        eventually(collector.rows)
        process.kill()
    with agent(state):
        eventually(lambda: told(collector))
    assert "nobody knows why" in told(collector)[0]


@needs_systemd()
def test_systemd_ends_one_that_hangs(collector: TestCollector, tmp_path: Path) -> None:
    """What of the shipped unit concerns watching, with a span of 2 s instead of 120."""
    shipped = UNIT.format(directory="/shared/state", program="unused", state="unused")
    watching = ("Type=", "Restart=", "LimitCORE=", "ExecStopPost=", "MemoryMax=")
    kept = [line for line in shipped.splitlines() if line.startswith(watching)]
    assert len(kept) == len(watching)
    lines = [
        "[Unit]", "DefaultDependencies=no", "StartLimitIntervalSec=0", "[Service]", "WatchdogSec=2", "RestartSec=0.1",
        *kept,
        f"ExecStart={PYTHON} -I -S /src/agent/__main__.py --state /shared/state run",
    ]  # fmt: skip
    with booted(tmp_path, {"agent.service": "\n".join(lines)}) as root:
        state = enrolled(collector, tmp_path / "shared" / "state")
        (state / "agent.conf").write_text("interval = 600\nprobe.updates = off\n")
        systemctl(root, "start", "agent.service")
        eventually(collector.rows, 60)
        systemctl(root, "kill", "-s", "STOP", "agent.service")
        eventually(lambda: "crash" in [one["reason"] for one in collector.said(wire.Kind.HELLO)], 60)
        eventually(lambda: told(collector), 60)
    assert told(collector)[0] == "The agent had ended without a goodbye: it hung. It runs again"
