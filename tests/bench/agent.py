"""How light the agent is, beside Debian's node_exporter, zabbix-agent2, netdata and collectd in the same minutes.

All see 200 processes and are on loopback: the agent reads and sends over TLS every 10 s, node_exporter (with its
process and systemd collectors) is scraped every 10 s. CPU is that of a program and of all that it started; the agent's
children for heavy readings are counted, and told once more by themselves, for the first runs of all fall together.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent.enrolment import enrol, read_token
from agent.heavy import heavy
from agent.probes.processes import _scan
from agent.state import State
from tests.agent import systemd
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.bench import agentpeers
from tests.bench.figure import Figure

INTERVAL = 10.0
WARM_SECONDS = 75.0  # the first runs of the heavy readings fall into it
MANY_PROCESSES = 10_000
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
    """Return the CPU time of a process, its threads and its children so far; of those that live to the nanosecond."""
    return sum(_own_cpu_ms(one) for one in family(pid)) + ended_cpu_ms(pid)


def _own_cpu_ms(pid: int) -> float:
    found = 0.0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            found += int(task.read_text().split()[0]) / 1e6
    return found


def ended_cpu_ms(pid: int) -> float:
    """Return the CPU time of the children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * 1000 / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all that it has started and that lives."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                found += family(int(child))
    return found


def memory_mib(pid: int) -> tuple[float, float]:
    """Return (RSS, PSS) of a process and all that it has started; RSS counts what they share for each."""
    rss = pss = 0
    for one in family(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]
            kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
            rss += kib["Rss"]
            pss += kib["Pss"]
    return rss / 1024, pss / 1024


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
    """Measure; about four minutes."""
    exporter = shutil.which("prometheus-node-exporter")
    if exporter is None:
        yield Figure("agent.rss_mib", None, "MiB", why="prometheus-node-exporter is missing: make servers")
        return
    absent = agentpeers.missing()
    for name in absent:
        yield Figure(f"agent.cpu_vs_{name}", None, "ratio", why=f"{agentpeers.PACKAGES[name]} cannot be installed")
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
        collectors = ("--collector.processes", "--collector.systemd")
        node = stack.enter_context(process(exporter, *collectors, f"--web.listen-address=127.0.0.1:{port}"))
        time.sleep(1)
        stack.enter_context(scraping(f"http://127.0.0.1:{port}/metrics"))
        others = {}
        for name in agentpeers.PACKAGES:
            if name not in absent:
                others[name] = stack.enter_context(agentpeers.peer(name, Path(folder) / name, INTERVAL))
        yield from side_by_side(collector, relay, agent, node, peer, others)
    yield from dead_service()
    yield many_processes()


def side_by_side(
    collector: TestCollector, relay: Counting, agent: int, node: int, peer: str, others: Mapping[str, int]
) -> Iterator[Figure]:
    """Yield the figures of all over the same minute."""
    time.sleep(WARM_SECONDS)
    yield Figure("agent.heavy_first_run_ms", ended_cpu_ms(agent), "ms", n=len(heavy("linux")))
    sample = Sample([agent, node, *others.values()])
    rows, sent = len(collector.rows()), relay.bytes
    time.sleep(SECONDS)
    ours, theirs, *rest = sample.cpu_ms_per_min()
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
    for (name, pid), cpu in zip(others.items(), rest, strict=True):
        if not cpu:
            yield Figure(f"agent.cpu_vs_{name}", None, "ratio", peer=name, why="it did not run")
            continue
        rss, pss = memory_mib(pid)
        yield Figure(f"agent.{name}_cpu_ms_per_min", cpu, "ms", peer=name)
        yield Figure(f"agent.cpu_vs_{name}", ours / cpu, "ratio", peer=name)
        yield Figure(f"agent.{name}_rss_mib", rss, "MiB", peer=name)
        yield Figure(f"agent.{name}_pss_mib", pss, "MiB", peer=name)


def dead_service() -> Iterator[Figure]:
    """Yield how long it takes from a service's end to the collector, under a real systemd, at an interval of 600 s."""
    name = "agent.dead_service_ms"
    if not systemd.possible():
        yield Figure(name, None, "ms", why="needs root and systemd")
        return
    with tempfile.TemporaryDirectory() as folder, running(Authority()) as collector:
        units = {"bench.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sleep 1000\n"}
        with systemd.booted(Path(folder), units) as root:
            state = enrolled(collector, Path(folder) / "shared" / "state", collector.port)
            (state / "agent.conf").write_text("interval = 600\n")
            run_agent = (PYTHON, "-I", "-S", "/src/agent/__main__.py", "--state", "/shared/state", "run")
            with process(*systemd.inside(root, *run_agent)):
                found = [_one_death(collector, root) for _ in range(5)]
    yield Figure(name, statistics.median(found), "ms", n=len(found))


def _one_death(collector: TestCollector, root: Path) -> float:
    state = 'node_systemd_unit_state{name="bench.service",state="%s",type="simple"}'
    systemd.systemctl(root, "reset-failed", "bench.service")
    systemd.systemctl(root, "start", "bench.service")
    while not collector.rows():
        time.sleep(0.01)
    time.sleep(6)  # as many readings out of turn as there may be
    started = time.monotonic()
    systemd.systemctl(root, "kill", "--signal=KILL", "bench.service")
    while collector.rows()[-1].values.get(state % "failed") != 1:
        time.sleep(0.002)
    return (time.monotonic() - started) * 1000


def many_processes() -> Figure:
    """Return the CPU time of a scan of a machine with 10,000 processes, which is recorded for it."""
    with tempfile.TemporaryDirectory() as folder:
        for pid in range(MANY_PROCESSES):
            place = Path(folder) / "proc" / str(pid)
            place.mkdir(parents=True)
            (place / "stat").write_text(f"{pid} (p) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 29 0 0\n")
        started = time.process_time()
        _scan(folder + "/proc", {})
        return Figure("agent.scan_10k_processes_ms", (time.process_time() - started) * 1000, "ms", n=MANY_PROCESSES)


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
