"""The whole path: from `up` to the first ticket, and from a breaching sample to the committed incident."""

from __future__ import annotations

import json
import random
import ssl
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from tests.bench.figure import Figure
from tests.e2e.desk import Desk, eventually
from ticketing.database import connect
from ticketing.models import IncidentRow

BREACHES = 100
RULE = "groups: [{name: bench, rules: [{alert: Breach, expr: bench_value > 0, labels: {severity: warning}}]}]\n"


def run() -> Iterator[Figure]:
    """Measure both, on collectors of their own."""
    with tempfile.TemporaryDirectory() as folder:
        yield _first_ticket(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from _breaches(Path(folder))


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


def _breaches(folder: Path) -> Iterator[Figure]:
    """Let a hundred series breach one after the other, at random moments, with `for: 0s`."""
    desk = Desk(folder)
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "bench.yml").write_text(RULE)
    try:
        desk.serve()
        agent = desk.agent("bench")
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
    finally:
        desk.end()
    cuts = statistics.quantiles(seconds, n=100)
    yield Figure("path.breach_to_incident_p50_ms", cuts[49] * 1000, "ms", n=BREACHES)
    yield Figure("path.breach_to_incident_p99_ms", cuts[98] * 1000, "ms", n=BREACHES)


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
