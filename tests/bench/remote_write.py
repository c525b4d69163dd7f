"""Remote writes: what we take on a core, with the rules, and what Prometheus takes of the same requests."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from collector.remotewrite.receiver import PATH
from tests.bench.figure import Figure
from tests.bench.peers import post
from tests.collector.remotewrite.payloads import labels1, part, sample, snappy
from tests.e2e.desk import Desk, eventually
from tests.packaging.prometheus import free_port, wait_until

HOSTS = 200
SERIES = 100
ROUNDS = 100
HOSTS_AT_ONCE = 5  # 500 samples a request, as Prometheus sends them


def run() -> Iterator[Figure]:
    """Send the same rounds to both, one after the other."""
    rounds = payloads(int(time.time() * 1000) - ROUNDS * 15_000)
    ours, theirs = _ours(rounds), _prometheus(rounds)
    count = HOSTS * SERIES * (ROUNDS - 1)
    yield Figure("ingest.remote_write_samples_per_core_second", ours, "1/s", n=count)
    if theirs is None:
        yield Figure("ingest.remote_write_vs_prometheus", None, "x", why="prometheus is not installed")
    else:
        version = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=False)
        peer = " ".join((version.stdout or version.stderr).split()[:3])
        yield Figure("ingest.remote_write_vs_prometheus", ours / theirs, "x", n=count, peer=peer)


def payloads(start: int) -> list[list[bytes]]:
    """Return the requests of each round: every host's series once, at one time."""
    labels = [
        [
            labels1({"__name__": f"node_metric_{number}", "instance": f"host{host}:9100", "job": "node"})
            for number in range(SERIES)
        ]
        for host in range(HOSTS)
    ]
    rounds = []
    for turn in range(ROUNDS):
        at = start + turn * 15_000
        hosts = [
            b"".join(
                part(1, own + sample(float((host * 7 + number * 3 + turn * (number + 1)) % 50), at))
                for number, own in enumerate(labels[host])
            )
            for host in range(HOSTS)
        ]
        together = [b"".join(hosts[first : first + HOSTS_AT_ONCE]) for first in range(0, HOSTS, HOSTS_AT_ONCE)]
        rounds.append([snappy(one) for one in together])
    return rounds


def _measure(port: int, rounds: list[list[bytes]], process: psutil.Process, token: str) -> float:
    """Return samples for each second of the process' CPU, the first round, which makes the series, left out.

    A round goes out on several connections, as Prometheus does it.
    """
    before = 0.0
    for turn, requests in enumerate(rounds):
        if turn == 1:
            time.sleep(3)
            before = sum(process.cpu_times()[:2])
        post(port, PATH.decode(), requests, token)
    time.sleep(2)  # what follows the answer belongs to it, too
    return HOSTS * SERIES * (len(rounds) - 1) / (sum(process.cpu_times()[:2]) - before)


def _ours(rounds: list[list[bytes]]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.configure("agents: {tls: false}\n")
        try:
            process = psutil.Process(desk.serve().pid)
            made = desk.command("remote-write-token", "create", "--customer", "acme", "--site", "hq")
            time.sleep(3)  # until the token is known
            return _measure(desk.port + 1, rounds, process, made.stdout.strip())
        finally:
            desk.end()


def _prometheus(rounds: list[list[bytes]]) -> float | None:
    program = shutil.which("prometheus")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        (Path(folder) / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n")
        command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=error"]
        process = subprocess.Popen(command)
        try:
            wait_until(lambda: eventually(lambda: _ready(port)))
            return _measure(port, rounds, psutil.Process(process.pid), "")
        finally:
            process.terminate()
            process.wait(30)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
