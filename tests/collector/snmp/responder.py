"""A process that is many switches: it answers v2c and v3 on many loopback addresses, from answers that it keeps.

`python -m tests.collector.snmp.responder COUNT DELAY DEAD LYING` prints its port, and answers on 127.1.0.1 and up.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

from collector.snmp import ber, oid, pdu, usm
from collector.snmp.usm import User, Usm
from tests.collector.snmp.agent import Device, value

FIRST: Final = int(IPv4Address("127.1.0.1"))
USER: Final = User("u", "SHA", "authpass123", "AES", "privpass123")
IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"


def addresses(count: int) -> list[str]:
    """Return the addresses of so many devices."""
    return [str(IPv4Address(FIRST + number)) for number in range(count)]


def switch(ports: int = 48) -> dict[str, bytes]:
    """Return a switch: the system group, ten columns of ifTable and ten of ifXTable; 967 objects with 48 ports."""
    system = {
        "1": ("4", "Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(7)E4"),
        "2": ("6", "1.3.6.1.4.1.9.1.1208"),
        "3": ("67", "123456789"),
        "4": ("4", "noc@example.net"),
        "5": ("4", "sw-access-01"),
        "6": ("4", "Rack 12, Room 3"),
        "7": ("2", "6"),
    }
    objects = {f"1.3.6.1.2.1.1.{number}.0": value(*content) for number, content in system.items()}
    for port in range(ports):
        index = 10101 + port
        row = {
            f"{IF}.1": ("2", str(index)),
            f"{IF}.2": ("4", f"GigabitEthernet1/0/{port + 1}"),
            f"{IF}.3": ("2", "6"),
            f"{IF}.4": ("2", "1500"),
            f"{IF}.7": ("2", "1"),
            f"{IF}.8": ("2", str(1 + (port % 3 == 0))),
            f"{IF}.13": ("65", str(17 * port)),
            f"{IF}.14": ("65", str(port * port)),
            f"{IF}.19": ("65", str(3 * 10**9 + port)),
            f"{IF}.20": ("65", "0"),
            f"{IFX}.1": ("4", f"Gi1/0/{port + 1}"),
            f"{IFX}.15": ("66", "1000"),
            f"{IFX}.6": ("70", str(123456789012 + port * 987654321)),
            f"{IFX}.7": ("70", str(987654321 * (port + 1))),
            f"{IFX}.8": ("70", str(12345678 + port)),
            f"{IFX}.9": ("70", str(223344 + port)),
            f"{IFX}.10": ("70", str(223456789012 + port)),
            f"{IFX}.11": ("70", str(787654321 * (port + 1))),
            f"{IFX}.12": ("70", str(5345678 + port)),
            f"{IFX}.18": ("4", f"Access port {port + 1} room {100 + port}"),
        }
        objects |= {f"{column}.{index}": value(*content) for column, content in row.items()}
    return objects


class Answers:
    """Makes the answer to a PDU once, and keeps it; only the request's number changes."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.device = Device(objects)
        self.kept: dict[bytes, bytes] = {}

    def to(self, asked: bytes) -> bytes:
        """Return the PDU that answers one."""
        at = 2 if asked[1] < 128 else 2 + (asked[1] & 127)
        number = asked[at : at + 2 + asked[at + 1]]
        rest = asked[:1] + asked[at + len(number) :]
        body = self.kept.get(rest)
        if body is None:
            body = self.kept[rest] = self._made(asked)
        content = number + body
        return bytes((pdu.RESPONSE,)) + ber.length(len(content)) + content

    def _made(self, asked: bytes) -> bytes:
        read = pdu.decode(asked, 0, len(asked))
        (message,) = self.device.honest(read.kind, 1, read.status, read.at, read.oids)
        start, end = ber.expect(message, 0, len(message), ber.SEQUENCE)
        _, start = ber.read_integer(message, start, end)
        _, start = ber.expect(message, start, end, ber.OCTETS)
        start, end = ber.expect(message, start, end, pdu.RESPONSE)
        return message[ber.read_integer(message, start, end)[1] : end]


class Engine:
    """One device at one address."""

    def __init__(self, answers: Answers, address: str) -> None:
        self.answers = answers
        self.id = b"\x80\x00\x00\x09\x01" + socket.inet_aton(address)
        self._agent: Usm | None = None
        self._started = time.monotonic() - 1000

    def answer(self, data: bytes) -> bytes:
        """Return the answer to a message."""
        start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
        version, at = ber.read_integer(data, start, end)
        if version == 3:
            return self._secure(data)
        _, at = ber.expect(data, at, end, ber.OCTETS)
        body = data[start:at] + self.answers.to(data[at:end])
        return b"\x30" + ber.length(len(body)) + body

    def _secure(self, data: bytes) -> bytes:
        head = usm.header(data)
        agent = self._agent
        if agent is None:
            agent = self._agent = Usm(USER, 1)
            agent.meet(self.id)
        seconds = int(time.monotonic() - self._started)
        number = ber.read_integer(data, ber.expect(data, data.index(b"\x02\x01\x03") + 3, head.end, 0x30)[0], head.end)[
            0
        ]
        if head.engine != self.id or not head.flags & 2:
            bound = pdu.bindings([(oid.encode("1.3.6.1.6.3.15.1.1.4.0"), ber.integer(1, 0x41))])
            report = pdu.encode(pdu.REPORT, 0, 0, 0, bound)
            return agent._message(number, 0, self.id, 7, seconds, b"", report, False)
        start, stop = ber.expect(data, head.scoped, head.end, ber.OCTETS)
        privacy = agent._privacy
        assert privacy is not None
        scoped = privacy.decrypt(data[start:stop], head.boots, head.time, head.salt)
        at, end = ber.expect(scoped, 0, len(scoped), ber.SEQUENCE)
        _, at = ber.expect(scoped, at, end, ber.OCTETS)
        _, at = ber.expect(scoped, at, end, ber.OCTETS)
        return agent._message(number, 3, self.id, 7, seconds, b"u", self.answers.to(scoped[at:end]), True)


def liar(engine: Engine) -> Callable[[bytes], bytes]:
    """Return what answers every GETBULK with OIDs that never end, and all else honestly."""
    lie = pdu.bindings([(oid.encode(f"{IF}.2.{row}"), value("4", "lie")) for row in range(1, 20)])

    def answer(data: bytes) -> bytes:
        at = data.find(b"\xa5")
        if at < 0 or data[4] == 3:
            return engine.answer(data)
        request = pdu.decode(data, at, len(data)).request
        body = b"\x02\x01\x01\x04\x06public" + pdu.encode(pdu.RESPONSE, request, 0, 0, lie)
        return b"\x30" + ber.length(len(body)) + body

    return answer


def serve(count: int, delay: float, dead: int, lying: int) -> None:
    """Answer until the process is ended; the last `dead` are silent, the `lying` before them lie."""
    selector = selectors.EpollSelector()
    answers = Answers(switch())
    port = 0
    for number, address in enumerate(addresses(count)):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        made.bind((address, port))
        port = port or made.getsockname()[1]
        engine = Engine(answers, address)
        if number >= count - dead:
            continue
        selector.register(made, selectors.EVENT_READ, liar(engine) if number >= count - dead - lying else engine.answer)
    print(port, flush=True)
    waiting: list[tuple[float, int, socket.socket, bytes, tuple[str, int]]] = []
    order = 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, made, answer, peer = heapq.heappop(waiting)
            made.sendto(answer, peer)
        for key, _ in selector.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None):
            made = key.fileobj  # type: ignore[assignment]
            while True:
                try:
                    data, peer = made.recvfrom(65535)
                except BlockingIOError:
                    break
                answer = key.data(data)
                if delay:
                    order += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, order, made, answer, peer))
                else:
                    made.sendto(answer, peer)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
