"""What a collector takes on one core: durable batches of a hundred values from a thousand connections, told apart,
authenticated, evaluated by twenty rules a device, kept in the history; and peers beside it.

The collector is kept to core 0, the load to core 1. CPU is user and system time of the whole process: log, rules,
history and pages.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.bench import load, peers, zabbix
from tests.bench.enrolled import enrolled
from tests.bench.figure import Figure
from tests.e2e.desk import Desk

CONNECTIONS = 1_000
CONNECTING = 64  # at once: each waits for its first push to be durable
COLUMNS = 100
SECONDS = 8.0
SMALL_FLEET = 1_000
FLEET = 10_000
FLEET_COLUMNS = 200
FLEET_INTERVAL = 10.0
FLEET_SECONDS = 40.0


def run() -> Iterator[Figure]:
    """Measure ours, without and with TLS, then the peers with the same values, then a steady fleet."""
    plain = rate("ingest.values_per_core_second", tls=False)
    yield plain
    yield rate("ingest.values_per_core_second_tls", tls=True)
    for name, program in (("ingest.vs_prometheus", "prometheus"), ("ingest.vs_victoriametrics", "victoria-metrics")):
        theirs, count, version, why = peers.remote_write_rate(program)
        if theirs:
            yield Figure(f"{name}_peer_values_per_core_second", theirs, "1/s", n=count, peer=version)
        yield _ratio(name, plain.value, theirs, count, version, why)
    theirs, count, version, why = zabbix.trapper_rate()
    yield _ratio("ingest.vs_zabbix", plain.value, theirs, count, version, why)
    yield from apart("hundred")
    yield from apart("fleet")
    yield from apart("start")


def _ratio(name: str, ours: float | None, theirs: float | None, count: int, version: str, why: str) -> Figure:
    value = ours / theirs if ours and theirs else None
    return Figure(name, value, "ratio", n=count, peer=version, why=why or None)


def apart(what: str) -> Iterator[Figure]:
    """Measure in a process of its own, whose load may be kept to a core."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.ingest", what], capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        name, value, unit, count = line.split()
        yield Figure(name, float(value), unit, n=int(count))
    if done.returncode:
        yield Figure(f"ingest.{what}", None, "", why=done.stderr.strip().splitlines()[-1])


def rate(name: str, *, tls: bool) -> Figure:
    """Return values a core-second."""
    words = [sys.executable, "-m", "tests.bench.ingest", "rate", "tls" if tls else "plain"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return Figure(name, None, "1/s", why=done.stderr.strip().splitlines()[-1])
    value, count = done.stdout.split()
    return Figure(name, float(value), "1/s", n=int(count))


def rules() -> str:
    """Return twenty rules, of which each device has eighteen or more: two look back on a minute."""
    texts = [text for kind in load.kinds(COLUMNS) for text in kind.schema.decode().split("\n")]
    names = [name for name, _ in Counter(text.partition("{")[0] for text in texts).most_common(18)]
    lines = [f'  - {{alert: T{n}, expr: "{name} > 1e18", for: 30s}}' for n, name in enumerate(names)]
    lines += ['  - {alert: W, expr: "avg_over_time(node_load1[1m]) > 1e9"}', '  - {alert: D, expr: "up == 0", for: 5m}']
    return "groups:\n- name: bench\n  interval: 1s\n  rules:\n" + "\n".join(lines) + "\n"


def started(folder: Path, devices: int, *, tls: bool, packs: bool = False) -> tuple[Desk, psutil.Process, list[str]]:
    """Return a collector with so many devices, kept to core 0; this process is then kept to core 1."""
    desk = Desk(folder)
    desk.configure(f"agents: {{tls: {str(tls).lower()}}}\n" + ("" if packs else "rules: {packs: []}\n"))
    (desk.data / "rules").mkdir()
    if not packs:
        (desk.data / "rules" / "bench.yml").write_text(rules())
    tokens = enrolled(desk.data, devices)
    process = desk.serve()
    load.pin_process(process.pid, 0)
    load.pin(1)
    return desk, psutil.Process(process.pid), tokens


def _connected(desk: Desk, tokens: list[str], columns: int, *, tls: bool, packed: bool = False) -> list[load.Client]:
    fleet = load.clients(tokens, columns, packed=packed)
    context = load.trusting(desk.data, tls=tls)
    with ThreadPoolExecutor(CONNECTING) as pool:
        for _ in pool.map(lambda client: client.connect(desk.port + 1, context), fleet):
            pass
    return fleet


def _spent(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _rate(*, tls: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk, process, tokens = started(Path(folder), CONNECTIONS, tls=tls)
        try:
            fleet = _connected(desk, tokens, COLUMNS, tls=tls)
            load.push(fleet, 2.0)
            before = _spent(process)
            pushes = load.push(fleet, SECONDS)
            lag = [line for line in desk.scrape("/metrics").splitlines() if line.startswith("watchdesk_consumer_lag")]
            spent = _spent(process) - before
            print(pushes * COLUMNS / spent, pushes * COLUMNS)
            print(*lag, file=sys.stderr)
        finally:
            desk.end()


def _fleet() -> None:
    """Print what ten thousand agents cost, with the default rules."""
    with tempfile.TemporaryDirectory() as folder:
        desk, process, tokens = started(Path(folder), FLEET, tls=True, packs=True)
        try:
            fleet = _connected(desk, tokens, FLEET_COLUMNS, tls=True, packed=True)
            load.steady(fleet, FLEET_INTERVAL, FLEET_INTERVAL)
            before, began = _spent(process), time.monotonic()
            count, took = load.steady(fleet, FLEET_INTERVAL, FLEET_SECONDS)
            share = (_spent(process) - before) / (time.monotonic() - began)
            print("ingest.fleet10k_core_percent", 100 * share, "%", count)
            print("ingest.fleet10k_rss_mib", process.memory_info().rss / 2**20, "MiB", 1)
            print("ingest.fleet10k_answer_p99_ms", 1000 * statistics.quantiles(took, n=100)[98], "ms", count)
            _recovery(desk, fleet[0])
        finally:
            desk.end()


def _hundred() -> None:
    """Print what a thousand agents cost: a hundred requests a second."""
    with tempfile.TemporaryDirectory() as folder:
        desk, process, tokens = started(Path(folder), SMALL_FLEET, tls=True, packs=True)
        try:
            fleet = _connected(desk, tokens, FLEET_COLUMNS, tls=True, packed=True)
            load.steady(fleet, FLEET_INTERVAL, FLEET_INTERVAL)
            before, began = _spent(process), time.monotonic()
            count, _ = load.steady(fleet, FLEET_INTERVAL, FLEET_SECONDS)
            share = (_spent(process) - before) / (time.monotonic() - began)
            print("ingest.hundred_requests_core_percent", 100 * share, "%", count)
            print("ingest.hundred_requests_rss_mib", process.memory_info().rss / 2**20, "MiB", 1)
        finally:
            desk.end()


def _recovery(desk: Desk, client: load.Client) -> None:
    """Kill the collector, and see how soon it takes a batch again."""
    assert desk.collector is not None
    desk.collector.kill()
    client.sock.close()
    began = time.monotonic()
    desk.run("serve", "--port", str(desk.port))
    context = load.trusting(desk.data, tls=True)
    while True:
        try:
            client.connect(desk.port + 1, context)
            break
        except OSError:
            time.sleep(0.01)
    print("ingest.fleet10k_recovery_seconds", time.monotonic() - began, "s", FLEET)


def _start() -> None:
    """Print how long it takes from the start of a collector to its first accepted batch."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.configure("agents: {tls: true}\n")
        tokens = enrolled(desk.data, 10)
        desk.serve()
        assert desk.collector is not None
        desk.collector.stop(60)
        [client] = load.clients(tokens[:1], COLUMNS)
        began = time.monotonic()
        desk.run("serve", "--port", str(desk.port))
        try:
            while True:
                try:
                    client.connect(desk.port + 1, load.trusting(desk.data, tls=True))
                    break
                except OSError:
                    time.sleep(0.01)
            print("ingest.start_to_first_batch_seconds", time.monotonic() - began, "s", 1)
        finally:
            desk.end()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["rate", how]:
            _rate(tls=how == "tls")
        case ["fleet"]:
            _fleet()
        case ["hundred"]:
            _hundred()
        case ["start"]:
            _start()
