"""A whole collector in a thread, and devices that speak to it by hand."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from collector.collector import Collector
from collector.config import Agents, Config, Diagnosis, RuleSources, Web
from collector.diagnosis.keys import signed_by
from ticketing.diagnosis.asked import Diagnosis as Asked
from ticketing.store import Store

RULES = """groups:
- name: test
  rules:
  - alert: Hot
    expr: node_hwmon_temp_celsius > 90
    labels: {severity: critical}
    annotations:
      summary: hot
      diagnosis: disk.top_dirs path=/{{ $labels.chip }}, snmp.interface, log.around
"""


@dataclass(slots=True)
class Device:
    """A device with its token."""

    id: int
    instance: str
    token: str


class Desk:
    """A collector that runs, seen from its agents."""

    def __init__(self, collector: Collector, loop: asyncio.AbstractEventLoop) -> None:
        self.collector = collector
        self.loop = loop
        self.port = collector.runtime.agents.rpartition(":")[2]
        self.names = 0

    @property
    def store(self) -> Store:
        """Its incidents."""
        return self.collector.store

    def request(
        self, method: str, path: str, body: Any = None, *, token: str = "", raw: bytes | None = None, **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Send one request; return status, content and headers of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, named)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content[:1] == b"{" else content, response.headers
        finally:
            connection.close()

    def enrol(self, customer: str = "acme", kind: str = "server") -> Device:
        """Let a new device into the register, as an agent does it."""
        self.names += 1
        secret = self.collector.register.create_enrol_token(customer, "hq", now=self.collector.clock(), kind=kind)
        wish = {"token": secret, "hostname": f"pc{self.names}", "os": "linux"}
        status, answer, _ = self.request("POST", "/v1/enrol", wish)
        assert status == 201
        found = self.collector.register.device_by_instance(answer["device"])
        assert found is not None
        return Device(found.id, answer["device"], answer["token"])

    def ask(self, device: Device, name: str = "disk.top_dirs", **arguments: str) -> Asked:
        """Ask a device, as a person does."""
        found = self.collector.register.device_by_instance(device.instance)
        assert found is not None
        subject = self.collector.diagnosis.subject_of(found)
        return self.store.diagnoses.ask(subject, name, arguments, by="person:anna", now=self.collector.clock())

    def fetch(self, device: Device, hold: int = 0) -> list[dict[str, Any]]:
        """Return the payloads of what a device gets, each with its signature checked against the key that it pinned."""
        status, answer, _ = self.request("GET", f"/v1/requests?hold={hold}", token=device.token)
        if status == 204:
            return []
        assert status == 200
        return [opened(one, self.key(device)) for one in answer["requests"]]

    def key(self, device: Device) -> bytes:
        """Return the raw public key that a device is given."""
        status, answer, _ = self.request("GET", "/v1/diagnosis-key", token=device.token)
        assert status == 200
        return base64.b64decode(answer["diagnosis_key"])

    def result(self, device: Device, uid: str, state: str = "done", **more: Any) -> int:
        """Post a result, and return the status of the answer."""
        return self.request("POST", "/v1/results", {"id": uid, "state": state, **more}, token=device.token)[0]


def opened(one: dict[str, str], key: bytes) -> dict[str, Any]:
    """Return the payload of a signed request whose signature is right."""
    payload = base64.b64decode(one["payload"])
    assert signed_by(Ed25519PublicKey.from_public_bytes(key), payload, one["signature"])
    found: dict[str, Any] = msgspec.json.decode(payload)
    return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A collector that runs on a folder of its own, with room for three held calls."""
    data = tmp_path_factory.mktemp("collector")
    (data / "rules").mkdir()
    (data / "rules" / "test.yml").write_text(RULES)
    config = Config(
        agents=Agents(listen="127.0.0.1:0", tls=False),
        web=Web(listen="127.0.0.1:0"),
        rules=RuleSources(packs=[]),
        diagnosis=Diagnosis(held=3),
    )
    with running(Collector(data, config)) as started:
        yield started


class running:  # noqa: N801 - reads as a function
    """Run a collector in a thread with a loop of its own."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Desk:
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.collector.start(), self.loop).result(60)
        return Desk(self.collector, self.loop)

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.collector.stop(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.collector.engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    return tmp_path
