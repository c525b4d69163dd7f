"""The whole service: devices of the register are found, polled and named, and what they say is in the log's fleet."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from collector.collector import Collector
from collector.config import Agents, Config, Reach, Snmp, Web
from collector.register import book
from collector.snmp.errors import CredentialError
from collector.snmp.models import PolledRow
from collector.snmp.usm import User
from collector.snmp.vault import Vault
from tests.collector.snmp.agent import Device, device, recording, value
from tests.collector.snmp.helpers import run

PORT = 'ifOperStatus{ifIndex="10101",ifName="Gi1/0/1",ifAlias="uplink"'
CONFIG = Config(
    agents=Agents(listen="127.0.0.1:0", tls=False),
    web=Web(listen="127.0.0.1:0"),
    snmp=Snmp(interval=1.0, timeout=0.5),
    reach=Reach(interval=1.0, timeout=1.0),
)


@asynccontextmanager
async def collector(folder: Path) -> AsyncIterator[Collector]:
    made = Collector(folder, CONFIG)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def enter(made: Collector, name: str, peer: Device, **more: object) -> None:
    """Put a device into the register."""
    host, port = peer.address
    form = {"class": "network", "address": host, "polling": {"port": port, "interval": 1, **more}}
    text = msgspec.json.encode({"devices": {name: form}}).decode()
    made.register.take_over(book.load(text, "test"), 1.0)


def current(made: Collector, instance: str) -> dict[str, float]:
    """Return what the fleet knows of a device: `name ifName` → value."""
    with made.pipeline.lock:
        lines = b"".join(made.pipeline.state.fleet.exposition({"instance": instance})).decode().splitlines()
    found = {}
    for line in lines:
        series, _, number = line.rpartition(" ")
        found[series.partition(",instance=")[0].partition("{instance=")[0]] = float(number)
    return found


def known(made: Collector, instance: str) -> PolledRow:
    """Return what is stored of a device."""
    found = made.register.device_by_instance(instance)
    assert found is not None
    return made.snmp.known.all()[found.id]


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(55):
        while not what():  # noqa: ASYNC110 - what is waited for happens in threads
            await asyncio.sleep(0.05)


def test_from_the_register_to_the_fleet(tmp_path: Path) -> None:
    async def work() -> None:
        objects = recording("cisco")
        async with device(objects, community=b"secret") as peer, collector(tmp_path) as made:
            vault = made.snmp.vault
            vault.add("wrong", "acme", "", "2c", b"nope", now=1.0)
            vault.add("right", "acme", "hq", "2c", b"secret", now=1.0)
            enter(made, "sw1.hq.acme", peer)
            await until(lambda: current(made, "sw1.hq.acme").get("up") == 1)
            await until(
                lambda: "watchdesk_icmp_failures" in current(made, "sw1.hq.acme") or bool(made.reach.pinger.problem)
            )
            found = current(made, "sw1.hq.acme")
            assert found['watchdesk_component_healthy{name="Sw1, PS3 failed",component="power_supply"'] == 0
            assert found[PORT] == 1
            assert found['watchdesk_memory_used_ratio{pool="I/O"'] == pytest.approx(0.9)
            assert "cdpCache_info" not in str(found)  # nobody needs it
            peer.change(objects | {"1.3.6.1.2.1.2.2.1.8.10101": value("2", "2")})
            await until(
                lambda: (
                    current(made, "sw1.hq.acme")['ifOperStatus{ifIndex="10101",ifName="Gi1/0/1",ifAlias="uplink"'] == 2
                )
            )
            peer.silent = True
            await until(lambda: current(made, "sw1.hq.acme").get("up") == 0)
            await until(lambda: "no answer" in known(made, "sw1.hq.acme").problem)
            assert known(made, "sw1.hq.acme").profile == "cisco"
            peer.silent = False
            await until(lambda: current(made, "sw1.hq.acme").get("up") == 1)

    run(work())


def test_two_customers_with_one_address_and_a_device_that_leaves(tmp_path: Path) -> None:
    async def work() -> None:
        async with device(recording("apc"), community=b"one") as peer, collector(tmp_path) as made:
            made.snmp.vault.add("c", "acme", "", "1", b"one", now=1.0)
            made.snmp.vault.add("c", "other", "", "2c", b"two", now=1.0)
            enter(made, "ups.hq.acme", peer)
            enter(made, "ups.hq.other", peer, icmp=False)
            await until(lambda: "upsAdvOutputLoad" in current(made, "ups.hq.acme"))
            await until(lambda: current(made, "ups.hq.other").get("up") == 0)
            assert "upsAdvOutputLoad" not in current(made, "ups.hq.other")
            gone = made.register.device_by_instance("ups.hq.acme")
            assert gone is not None
            made.register.retire(gone.id, 2.0)
            await until(lambda: [one.instance for one in made.snmp.poller.devices.values()] == ["ups.hq.other"])

    run(work())


def test_credentials_are_kept_sealed(tmp_path: Path) -> None:
    async def work() -> None:
        async with collector(tmp_path) as made:
            vault = made.snmp.vault
            user = User("monitor", "SHA", "authpass-secret", "AES", "privpass-secret")
            vault.add("core", "acme", "", "3", user, now=1.0)
            vault.add("lan", "acme", "hq", "2c", b"comm-secret", now=1.0)
            one, other = vault.all()
            assert (one.secret, other.secret, other.site) == (user, b"comm-secret", "hq")
            assert "secret" not in repr(one) + repr(other)
            with pytest.raises(CredentialError, match="already"):
                vault.add("lan", "acme", "", "2c", b"x", now=1.0)
            with pytest.raises(CredentialError, match="at least 8"):
                vault.add("short", "acme", "", "3", User("m", "SHA", "short"), now=1.0)
            vault.remove("lan", "acme")
            assert [left.name for left in vault.all()] == ["core"]
            (tmp_path / "elsewhere").mkdir()
            with pytest.raises(CredentialError, match="another key"):
                Vault(made.engine, tmp_path / "elsewhere").all()

    run(work())
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"-secret" not in everything
    assert stat.S_IMODE((tmp_path / "snmp.key").stat().st_mode) == 0o600
