"""How light the agent is, beside Debian's node_exporter on the same machine in the same minute and a half.

Both see 200 processes and are on loopback: the agent reads and sends over TLS every 10 s, node_exporter (with its
process and systemd collectors) is scraped every 10 s.
"""

import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent.enrolment import enrol, read_token
from agent.state import State
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.bench.figure import Figure

INTERVAL = 10.0
WARM_SECONDS = 25.0
SECONDS = 60.0
PROCESSES = 200
STARTS = 7
MAIN = Path(__file__).parents[2] / "agent" / "__main__.py"
PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable  # Debian's, as on a customer's machine


class Counting:
    """A TCP relay that counts the bytes of both directions: what really goes over the wire, TLS included."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self.bytes += len(data)
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


@contextmanager
def process(*command: str) -> Iterator[int]:
    """A program that runs while the block does; yields its id."""
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield started.pid
    finally:
        started.terminate()
        started.wait(10)


def cpu_ms(pid: int) -> float:
    """Return the CPU time of a process and its threads so far, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def memory_mib(pid: int) -> tuple[float, float]:
    """Return (RSS, PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kib["Rss"] / 1024, kib["Pss"] / 1024


def enrolled(collector: TestCollector, folder: Path, port: int) -> Path:
    """Enrol a state directory whose agent goes through a port."""
    state = State(str(folder))
    state.create()
    made = enrol(read_token(collector.enrolment_token(u=f"https://127.0.0.1:{port}")), name="bench")
    state.enrol(made)
    return folder


def first_samples(collector: TestCollector, folder: Path) -> list[float]:
    """Return the milliseconds from start to the first reading, of several starts."""
    found = []
    for _ in range(STARTS):
        known = len(collector.rows())
        started = time.time()
        with process(PYTHON, "-I", "-S", str(MAIN), "--state", str(folder), "run"):
            while len(collector.rows()) == known:
                time.sleep(0.005)
            found.append((collector.rows()[known].time - started) * 1000)
    return found


class Sample:
    """What two processes took over the measured time."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._before = [cpu_ms(pid) for pid in pids]
        self._since = time.monotonic()

    def cpu_ms_per_min(self) -> list[float]:
        """Return the CPU time a minute of each."""
        minutes = (time.monotonic() - self._since) / 60
        return [(cpu_ms(pid) - before) / minutes for pid, before in zip(self._pids, self._before, strict=True)]


def run() -> Iterator[Figure]:
    """Measure; about two minutes."""
    exporter = shutil.which("prometheus-node-exporter")
    if exporter is None:
        yield Figure("agent.rss_mib", None, "MiB", why="prometheus-node-exporter is missing: make servers")
        return
    version = subprocess.run([exporter, "--version"], capture_output=True, text=True, check=True)
    peer = "node_exporter " + (version.stdout + version.stderr).split("version ")[1].split(",")[0]
    with tempfile.TemporaryDirectory() as folder, running(Authority()) as collector, ExitStack() as stack:
        collector.interval = INTERVAL
        starts = first_samples(collector, enrolled(collector, Path(folder) / "starts", collector.port))
        yield Figure("agent.first_sample_ms", statistics.median(starts), "ms", n=STARTS)
        stack.enter_context(crowd())
        relay = Counting(collector.port)
        stack.callback(relay.close)
        state = enrolled(collector, Path(folder) / "state", relay.port)
        agent = stack.enter_context(process(PYTHON, "-I", "-S", str(MAIN), "--state", str(state), "run"))
        port = relay.port + 1
        node = stack.enter_context(process(exporter, "--collector.processes", f"--web.listen-address=127.0.0.1:{port}"))
        time.sleep(1)
        stack.enter_context(scraping(f"http://127.0.0.1:{port}/metrics"))
        yield from side_by_side(collector, relay, agent, node, peer)


def side_by_side(collector: TestCollector, relay: Counting, agent: int, node: int, peer: str) -> Iterator[Figure]:
    """Yield the figures of both over the same minute."""
    time.sleep(WARM_SECONDS)
    sample = Sample([agent, node])
    rows, sent = len(collector.rows()), relay.bytes
    time.sleep(SECONDS)
    ours, theirs = sample.cpu_ms_per_min()
    batches = len(collector.rows()) - rows
    values = sum(len(row.values) for row in collector.rows()[rows:])
    yield Figure("agent.wire_bytes_per_value", (relay.bytes - sent) / values, "B", n=values)
    yield Figure("agent.cpu_ms_per_min", ours, "ms", n=batches)
    yield Figure("agent.node_exporter_cpu_ms_per_min", theirs, "ms", n=batches, peer=peer)
    yield Figure("agent.cpu_vs_node_exporter", ours / theirs, "ratio", n=batches, peer=peer)
    for name, mine, other in zip(("rss", "pss"), memory_mib(agent), memory_mib(node), strict=True):
        yield Figure(f"agent.{name}_mib", mine, "MiB")
        yield Figure(f"agent.node_exporter_{name}_mib", other, "MiB", peer=peer)
        yield Figure(f"agent.{name}_vs_node_exporter", mine / other, "ratio", peer=peer)


@contextmanager
def crowd() -> Iterator[None]:
    """As many processes as a machine has."""
    missing = PROCESSES - sum(entry.name.isdigit() for entry in Path("/proc").iterdir())
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(max(0, missing))]
    try:
        yield
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


@contextmanager
def scraping(url: str) -> Iterator[None]:
    """Scrape as often as the agent reads."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.is_set():
            with urllib.request.urlopen(url, timeout=5) as answer:
                answer.read()
            ended.wait(INTERVAL)

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
