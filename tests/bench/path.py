"""The whole path: from `up` to the first ticket, and from a breaching sample to the committed incident: on a quiet
collector, and on one that takes half a million values a second beside it.
"""

from __future__ import annotations

import json
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from tests.bench import load
from tests.bench.enrolled import enrolled
from tests.bench.figure import Figure
from tests.e2e.desk import Desk, eventually
from ticketing.database import connect
from ticketing.models import IncidentRow

BREACHES = 100
BESIDE = 500  # devices
BESIDE_COLUMNS = 100
BESIDE_INTERVAL = 0.1
RULE = "groups: [{name: bench, rules: [{alert: Breach, expr: bench_value > 0, labels: {severity: warning}}]}]\n"


def run() -> Iterator[Figure]:
    """Measure both, on collectors of their own."""
    with tempfile.TemporaryDirectory() as folder:
        yield _first_ticket(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from _breaches(Path(folder), "path.breach_to_incident_quiet", [])
    with tempfile.TemporaryDirectory() as folder:
        tokens = enrolled(Path(folder) / "data", BESIDE)
        yield from _breaches(Path(folder), "path.breach_to_incident", tokens)


def _first_ticket(folder: Path) -> Figure:
    desk = Desk(folder)
    began = time.perf_counter()
    try:
        up = desk.run("up", "--port", str(desk.port))
        eventually(lambda: "Watchdesk is at" in up.output())
        desk.run("drill", "disk-full")
        desk.wait_incident(alertname="DiskFull", device="drill-disk-full")
        return Figure("path.first_ticket_seconds", time.perf_counter() - began, "s")
    finally:
        desk.end()


def _breaches(folder: Path, name: str, tokens: list[str]) -> Iterator[Figure]:
    """Let a hundred series breach one after the other, at random moments, with `for: 0s`, while the devices with these
    tokens send what they can.
    """
    desk = Desk(folder)
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "bench.yml").write_text(RULE)
    beside: subprocess.Popen[str] | None = None
    try:
        process = desk.serve()
        agent = desk.agent("bench")
        if tokens:
            load.pin_process(process.pid, 0)
            command = [sys.executable, "-m", "tests.bench.path", str(desk.port + 1), str(desk.data)]
            beside = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert beside.stdin is not None
            assert beside.stdout is not None
            beside.stdin.write(" ".join(tokens) + "\n")
            beside.stdin.flush()
            beside.stdout.readline()  # all are connected
        token = (agent.state / "token").read_text().strip()
        engine = connect(f"sqlite:///{desk.data / 'watchdesk.db'}")
        values = [0.0] * BREACHES
        chance = random.Random(1)
        seconds: list[float] = []
        _push(desk, token, values)
        for number in range(BREACHES):
            time.sleep(chance.uniform(0.05, 0.6))
            values[number] = 1.0
            sent = time.perf_counter()
            _push(desk, token, values)
            wanted = select(func.count()).select_from(IncidentRow).where(IncidentRow.alertname == "Breach")
            while True:
                with engine.connect() as connection:
                    if (connection.scalar(wanted) or 0) > number:
                        break
                time.sleep(0.001)
            seconds.append(time.perf_counter() - sent)
        engine.dispose()
        if beside is not None:
            told, _ = beside.communicate(timeout=60)  # its input ends, and with it the load
            yield Figure(f"{name}_beside_values_per_second", float(told), "1/s")
    finally:
        if beside is not None:
            beside.kill()
            beside.wait()
        desk.end()
    cuts = statistics.quantiles(seconds, n=100)
    yield Figure(f"{name}_p50_ms", cuts[49] * 1000, "ms", n=BREACHES)
    yield Figure(f"{name}_p99_ms", cuts[98] * 1000, "ms", n=BREACHES)


def _beside(port: int, data: Path) -> None:
    """Send what devices send until the standard input ends, on the other core; print the values a second."""
    load.pin(1)
    fleet = load.clients(sys.stdin.readline().split(), BESIDE_COLUMNS)
    context = load.trusting(data, tls=True)
    for client in fleet:
        client.connect(port, context)
    print("ready", flush=True)
    waiting = threading.Thread(target=sys.stdin.read, daemon=True)
    waiting.start()
    began, sent = time.monotonic(), 0
    while waiting.is_alive():
        sent += load.steady(fleet, BESIDE_INTERVAL, 1.0)[0]
    print(sent * BESIDE_COLUMNS / (time.monotonic() - began))


def _push(desk: Desk, token: str, values: list[float]) -> None:
    series = [f'bench_value{{n="{number}"}}' for number in range(len(values))]
    body = json.dumps({"series": series, "rows": [[time.time(), *values]]}).encode()
    request = urllib.request.Request(
        f"https://127.0.0.1:{desk.port + 1}/v1/push",
        body,
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    context = ssl.create_default_context(cafile=str(desk.data / "pki" / "ca.pem"))
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        answer.read()


if __name__ == "__main__":
    _beside(int(sys.argv[1]), Path(sys.argv[2]))
