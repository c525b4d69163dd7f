"""Our poller under load, as a process of its own: `python -m tests.collector.snmp.load JSON` prints what it took.

Each poll is whole: retries and limits armed, the source and the digest checked, counters kept, packed as for the log.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import uvloop

from collector.observed import SERIES, Observer, schema
from collector.snmp.channel import Channel
from collector.snmp.credential import Credential
from collector.snmp.device import SnmpDevice
from collector.snmp.poller import Poller
from collector.snmp.profile import Metric, Profile, Profiles, Table
from collector.snmp.readings import Floats, Readings
from collector.snmp.walk import Result
from tests.collector.snmp.responder import IF, IFX, USER, addresses

COUNTERS = {"13": "ifInDiscards", "14": "ifInErrors", "19": "ifOutDiscards", "20": "ifOutErrors"}
GAUGES = {"1": "ifIndex", "3": "ifType", "4": "ifMtu", "7": "ifAdminStatus", "8": "ifOperStatus"}
WIDE = {
    "6": "ifHCInOctets",
    "7": "ifHCInUcastPkts",
    "8": "ifHCInMulticastPkts",
    "9": "ifHCInBroadcastPkts",
    "10": "ifHCOutOctets",
    "11": "ifHCOutUcastPkts",
    "12": "ifHCOutMulticastPkts",
}


def profile() -> Profile:
    """Return the profile that asks for what the peers walk: system, ten columns of ifTable, ten of ifXTable."""
    metrics = [Metric(name, f"{IF}.{column}") for column, name in GAUGES.items()]
    metrics += [Metric(name, f"{IF}.{column}", type="counter") for column, name in COUNTERS.items()]
    metrics += [Metric(name, f"{IFX}.{column}", type="counter64") for column, name in WIDE.items()]
    metrics.append(Metric("ifHighSpeed", f"{IFX}.15"))
    labels: dict[str, list[str] | str] = {"ifName": f"{IFX}.1", "ifDescr": f"{IF}.2", "ifAlias": f"{IFX}.18"}
    system = [Metric(f"system{number}_info", f"1.3.6.1.2.1.1.{number}.0") for number in range(1, 8)]
    return Profile(
        "generic",
        "the bench",
        scalars=system,
        tables=[Table(["ifIndex"], metrics, labels, speed=f"{IFX}.15", port=True)],
    )


class Sink:
    """Packs what comes, as for the log; may ask for more at once."""

    def __init__(self, *, again: bool) -> None:
        self.poller: Poller | None = None
        self.good = 0
        self.bad: dict[str, int] = {}
        self.values = 0
        self.longest = 0.0
        self.requests = 0
        self._again = again
        self._poll = schema("up", "snmp_scrape_duration_seconds")
        self._known: dict[int, int] = {}
        self._observer = Observer(self._put, self._known, time.time)

    def _put(self, records: list[bytes], schemas: Any) -> None:
        self._known.update(schemas)

    def poll(self, device: SnmpDevice, readings: Readings | None, values: Floats | None, result: Result) -> None:
        """Take a poll."""
        at = time.time()
        if readings is None or values is None:
            self.bad[type(result.error).__name__] = self.bad.get(type(result.error).__name__, 0) + 1
        else:
            parts = [(part.schema, part.payload, values[part.start : part.stop]) for part in readings.parts]
            self._observer.rows(device.id, SERIES, parts, at=at, heard=True)
            self.good += 1
            self.values += len(result.oids) + len(result.scalars)
            self.requests = result.requests
            self.longest = max(self.longest, result.seconds)
        if self._again and self.poller is not None:
            asyncio.get_running_loop().call_soon(self.poller.hurry, device.id)

    def problem(self, device: SnmpDevice, problem: str) -> None:
        """Take it."""

    def found(self, device: SnmpDevice) -> None:
        """Take it."""


def rss() -> float:
    """Return the memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(
    count: int, port: int, seconds: float, version: str, interval: float, repetitions: int
) -> dict[str, Any]:
    """Poll for so long; an interval of 0 means as fast as it goes."""
    sink = Sink(again=not interval)
    channel = Channel(time.monotonic, Random(1))
    channel.open()
    poller = sink.poller = Poller(
        channel,
        Profiles([profile()]),
        sink,
        interval=interval or 1e6,
        at_once=2000,
        clock=time.time,
        random=Random(2),
    )
    poller.credentials([Credential(1, "c", "c", "", version, USER if version == "3" else b"public")])
    for number, address in enumerate(addresses(count)):
        own = SimpleNamespace(id=number, customer="c", site="s", instance=f"d{number}.s.c")
        polling = SimpleNamespace(interval=None, credential="", profile="")
        device = SnmpDevice(cast("Any", SimpleNamespace(device=own, polling=polling)), (address, port))
        if repetitions:
            device.manners.adaptive, device.manners.repetitions = False, repetitions
        poller.add(device)
    if not interval:
        for number in range(count):
            poller.hurry(number)
    poller.start()
    await asyncio.sleep(2.0 if not interval else interval * 2)
    received = channel.counters.received
    good, values, cpu, wall = sink.good, sink.values, time.process_time(), time.monotonic()
    sink.longest, late, sink.bad = 0.0, poller.late, {}
    await asyncio.sleep(seconds)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    good = sink.good - good
    poller.stop()
    return {
        "polls": good,
        "values_per_poll": (sink.values - values) / max(good, 1),
        "walks": (channel.counters.received - received) / max(sink.requests, 1),  # those on their way counted in part
        "cpu": cpu,
        "wall": wall,
        "rss": rss(),
        "longest": sink.longest,
        "bad": sink.bad,
        "late": poller.late - late,
        "overruns": sum(device.overruns for device in poller.devices.values()),
        "retried": channel.counters.retried,
        "forged": channel.counters.forged,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(**json.loads(sys.argv[1])))))
