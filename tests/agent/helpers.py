"""What the agent's tests share: clocks that are set by hand, a log that is kept, real agent processes."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import child
from agent.errands import Errands
from agent.events import Events
from agent.log import Log
from agent.scout import Scout
from agent.state import State
from tests.agent.collector import TestCollector

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "agent" / "__main__.py"
NOW = 1_790_000_000.0


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Lines(Log):
    """A log that keeps its lines."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__("debug", self.lines.append)


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a condition holds; fail if it does not in generous time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.01)


def command(*words: str, state: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run watchdesk-agent to its end."""
    options = ["--state", str(state)] if state is not None else []
    return subprocess.run(
        [sys.executable, "-m", "agent", *options, *words],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class AgentProcess:
    """A real `watchdesk-agent run`."""

    def __init__(self, state: Path, *, config: str = "") -> None:
        self.state = state
        (state / "agent.conf").write_text(config)
        self._errors = (state.parent / f"{state.name}.log").open("a+")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(MAIN), "--state", str(state), "run"], stderr=self._errors
        )
        self.pid = self._process.pid

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self._process.terminate()
        return self._process.wait(10)

    def wait(self) -> int:
        """Wait for it to end by itself."""
        return self._process.wait(20)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def log(self) -> str:
        """Return what it wrote to stderr, former runs with the same state included."""
        return Path(self._errors.name).read_text()

    def close(self) -> None:
        """Make sure that it is gone."""
        if self.alive:
            self.kill()
        self._errors.close()


@contextmanager
def agent(state: Path, *, config: str = "interval = 1\n") -> Iterator[AgentProcess]:
    """A running agent of an enrolled state directory."""
    process = AgentProcess(state, config=config)
    try:
        yield process
    finally:
        process.close()


def idle_scout() -> Scout:
    """What sees nothing but the readings."""
    events = Events(time.time, time.monotonic)
    return Scout(events, Errands([], [], child.start, events, Lines(), time.monotonic()))


def enrolled(collector: TestCollector, state: Path) -> Path:
    """Enrol, and return the state directory."""
    done = command("enrol", collector.enrolment_token(), "--name", "pc", state=state)
    assert done.returncode == 0, done.stderr
    assert State(str(state)).enrolment().device == "pc.hq.acme"
    return state
