"""Our trap receiver under load, as a process of its own: `python -m tests.collector.traps.load SECONDS` prints JSON.

The traps are v2c with five variables, from 200 devices, all within their limit; a second process sends them.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import uvloop

from collector.config import Traps
from collector.observed import Observer
from collector.snmp import ber, oid, pdu
from collector.snmp.channel import Channel
from collector.snmp.credential import Credential
from collector.snmp.device import SnmpDevice
from collector.snmp.poller import Poller
from collector.snmp.profile import Profiles
from collector.traps.message import TRAP_OID
from collector.traps.service import TrapService
from tests.collector.snmp.load import Sink, profile
from tests.collector.snmp.responder import addresses

DEVICES = 200


def trap(number: int) -> bytes:
    """Return a linkDown with five variables."""
    index = ber.integer(10101)
    bound = pdu.bindings(
        [
            (oid.encode("1.3.6.1.2.1.1.3.0"), ber.integer(123456 + number, 0x43)),
            (TRAP_OID, ber.tlv(6, oid.encode("1.3.6.1.6.3.1.1.5.3"))),
            (oid.encode("1.3.6.1.2.1.2.2.1.1.10101"), index),
            (oid.encode("1.3.6.1.2.1.2.2.1.2.10101"), ber.tlv(4, b"GigabitEthernet1/0/1")),
            (oid.encode("1.3.6.1.2.1.2.2.1.3.10101"), ber.integer(6)),
        ]
    )
    return ber.tlv(0x30, b"\x02\x01\x01\x04\x06public" + pdu.encode(pdu.TRAP, number + 1, 0, 0, bound))


def flood(port: int, seconds: float) -> None:
    """Send as fast as it goes."""
    sockets: list[tuple[socket.socket, bytes]] = []
    for address in addresses(DEVICES):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.connect(("127.0.0.1", port))
        sockets.append((made, trap(len(sockets))))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for made, message in sockets:
            made.send(message)


def _dropped(records: list[bytes], schemas: Mapping[int, int]) -> None:
    """Take what would go into the log."""


async def measure(seconds: float) -> dict[str, Any]:
    """Receive for so long."""
    sink = Sink(again=False)
    channel = Channel(time.monotonic, Random(1))
    channel.open()
    loaded = Profiles([profile()])
    poller = Poller(channel, loaded, sink, interval=1e6, at_once=0, clock=time.time, random=Random(2))
    poller.credentials([Credential(1, "c", "c", "", "2c", b"public")])
    for number, address in enumerate(addresses(DEVICES)):
        own = SimpleNamespace(id=number, customer="c", site="s", instance=f"d{number}.s.c")
        polling = SimpleNamespace(interval=None, credential="", profile="")
        poller.add(SnmpDevice(cast("Any", SimpleNamespace(device=own, polling=polling)), (address, 161)))
    observer = Observer(_dropped, {}, time.time)
    service = TrapService(Traps(listen="127.0.0.1:0", most=20), poller, observer, clock=time.time)
    service.start()
    sender = multiprocessing.get_context("spawn").Process(target=flood, args=(service.port, seconds + 5))
    sender.start()
    while not service.received:  # noqa: ASYNC110 - the sender is another process
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    received, cpu = service.received, time.process_time()
    await asyncio.sleep(seconds)
    received, cpu = service.received - received, time.process_time() - cpu
    sender.terminate()
    sender.join()
    service.stop()
    return {"received": received, "cpu": cpu, "strange": service.strange, "malformed": service.malformed}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(float(sys.argv[1])))))
