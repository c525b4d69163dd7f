"""Sockets that are stuck, leaked or held: real ones, in networks of their own."""

import os
import socket
import subprocess
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import net_sockets
from agent.diagnosis.sockets import Socket, of_line, sockets
from agent.diagnosis.sockets_psutil import sockets as by_psutil
from agent.probes.host import Host
from tests.agent.diagnosis.looks import diagnose
from tests.agent.diagnosis.networks import Node, needs_networks, network


def test_who_holds_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = diagnose("net.port_holder", port=port)
        comm = Path("/proc/self/comm").read_text().strip()
        assert found["finding"].startswith(f"port {port}/tcp is held by {comm} (pid {os.getpid()}) of ")
        assert " on 127.0.0.1, since " in found["finding"]
        assert found["data"]["holders"][0]["pid"] == os.getpid()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.bind(("::1", 0))
        held = diagnose("net.port_holder", port=udp.getsockname()[1], protocol="udp")
        assert f"(pid {os.getpid()})" in held["finding"]
        assert " on ::1, since " in held["finding"]


def test_a_port_that_nobody_holds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            server.close()
            said = diagnose("net.port_holder", port=port)["finding"]
            assert said == f"Nobody listens on port {port}/tcp, but 1 connections still use it (ESTABLISHED)"
            client.close()
        accepted.close()
    assert diagnose("net.port_holder", port=1)["finding"] == "Nobody listens on port 1/tcp"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_holder_that_the_agent_may_not_see() -> None:
    code = (
        "import socket, os, time; s = socket.create_server(('127.0.0.1', 0)); os.setuid(1);"
        "print(s.getsockname()[1], flush=True); time.sleep(600)"
    )
    other = subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    port = int(other.stdout.readline())
    os.seteuid(65_534)
    try:
        said = diagnose("net.port_holder", port=port)["finding"]
    finally:
        os.seteuid(0)
        other.kill()
        other.wait(10)
        other.stdout.close()
    assert said == f"port {port}/tcp is held on 127.0.0.1 by a process of root that the agent may not see"


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Node]]:
    """Two machines, 10.1.0.1 and 10.1.0.2."""
    with network(2) as (here, there):
        here.joins("eth0", "10.1.0.1/24", there, "eth0", "10.1.0.2/24")
        yield [here, there]


LEAKS = """
import socket, time
server = socket.create_server(("127.0.0.1", 0)); kept = []
for _ in range(25):
    client = socket.create_connection(server.getsockname()); kept.append(server.accept()[0]); client.close()
print("ready", flush=True); time.sleep(600)
"""
SLOW = """
import socket, time
server = socket.create_server(("127.0.0.1", 7777), backlog=128); kept = []
for _ in range(129): kept.append(socket.create_connection(server.getsockname()))
print("ready", flush=True); time.sleep(600)
"""
ANSWERS = """
import socket
server = socket.create_server(("10.1.0.2", 5432)); print("ready", flush=True)
while True: kept = server.accept()[0]
"""
TALKS = """
import socket, sys, time
to = socket.create_connection(("10.1.0.2", 5432)); print("ready", flush=True)
while True: to.send(b"x"); time.sleep(0.1)
"""
CALLS = """
import socket, time
s = socket.socket(); s.setblocking(False); s.connect_ex(("10.1.0.2", 5432)); print("ready", flush=True); time.sleep(600)
"""


def told(here: Node, word: str) -> dict[str, Any]:
    """Return what is found as soon as the finding has a word: the kernel takes its time to try again."""
    until = time.monotonic() + 60
    while True:
        found = here.diagnose("net.sockets")
        if word in found["finding"] or time.monotonic() > until:
            return found
        time.sleep(0.2)


@needs_networks()
def test_a_program_that_forgets_to_close(pair: list[Node]) -> None:
    with pair[0].serving(LEAKS) as leaking:
        found = pair[0].diagnose("net.sockets")
    assert found["finding"] == (
        f"python (pid {leaking.pid}) has left 25 connections open that the other end has closed (CLOSE_WAIT), "
        "most with 127.0.0.1"
    ).replace("python ", found["finding_values"]["name"] + " ")
    assert found["data"]["programs"][0]["count"] >= 25
    assert {row["pid"] for row in found["data"]["stuck"]} == {leaking.pid}


@needs_networks()
def test_a_program_that_does_not_take_its_connections(pair: list[Node]) -> None:
    with pair[0].serving(SLOW):
        said = pair[0].diagnose("net.sockets")["finding"]
    assert said.endswith("does not take its connections: 129 wait on port 7777 (the queue is full)")


@needs_networks()
def test_connections_that_hang(pair: list[Node]) -> None:
    here, there = pair
    with there.serving(ANSWERS), here.serving(TALKS):
        there.ip("address flush dev eth0")  # it is there, and does not answer to its name any more
        here.ip("neigh replace 10.1.0.2 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
        try:
            found = told(here, "hang")
        finally:
            there.ip("address add 10.1.0.2/24 dev eth0")
            here.ip("neigh del 10.1.0.2 dev eth0")
    assert found["finding"].startswith("1 connections hang: what was sent to 10.1.0.2:5432 is not acknowledged, after ")


@needs_networks()
def test_connections_that_are_not_answered(pair: list[Node]) -> None:
    here, _ = pair
    here.ip("neigh replace 10.1.0.2 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
    try:
        with here.serving(CALLS):
            found = told(here, "SYN_SENT")
    finally:
        here.ip("neigh del 10.1.0.2 dev eth0")
    assert found["finding"] == "1 connections to 10.1.0.2:5432 wait for an answer to their first packet (SYN_SENT)"


def test_ports_that_run_out_and_half_made_connections(tmp_path: Path) -> None:
    host = Host(proc=str(tmp_path))
    table = [Socket("tcp", ("10.0.0.1", port), ("10.0.0.2", 443), "TIME_WAIT") for port in range(33_000, 60_000)]
    said, values = net_sockets.judge(host, table, {}, {})
    assert said % values == (
        "27000 of 28232 ports for connections to 10.0.0.2:443 are in use, 27000 of them in TIME_WAIT"
    )
    half = [Socket("tcp", ("10.0.0.1", 80), ("10.0.0.2", port), "SYN_RECV") for port in range(100)]
    said, values = net_sockets.judge(host, half, {}, {})
    assert said % values == "100 connections are half made (SYN_RECV) on port 80, most from 10.0.0.2"
    leaked = [Socket("tcp", ("10.0.0.1", 80), ("10.0.0.2", port), "CLOSE_WAIT") for port in range(30)]
    said, values = net_sockets.judge(host, leaked, {}, {})
    assert "the agent may not see by whom" in said % values


def test_no_table(tmp_path: Path) -> None:
    assert sockets(Host(proc=str(tmp_path)), "tcp") == []


@given(st.text(max_size=200))
def test_fuzz_lines_of_sockets(line: str) -> None:
    of_line("tcp", line)
    of_line("udp", f"0: 0100007F:0016 {line} 0A 00000000:00000000 00:00000000 00000000 0 0 1")


def test_addresses_of_both_families() -> None:
    rest = "01 00000000:00000000 00:00000000 00000003 1000 0 4711 1"
    four = of_line("tcp", f"0: 0100007F:0016 0200000A:1F90 {rest}")
    six = of_line("tcp", f"0: 00000000000000000000000001000000:0016 0000000000000000FFFF00000200000A:1F90 {rest}")
    assert four is not None
    assert six is not None
    assert (four.address, four.port, four.peer, four.peer_port, four.retries) == ("127.0.0.1", 22, "10.0.0.2", 8080, 3)
    assert (six.address, six.peer, six.inode) == ("::1", "10.0.0.2", 4711)


def test_sockets_of_other_systems() -> None:
    told = namedtuple("told", "laddr raddr status pid")
    rows = [
        told(("127.0.0.1", 80), (), "LISTEN", 7),
        told(("10.0.0.1", 5_000), ("10.0.0.2", 443), "CLOSE_WAIT", None),
        told((), (), "NONE", 1),
    ]
    found = by_psutil("tcp", rows)
    assert [(one.port, one.state, one.inode) for one in found] == [(80, "LISTEN", 7), (5_000, "CLOSE_WAIT", 0)]
