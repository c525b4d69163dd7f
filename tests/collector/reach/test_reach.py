"""Reachability: one socket for many hosts, and a host that refuses is alive."""

import asyncio
import json
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from collector.reach.icmp import Pinger, _checksum, _message
from collector.reach.service import Host
from collector.reach.tcp import knock
from collector.register import Device, Polled
from collector.register.book import Polling
from tests.collector.snmp.helpers import run


async def pings(hosts: list[str], seconds: float = 20.0) -> list[float | None]:
    pinger = Pinger(random.Random(), seconds)
    pinger.open()
    if pinger.problem:
        pytest.skip(pinger.problem)
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[float | None]] = [loop.create_future() for _ in hosts]
    for host, future in zip(hosts, futures, strict=True):
        pinger.ping(host, future.set_result)
    try:
        return await asyncio.gather(*futures)
    finally:
        pinger.close()


def test_many_hosts_answer_one_socket() -> None:
    found = run(pings([f"127.0.0.{number}" for number in range(1, 101)]))
    assert all(rtt is not None and rtt > 0 for rtt in found)


def test_a_host_that_is_not_there() -> None:
    """In a network of its own, where a wire ends in nothing."""
    code = (
        "import json, subprocess, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.collector.reach.test_reach import pings, run\n"
        "ip = lambda words: subprocess.run(['ip', *words.split()], check=True)\n"
        "ip('link set lo up'); ip('link add a0 type veth peer name a1'); ip('link set a0 up'); ip('link set a1 up')\n"
        "ip('address add 192.0.2.1/24 dev a0'); ip('neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev a0')\n"
        "print(json.dumps([rtt is not None for rtt in run(pings(['127.0.0.1', '192.0.2.9'], 1.0))]))\n"
    )
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", code, str(Path(__file__).parents[3])],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [True, False]


def test_ipv6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    (rtt,) = run(pings(["::1"]))
    assert rtt is not None


def test_a_port_that_is_open_and_one_that_refuses() -> None:
    async def work() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = await knock("127.0.0.1", port, 20.0)
        assert (found.open, found.alive) == (True, True)
        server.close()
        await server.wait_closed()
        found = await knock("127.0.0.1", port, 20.0)
        assert (found.open, found.alive) == (False, True)

    run(work())


def test_loss_and_failures_of_the_last_minute() -> None:
    own = Device(1, "c", "s", "d", "network", "", "", 0.0, None, "snmp", "10.0.0.1")
    host = Host(Polled(own, "10.0.0.1", Polling()), "10.0.0.1", ())
    for at, rtt in ((0, 0.1), (10, None), (20, None), (30, 0.2), (40, None)):
        host.note(float(at), rtt)
    assert (host.failures, host.loss, host.rtt) == (1, 0.6, None)
    host.note(85.0, 0.1)
    assert host.failures == 0
    assert host.loss == pytest.approx(1 / 3)


def test_the_checksum_of_a_request_is_right() -> None:
    message = _message(socket.AF_INET, 0x1234_5678_9ABC_DEF0)
    assert _checksum(message) == 0
