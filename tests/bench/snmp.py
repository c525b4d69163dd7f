"""SNMP: what a poll costs us and Debian's prometheus-snmp-exporter, a fleet with dead and lying devices, traps."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.request import urlopen

import msgspec

from collector.discovery.said import Said, Seen, Swept
from collector.discovery.sweeps import helper
from collector.discovery.task import Area, Task
from tests.bench.figure import Figure
from tests.collector.discovery.lan import Host, bridge, hosts, inside
from tests.collector.snmp.load import COUNTERS, GAUGES, WIDE
from tests.collector.snmp.responder import IF, IFX, USER, addresses

SECONDS: Final = 5.0
ROUNDS: Final = 3
DEVICES: Final = 100
EXPORTER: Final = "prometheus-snmp-exporter"
LABELS: Final = {"ifDescr": f"{IF}.2", "ifName": f"{IFX}.1", "ifAlias": f"{IFX}.18"}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def responder(count: int, delay: float = 0.0, dead: int = 0, lying: int = 0) -> Iterator[int]:
    """Run the switches until the end of the block; their port."""
    words = ["-m", "tests.collector.snmp.responder", *map(str, (count, delay, dead, lying))]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def ours(**settings: Any) -> dict[str, Any]:
    """Return what our poller took, in a process of its own."""
    command = [sys.executable, "-m", "tests.collector.snmp.load", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return dict(json.loads(done.stdout))


def configuration() -> str:
    """Return the exporter's modules for the same walk: system, ten columns of ifTable and ten of ifXTable."""
    look = {"labels": ["ifIndex"], "type": "DisplayString"}
    lookups = [{**look, "labelname": name, "oid": column} for name, column in LABELS.items()]
    columns = [(name, f"{IF}.{column}", "gauge") for column, name in GAUGES.items()]
    columns += [(name, f"{IF}.{column}", "counter") for column, name in COUNTERS.items()]
    columns += [(name, f"{IFX}.{column}", "counter") for column, name in WIDE.items()]
    columns.append(("ifHighSpeed", f"{IFX}.15", "gauge"))
    row: dict[str, Any] = {"indexes": [{"labelname": "ifIndex", "type": "gauge"}], "lookups": lookups}
    metrics = [{"name": name, "oid": column, "type": kind, "help": name, **row} for name, column, kind in columns]
    metrics.append({"name": "sysUpTime", "oid": "1.3.6.1.2.1.1.3", "type": "gauge", "help": "sysUpTime"})
    shared = {"walk": ["1.3.6.1.2.1.1", IF[:-2], IFX[:-2]], "metrics": metrics, "max_repetitions": 25, "timeout": "10s"}
    secure = {
        "security_level": "authPriv",
        "username": USER.name,
        "password": USER.auth_password,
        "auth_protocol": "SHA",
        "priv_protocol": "AES",
        "priv_password": USER.priv_password,
    }
    modules = {
        "v2c": {**shared, "version": 2, "auth": {"community": "public"}},
        "v3": {**shared, "version": 3, "auth": secure},
    }
    return json.dumps(modules)  # which is YAML, too


class Exporter:
    """Debian's exporter, and what it takes."""

    def __init__(self, folder: Path) -> None:
        (folder / "snmp.yml").write_text(configuration())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [EXPORTER, f"--config.file={folder / 'snmp.yml'}", f"--web.listen-address=127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def cpu(self) -> float:
        """Return the seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rate(self, module: str, port: int, seconds: float) -> tuple[float, int]:
        """Return (devices a core-second, scrapes); 100 devices are asked by 16 scrapers."""
        targets = addresses(DEVICES)
        done = 0

        def scrape(number: int) -> None:
            nonlocal done
            while time.monotonic() < end:
                target = f"{targets[(number + done) % DEVICES]}:{port}"
                with urlopen(f"http://127.0.0.1:{self.port}/snmp?target={target}&module={module}", timeout=60) as page:
                    assert b"ifHCInOctets" in page.read()
                done += 1

        end = time.monotonic() + seconds
        before = self.cpu()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(scrape, range(16)))
        return done / (self.cpu() - before), done


def run() -> Iterator[Figure]:
    """Measure."""
    yield from _against_the_exporter()
    yield from _fleet()
    yield _traps()
    yield _discovery()


def _against_the_exporter() -> Iterator[Figure]:
    there = shutil.which(EXPORTER) is not None
    version = ""
    if there:
        told = subprocess.run([EXPORTER, "--version"], capture_output=True, text=True, check=False)
        version = (told.stdout + told.stderr).split("version ")[-1].split()[0]
    with tempfile.TemporaryDirectory() as folder, responder(DEVICES) as port:
        exporter = Exporter(Path(folder)) if there else None
        try:
            for name, spoken in (("v2c", "2c"), ("v3", "3")):
                yield from _turns(name, spoken, port, exporter, f"{EXPORTER} {version}".strip())
        finally:
            if exporter:
                exporter.process.kill()
                exporter.process.wait()


def _turns(name: str, spoken: str, port: int, exporter: Exporter | None, peer: str) -> Iterator[Figure]:
    """Measure both in turns, so that they have the same hour: ours as it comes, and with the exporter's repetitions."""
    rates: dict[int, list[float]] = {0: [], 25: []}
    peers: list[float] = []
    polls = 0
    for _ in range(ROUNDS):
        for repetitions, found in rates.items():
            took = ours(count=DEVICES, port=port, seconds=SECONDS, version=spoken, interval=0, repetitions=repetitions)
            assert took["values_per_poll"] == 967, took
            found.append(took["walks"] / took["cpu"])
            polls += took["polls"]
        if exporter:
            peers.append(exporter.rate(name, port, SECONDS)[0])
    yield Figure(f"snmp.devices_per_core_second_{name}", median(rates[0]), "1/s", n=polls)
    yield Figure(f"snmp.devices_per_core_second_{name}_25_repetitions", median(rates[25]), "1/s", n=polls)
    if not exporter:
        why = f"{EXPORTER} is not installed"
        yield Figure(f"snmp.vs_snmp_exporter_{name}", None, "ratio", peer=peer, why=why)
        return
    yield Figure(f"snmp.snmp_exporter_devices_per_core_second_{name}", median(peers), "1/s", ROUNDS, peer)
    for repetitions, suffix in ((0, ""), (25, "_25_repetitions")):
        ratio = median(mine / other for mine, other in zip(rates[repetitions], peers, strict=True))
        yield Figure(f"snmp.vs_snmp_exporter_{name}{suffix}", ratio, "ratio", n=ROUNDS, peer=peer)


def _fleet() -> Iterator[Figure]:
    """1,000 switches every 10 s that answer after 10 ms, 50 of them dead and 10 lying."""
    with responder(1_000, 0.01, 50, 10) as port:
        took = ours(count=1_000, port=port, seconds=30, version="2c", interval=10, repetitions=0)
    yield Figure("snmp.fleet1000_core_percent", 100 * took["cpu"] / took["wall"], "%", n=took["polls"])
    yield Figure("snmp.fleet1000_rss_mib", took["rss"], "MiB")
    yield Figure("snmp.fleet1000_longest_walk_seconds", took["longest"], "s", n=took["polls"])
    yield Figure("snmp.fleet1000_good_polls_share", took["polls"] / (940 * took["wall"] / 10), "ratio", n=took["polls"])
    yield Figure("snmp.fleet1000_overruns", took["overruns"], "1", n=took["polls"])


def _discovery() -> Figure:
    """Sweep a /22 on a real bridge at the pace that is usual, in a network namespace."""
    name, pace = "snmp.discovery_22_seconds", Task([], interval=0)
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return Figure(name, None, "s", why="network namespaces take root and iproute2")

    def work() -> list[Said]:
        async def sweep() -> list[Said]:
            task = msgspec.structs.replace(pace, areas=[Area("hq.acme", "10.9.0.0/22")])
            async with helper(task) as (said, _):
                return [what async for what in said]

        with (
            bridge("br0", "10.9.0.1/22"),
            hosts(*[lambda n=n: Host(f"v{n}", f"10.9.{n % 4}.{10 + n}/22") for n in range(8)]),
        ):
            return asyncio.run(sweep())

    said = inside(work)
    found = len({what.address for what in said if isinstance(what, Seen)})
    (swept,) = (what for what in said if isinstance(what, Swept))
    if found != 8:
        return Figure(name, None, "s", why=f"{found} of 8 hosts were found")
    return Figure(name, swept.seconds, "s", swept.packets)


def _traps() -> Figure:
    command = [sys.executable, "-m", "tests.collector.traps.load", str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    took = json.loads(done.stdout)
    return Figure("snmp.traps_per_core_second", took["received"] / took["cpu"], "1/s", n=took["received"])
