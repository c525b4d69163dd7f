"""Every diagnosis of the catalogue in the process that it really runs in, on this machine."""

import json
import time
from pathlib import Path

import pytest

from agent.diagnosis import arguments, worker
from agent.diagnosis.catalogue import HERE, catalogue

GIVEN: dict[str, dict[str, object]] = {
    "cert.chain": {"source": "1/tcp"},
    "disk.deleted_open": {"path": "/tmp"},
    "net.capture": {"seconds": 1, "packets": 5},
    "net.dns": {"name": "localhost"},
    "net.http": {"url": "http://127.0.0.1:1/"},
    "net.mtu": {"host": "127.0.0.1"},
    "net.ping": {"host": "127.0.0.1", "count": 1},
    "net.port_holder": {"port": 1},
    "net.tcp": {"host": "127.0.0.1", "port": 1},
    "net.tls": {"host": "127.0.0.1", "port": 1},
    "net.traceroute": {"host": "127.0.0.1"},
    "process.tree": {"pid": 1},
    "time.sync": {"server": "127.0.0.1"},
}


@pytest.mark.parametrize("name", [name for name, one in catalogue().items() if HERE in one.systems])
def test_each_comes_to_a_finding_or_says_what_is_not_here(name: str, tmp_path: Path) -> None:
    """It may neither fail nor be ended by its limits: no file is written, memory and time are bounded."""
    one = catalogue()[name]
    given = {"path": str(tmp_path)} if name == "disk.top_dirs" else GIVEN.get(name, {})
    started = worker.begin(one, arguments.read(one.arguments, given), {}, {})
    until = time.monotonic() + one.seconds + 30
    try:
        while not started.ended():
            assert time.monotonic() < until
            time.sleep(0.01)
        told = json.loads(started.output())
    finally:
        started.close()
    assert set(told) in ({"result", "memory"}, {"none"}), told
