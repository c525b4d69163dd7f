"""Network gear examined by the collector: two switches whose link does not fit, asked over SNMP."""

from pathlib import Path
from typing import Any

import pytest

from collector.collector import Collector
from collector.config import Agents, Config, Map, Reach, Snmp, Web
from collector.diagnosis import ports
from collector.diagnosis.ports import Port
from collector.register import book
from tests.collector.discovery.test_map import ACCESS, CORE, mac, octets
from tests.collector.snmp.agent import device, value
from tests.collector.snmp.helpers import run
from tests.collector.snmp.test_service import current, until
from ticketing.diagnosis.asked import Diagnosis
from ticketing.scope import EVERYTHING

CONFIG = Config(
    agents=Agents(listen="127.0.0.1:0", tls=False),
    web=Web(listen="127.0.0.1:0"),
    snmp=Snmp(interval=1.0, timeout=0.5, retries=1),
    reach=Reach(icmp=False),
    map=Map(interval=0),
)
UNLIKE = (
    "core Gi0/1 runs at 1 Gbit/s, access-1 Gi0/4 at 100 Mbit/s; core Gi0/1 is full duplex, "
    "access-1 Gi0/4 is half duplex; access-1 Gi0/4 counts 1523 errors"
)


def link(port: int, speed: int, duplex: int, errors: int) -> dict[str, bytes]:
    """Return what a switch says of the speed (Mbit/s), duplex and errors of a port."""
    return {
        f"1.3.6.1.2.1.31.1.1.1.15.{port}": value("66", str(speed)),
        f"1.3.6.1.2.1.10.7.2.1.19.{port}": value("2", str(duplex)),
        f"1.3.6.1.2.1.2.2.1.14.{port}": value("65", str(errors)),
    }


async def examined(made: Collector, instance: str, name: str, **arguments: str) -> Diagnosis:
    """Ask, as a person does, and return what was found."""
    found = made.register.device_by_instance(instance)
    assert found is not None
    subject, now = made.diagnosis.subject_of(found), made.clock()
    one = made.store.diagnoses.ask(subject, name, arguments, by="person:anna", now=now)

    def over() -> bool:
        return bool(getattr(made.store.diagnoses.find(EVERYTHING, one.uid), "over", False))

    await until(over)
    after = made.store.diagnoses.find(EVERYTHING, one.uid)
    assert after is not None
    return after


def test_both_ends_of_a_link_and_what_hangs_on_ports(tmp_path: Path) -> None:
    async def work() -> None:
        made = Collector(tmp_path, CONFIG)
        core = CORE | link(101, 1000, 3, 0) | {"1.3.6.1.2.1.4.22.1.2.1.127.0.0.9": octets(mac(50))}
        access = ACCESS | link(104, 100, 2, 1523)
        async with device(core) as one, device(access, host="127.0.0.2") as other:
            await made.start()
            try:
                made.snmp.vault.add("c", "acme", "", "2c", b"public", now=1.0)
                text = "devices:\n"
                for name, peer in (("core", one), ("access-1", other)):
                    host, port = peer.address
                    text += f"  {name}.hq.acme: {{class: network, address: {host}, polling: {{port: {port}}}}}\n"
                made.register.take_over(book.load(text, "test"), 1.0)
                for name in ("core.hq.acme", "access-1.hq.acme"):
                    await until(lambda name=name: current(made, name).get("up") == 1)  # type: ignore[misc]
                wanted: list[tuple[str, dict[str, str], str]] = [
                    (
                        "snmp.link_ends",
                        {"port": "gi0/1"},
                        UNLIKE,
                    ),
                    ("snmp.interface", {}, "All 4 ports are well"),
                    ("snmp.interface", {"port": "Gi0/9"}, "it has no port 'Gi0/9'"),
                    ("snmp.neighbours", {}, "1 neighbours: Gi0/1: access-1.example.net Gi0/4"),
                    (
                        "snmp.port_clients",
                        {"port": "Gi0/1"},
                        f"2 machines were learned on Gi0/1: {mac(50)} 127.0.0.9, {mac(51)}",
                    ),
                    ("snmp.mac", {"mac": mac(52).upper().replace(":", "-")}, f"{mac(52)} was learned on Gi0/3"),
                    ("snmp.arp", {"address": "127.0.0.9"}, f"127.0.0.9 is at {mac(50)}"),
                    ("snmp.log", {}, "it keeps no log that can be read by SNMP"),
                ]
                for name, arguments, finding in wanted:
                    found = await examined(made, "core.hq.acme", name, **arguments)
                    assert (found.state.value, found.finding, found.reason) == ("done", finding, ""), name
                there = await examined(made, "access-1.hq.acme", "snmp.interface")
                assert there.finding == (
                    "1 of 4 ports are not well; Gi0/4 is up, 100 Mbit/s, half duplex, 1523 errors (in_errors 1523)"
                )
                other.respond = lambda *_: []
                silent = await examined(made, "access-1.hq.acme", "snmp.neighbours")
                assert silent.state.value == "failed"
                assert silent.reason
            finally:
                await made.stop()

    run(work())


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ({}, {}, []),
        ({"speed": 1e9}, {"speed": 1e8}, ["a p runs at 1 Gbit/s, b q at 100 Mbit/s"]),
        ({"speed": 1e9}, {"speed": 0.0}, []),
        ({"duplex": "half"}, {"duplex": "half"}, ["a p and b q are half duplex"]),
        ({"admin": "down", "oper": "down"}, {}, ["a p is switched off"]),
        ({}, {"oper": "down"}, ["b q is down"]),
    ],
)
def test_what_does_not_fit(here: dict[str, Any], there: dict[str, Any], expected: list[str]) -> None:
    one, other = ({"duplex": "full", "oper": "up", "admin": "up", "speed": 1e9, **end} for end in (here, there))
    assert ports.compared("a", Port("p", **one), "b", Port("q", **other)) == expected
