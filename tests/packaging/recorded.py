"""Serves recorded exposition text as a collector would: three devices of two customers, and the collector itself."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agent.wire import format_series, read_series

DATA: Final = Path(__file__).parent / "data"
TOKEN: Final = "recorded-metrics-token"

DEVICES: Final = [
    {"instance": "web1.hq.acme", "job": "agent", "customer": "acme", "site": "hq", "class": "server", "role": "web"},
    {"instance": "pc7.hq.acme", "job": "agent", "customer": "acme", "site": "hq", "class": "desktop"},
    {"instance": "db1.dc.charlie", "job": "agent", "customer": "charlie", "site": "dc", "class": "server"},
]
SITES: Final = sorted({(device["customer"], device["site"]) for device in DEVICES})
SILENT: Final = "pc7.hq.acme"  # this one said nothing for a while


@dataclass(slots=True)
class Recorded:
    """What the server gives; each scrape of the fleet gets the next recording of the machine, then the last again."""

    snapshots: list[str] = field(
        default_factory=lambda: [file.read_text() for file in sorted(DATA.glob("node-*.prom"))]
    )
    scrapes: int = 0

    def fleet(self, customer: str, site: str) -> str:
        """Return the exposition of a site's devices, grouped by metric."""
        text = self.snapshots[min(self.scrapes // len(SITES), len(self.snapshots) - 1)]
        self.scrapes += 1
        lines = text.splitlines() + list(_added())
        devices = [device for device in DEVICES if (device["customer"], device["site"]) == (customer, site)]
        return "\n".join(sorted(_labelled(line, device) for line in lines for device in devices)) + "\n"


def _labelled(line: str, device: dict[str, str]) -> str:
    series, value = line.rsplit(" ", 1)
    name, labels = read_series(series)
    if name == "up" and device["instance"] == SILENT:
        value = "0"
    return f"{format_series(name, {**labels, **device})} {value}"


def _added() -> Iterator[str]:
    yield from ("up 1", "watchdesk_device_excused 0", "watchdesk_device_last_seen_timestamp_seconds 1795424822.4")
    yield from ('watchdesk_agent_info{version="0.1.0",os="linux"} 1', "watchdesk_clock_offset_seconds 0.0021")
    for probe in ("cpu", "memory", "filesystem"):
        yield f'watchdesk_probe_duration_seconds{{probe="{probe}"}} 0.0007'
        yield f'watchdesk_probe_success{{probe="{probe}"}} 1'


def registry() -> CollectorRegistry:
    """Return the collector's own metrics, as its `/metrics` names them."""
    own = CollectorRegistry()
    _incidents(own)
    Counter("watchdesk_ingest_requests", "-", ["code"], registry=own).labels("204").inc(900)
    Counter("watchdesk_ingest_values", "-", registry=own).inc(90_000)
    Counter("watchdesk_ingest_bytes", "-", registry=own).inc(720_000)
    Counter("watchdesk_ingest_dropped", "-", ["reason"], registry=own).labels("cardinality").inc(3)
    Histogram("watchdesk_log_sync_seconds", "-", registry=own).observe(0.002)
    Gauge("watchdesk_log_bytes", "-", registry=own).set(1 << 20)
    Counter("watchdesk_log_errors", "-", registry=own).inc(0)
    lag = Gauge("watchdesk_consumer_lag_records", "-", ["consumer"], registry=own)
    for consumer in ("rules", "history"):
        lag.labels(consumer).set(2)
    _engine(own)
    return own


def _incidents(own: CollectorRegistry) -> None:
    waiting = Gauge("watchdesk_incidents_open", "-", ["customer", "priority", "severity"], registry=own)
    waiting.labels("acme", "P1", "critical").set(1)
    waiting.labels("charlie", "P3", "warning").set(2)
    for what, count in (("opened", 7), ("resolved", 4)):
        counter = Counter(f"watchdesk_incidents_{what}", "-", ["customer", "alertname"], registry=own)
        counter.labels("acme", "DiskFull").inc(count)
        counter.labels("charlie", "HostDown").inc(count)


def _engine(own: CollectorRegistry) -> None:
    Histogram("watchdesk_tick_seconds", "-", registry=own).observe(0.004)
    Gauge("watchdesk_fleet_series", "-", registry=own).set(141)
    devices = Gauge("watchdesk_fleet_devices", "-", ["class", "state"], registry=own)
    devices.labels("server", "alive").set(2)
    devices.labels("desktop", "silent").set(1)
    Gauge("watchdesk_rules_loaded", "-", registry=own).set(10)
    Gauge("watchdesk_rules_last_reload_successful", "-", registry=own).set(1)
    Counter("watchdesk_rule_errors", "-", ["group", "rule"], registry=own).labels("host", "DiskFull").inc(0)


def targets(address: str) -> list[dict[str, object]]:
    """Return what the service discovery says: a target for each site."""
    return [
        {
            "targets": [address],
            "labels": {
                "__metrics_path__": "/metrics/fleet",
                "__param_customer": customer,
                "__param_site": site,
                "watchdesk_customer": customer,
                "watchdesk_site": site,
            },
        }
        for customer, site in SITES
    ]


@contextmanager
def serving(token: str = TOKEN) -> Iterator[str]:
    """Serve /metrics, /metrics/fleet and /sd on loopback, behind a bearer token; yield host:port."""
    recorded, own = Recorded(), registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != f"Bearer {token}":
                self._answer(401, "text/plain", b"")
            elif self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4", generate_latest(own))
            elif self.path.startswith("/metrics/fleet?"):
                wanted = dict(parse_qsl(urlsplit(self.path).query))
                self._answer(200, "text/plain; version=0.0.4", recorded.fleet(**wanted).encode())
            elif self.path == "/sd":
                self._answer(200, "application/json", json.dumps(targets(address)).encode())
            else:
                self._answer(404, "text/plain", b"")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield address
        server.shutdown()
        thread.join()
