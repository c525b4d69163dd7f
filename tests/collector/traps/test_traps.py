"""Traps: net-snmp's own tool sends them, of every version; strangers and storms are counted and no more."""

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collector.collector import Collector
from collector.config import Agents, Config, Reach, Snmp, Traps, Web
from collector.snmp import ber, oid, pdu
from collector.snmp.errors import SnmpError
from collector.snmp.usm import User
from collector.traps.message import TRAP_OID, read
from tests.collector.snmp.agent import Device, device, recording, value
from tests.collector.snmp.helpers import run
from tests.collector.snmp.test_service import current, enter, until
from ticketing.scope import EVERYTHING

SNMPTRAP = shutil.which("snmptrap")
CONFIG = Config(
    agents=Agents(listen="127.0.0.1:0", tls=False),
    web=Web(listen="127.0.0.1:0"),
    snmp=Snmp(interval=86400.0, timeout=0.5),
    reach=Reach(icmp=False),
    traps=Traps(listen="127.0.0.1:0", most=5),
)
USER = User("trapper", "SHA", "authpass123", "AES", "privpass123")
AUTHENTICATION = "1.3.6.1.6.3.1.1.5.5"
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"
PORT = 'ifOperStatus{ifIndex="10101",ifName="Gi1/0/1",ifAlias="uplink"'


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[Collector, Device]]:
    """A collector that has polled one switch once, and polls it again only if it is told to."""
    made = Collector(folder, CONFIG)
    async with device(recording("cisco"), community=b"public") as peer:
        await made.start()
        try:
            made.snmp.vault.add("c", "acme", "", "2c", b"public", now=1.0)
            made.snmp.vault.add("u", "acme", "", "3", USER, now=1.0)
            enter(made, "sw1.hq.acme", peer, interval=86400)
            await until(lambda: bool(made.snmp.poller.devices))
            number = next(iter(made.snmp.poller.devices))
            await until(lambda: made.snmp.poller.hurry(number) or current(made, "sw1.hq.acme").get("up") == 1)
            await until(lambda: current(made, "sw1.hq.acme").get("up") == 1)
            yield made, peer
        finally:
            await made.stop()


async def send(port: int, *words: str) -> None:
    """Let net-snmp's tool send a trap, or an inform."""
    if SNMPTRAP is None:
        pytest.skip("snmptrap is not installed")
    command = [SNMPTRAP, *[word.replace("HOST", f"127.0.0.1:{port}") for word in words]]
    process = await asyncio.create_subprocess_exec(*command, env={"MIBS": "", "HOME": "/nonexistent"})
    assert await process.wait() == 0


V2C = ["-v", "2c", "-c", "public", "HOST", "", LINK_DOWN, "1.3.6.1.2.1.2.2.1.1.10101", "i", "10101"]
V1 = ["-v", "1", "-c", "public", "HOST", "1.3.6.1.4.1.9.1.1208", "127.0.0.1", "2", "0", ""]
V3 = [
    *["-v", "3", "-e", "0x8000000001020304", "-u", "trapper", "-l", "authPriv", "-a", "SHA", "-A", "authpass123"],
    *["-x", "AES", "-X", "privpass123", "HOST", "", LINK_DOWN],
]


@pytest.mark.parametrize("words", [V1, V2C, ["-Ci", *V2C], V3], ids=["v1", "v2c", "inform", "v3"])
def test_a_trap_makes_the_poller_look_at_once(tmp_path: Path, words: list[str]) -> None:
    async def work() -> None:
        async with watched(tmp_path) as (made, peer):
            peer.change(peer.objects | {"1.3.6.1.2.1.2.2.1.8.10101": value("2", "2")})
            await send(made.traps.port, *words)
            await until(lambda: current(made, "sw1.hq.acme")[PORT] == 2)
            await until(lambda: current(made, "sw1.hq.acme").get('watchdesk_snmp_traps_total{trap="linkDown"') == 1)
            assert (made.traps.strange, made.traps.malformed) == (0, 0)

    run(work())


def opened(made: Collector) -> set[str]:
    return {one.alertname for one in made.store.incidents(EVERYTHING, limit=50).incidents}


def trap(community: bytes, name: str = LINK_DOWN, kind: int = pdu.TRAP) -> bytes:
    bound = pdu.bindings(
        [
            (oid.encode("1.3.6.1.2.1.1.3.0"), ber.integer(5, 0x43)),
            (TRAP_OID, ber.tlv(6, oid.encode(name))),
            (oid.encode("1.3.6.1.2.1.31.1.1.1.1.10101"), ber.tlv(4, b"Gi1/0/1")),
        ]
    )
    body = b"\x02\x01\x01" + ber.tlv(4, community) + pdu.encode(kind, 7, 0, 0, bound)
    return ber.tlv(0x30, body)


def test_strangers_wrong_communities_and_storms(tmp_path: Path) -> None:
    async def work() -> None:
        async with watched(tmp_path) as (made, peer):
            take = made.traps.take
            take(trap(b"public", AUTHENTICATION), "127.0.0.1")  # one is enough for a ticket
            take(trap(b"public"), "127.9.9.9")
            take(trap(b"guess"), "127.0.0.1")
            assert made.traps.strange == 2
            asked = len(peer.asked)
            for _ in range(2_000):
                take(trap(b"public"), "127.0.0.1")
            for number in range(200):
                take(trap(b"public", f"1.3.6.1.4.1.9999.{number}"), "127.0.0.1")
            await until(lambda: current(made, "sw1.hq.acme").get("watchdesk_snmp_traps_limited_total") == 2_196)
            found = current(made, "sw1.hq.acme")
            assert found['watchdesk_snmp_traps_total{trap="linkDown"'] == 2_000
            assert len([name for name in found if name.startswith("watchdesk_snmp_traps_total")]) == 51
            assert len(peer.asked) < asked + 100
            assert take(trap(b"public", kind=pdu.INFORM), "127.0.0.1")[:1] == b"\x30"
            await until(lambda: "SnmpAuthenticationFailure" in opened(made))
            assert opened(made).isdisjoint({"DeviceRestarted", "EnvironmentTrap", "SnmpCredentialsRefused"})

    run(work())


def test_fuzz_datagrams() -> None:
    dice = random.Random(5)
    good = trap(b"public")
    started = time.process_time()
    for _ in range(5_000):
        data = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            read(bytes(data[: dice.randint(1, len(data))]))
        except SnmpError:
            continue
    assert time.process_time() - started < 60


def test_what_is_no_trap_is_refused() -> None:
    for data in (b"", b"\x30\x00", trap(b"public", kind=pdu.GET)):
        with pytest.raises(SnmpError):
            read(data)
