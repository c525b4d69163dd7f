"""A network of its own for a test: a real bridge and hosts behind real Ethernet pairs, in network namespaces.

`inside` runs a function in a thread that has a network namespace of its own; what it starts is in there too. Nothing
of it is seen by, or reaches, the network of the machine, and the kernel takes it away with the last of its processes.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

import pytest

Value = TypeVar("Value")
CLONE_NEWNET: Final = 0x40000000
ALL_FRAMES: Final = 3
OUTGOING: Final = 4


def inside(work: Callable[[], Value]) -> Value:
    """Run a function in a new network namespace and return what it returns."""
    problem = "" if os.geteuid() == 0 and shutil.which("ip") else "network namespaces take root and iproute2"
    found: list[Value] = []
    failed: list[BaseException] = []

    def run() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            failed.append(OSError(ctypes.get_errno(), "no network namespace"))
            return
        try:
            ip("link set lo up")
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test's own thread
            failed.append(error)

    if not problem:
        thread = threading.Thread(target=run, name="inside")
        thread.start()
        thread.join()
        if failed and isinstance(failed[0], PermissionError):
            problem = str(failed[0])
    if problem:
        pytest.skip(problem)
    if failed:
        raise failed[0]
    return found[0]


def ip(command: str) -> None:
    """Run `ip` in the namespace of this thread."""
    subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True)


class Host:
    """A machine on the bridge: a process that sleeps in a network namespace of its own."""

    def __init__(self, name: str, *addresses: str, bridge: str = "br0") -> None:
        self._process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep 300"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self._process.stdout
        self._process.stdout.readline()
        self.pid = self._process.pid
        ip(f"link add {name} type veth peer name eth0 netns {self.pid}")
        ip(f"link set {name} master {bridge} up")
        self.run("ip link set lo up; ip link set eth0 up")
        for address in addresses:
            self.run(f"ip addr add {address} dev eth0{' nodad' if ':' in address else ''}")

    def run(self, script: str) -> str:
        """Run a shell script on the host."""
        return subprocess.run(self.command("sh", "-ec", script), check=True, capture_output=True, text=True).stdout

    def python(self, code: str) -> None:
        """Run Python on the host."""
        subprocess.run(self.command(sys.executable, "-c", code), check=True, timeout=60)

    def command(self, *words: str) -> list[str]:
        """Return the command that runs another on the host."""
        return ["nsenter", "-t", str(self.pid), "-n", *words]

    @property
    def mac(self) -> str:
        """Its MAC address."""
        return self.run("ip -o link show eth0").split("link/ether ")[1].split()[0]

    def stop(self) -> None:
        """Switch it off."""
        self._process.kill()
        self._process.wait(60)
        if self._process.stdout:
            self._process.stdout.close()


@contextmanager
def bridge(name: str, *addresses: str) -> Iterator[None]:
    """A bridge on which this machine has these addresses, as far as the block goes."""
    ip(f"link add {name} type bridge forward_delay 0")
    ip(f"link set {name} up")
    for address in addresses:
        ip(f"addr add {address} dev {name}{' nodad' if ':' in address else ''}")
    try:
        yield
    finally:
        ip(f"link del {name}")


@contextmanager
def hosts(*made: Callable[[], Host]) -> Iterator[list[Host]]:
    """Hosts that are switched off at the end of the block."""
    with ExitStack() as stack:
        found = []
        for make in made:
            found.append(make())
            stack.callback(found[-1].stop)
        yield found


@dataclass
class Capture:
    """What this machine sends on some interfaces, from the beginning on, but for what the kernel does by itself."""

    sockets: list[socket.socket] = field(default_factory=list)

    @classmethod
    def begin(cls, *interfaces: str) -> Capture:
        made = cls()
        for name in interfaces:
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            one.bind((name, ALL_FRAMES))
            one.setblocking(False)
            made.sockets.append(one)
        return made

    def targets(self) -> list[str]:
        """Return the IP address that each frame since the beginning was for."""
        found = []
        for one in self.sockets:
            while True:
                try:
                    frame, source = one.recvfrom(4096)
                except BlockingIOError:
                    break
                if source[2] == OUTGOING and not _kernels(frame):
                    found.append(_target(frame))
            one.close()
        return found


def _kernels(frame: bytes) -> bool:
    """Whether a frame is the kernel's own: groups that it joins, routers that it looks for, addresses that it tries."""
    if frame[12:14] == b"\x08\x00":
        return frame[23] == 2  # reports of multicast listeners
    if frame[12:14] != b"\x86\xdd":
        return False
    hop_by_hop = frame[20] == 0  # the same of IPv6
    return hop_by_hop or frame[54] == 133 or frame[22:38] == bytes(16)


def _target(frame: bytes) -> str:
    kind = frame[12:14]
    if kind == b"\x08\x06":
        return str(IPv4Address(frame[38:42]))
    if kind == b"\x08\x00":
        return str(IPv4Address(frame[30:34]))
    return str(IPv6Address(frame[38:54])) if kind == b"\x86\xdd" else kind.hex()
