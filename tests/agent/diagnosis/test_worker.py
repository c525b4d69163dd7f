"""Every diagnosis of the catalogue in the process that it really runs in, on this machine."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from agent.diagnosis import arguments, worker
from agent.diagnosis.catalogue import HERE, catalogue
from agent.diagnosis.upkeep import of_apt

SLOW = ("updates.pending",)  # seconds of apt's; see below
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


@pytest.mark.parametrize(
    "name", [name for name, one in catalogue().items() if HERE in one.systems and name != "updates.pending"]
)
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


def in_the_worker(name: str) -> dict[str, Any]:
    one = catalogue()[name]
    started = worker.begin(one, arguments.read(one.arguments, {}), {}, {})
    try:
        while not started.ended():
            time.sleep(0.01)
        told: dict[str, Any] = json.loads(started.output())
    finally:
        started.close()
    return told["result"]  # type: ignore[no-any-return]


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")
def test_apt_can_work_there() -> None:
    """It ends without a word where it may not write its temporary file, and nothing would seem to wait."""
    simulated = subprocess.run(
        ["apt-get", "--simulate", "--quiet", "dist-upgrade"],
        capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    assert in_the_worker("updates.pending")["data"]["count"] == len(of_apt(simulated.stdout))
