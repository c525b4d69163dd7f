"""As much of DNS as it takes to ask a server and to read what it answers (RFC 1035, RFC 3596, RFC 2782)."""

from __future__ import annotations

import os
import socket
import struct
import time

HEADER = struct.Struct(">HHHHHH")
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
RECURSION, RESPONSE, TRUNCATED = 0x0100, 0x8000, 0x0200
MAX_RECORDS = 100
MAX_JUMPS = 64
MAX_NAME = 255
PORT = 53


class Answer:
    """What a server said: its code in words, (type, text) of each record, seconds; `error` if there was no answer."""

    __slots__ = ("code", "error", "records", "seconds", "truncated")

    def __init__(self, code: str, records: list[tuple[str, str]], *, truncated: bool = False, error: str = "") -> None:
        self.code = code
        self.records = records
        self.truncated = truncated
        self.seconds = 0.0
        self.error = error

    def of(self, kind: str) -> frozenset[str]:
        """Return the records of a type: what the question was about, without aliases on the way."""
        return frozenset(text for one, text in self.records if one == kind)


def question(number: int, name: str, kind: str) -> bytes:
    """Return a question.

    Raises:
        ValueError: it is no name.
    """
    labels = [label for label in name.rstrip(".").encode("idna").split(b".") if label] if name.strip(".") else []
    if any(len(label) > 63 for label in labels) or len(name) > MAX_NAME:
        raise ValueError(f"{name} is no name")
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return HEADER.pack(number, RECURSION, 1, 0, 0, 0) + encoded + struct.pack(">HH", TYPES[kind], 1)


def reverse(address: str) -> str:
    """Return the name under which an address is looked up."""
    if ":" in address:
        nibbles = socket.inet_pton(socket.AF_INET6, address).hex()
        return ".".join(reversed(nibbles)) + ".ip6.arpa"
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def parse(data: bytes, asked: bytes) -> Answer:
    """Return the answer to a question.

    Raises:
        ValueError: it is none, or not to this question.
    """
    try:
        number, flags, questions, answers, _, _ = HEADER.unpack_from(data)
        if number != int.from_bytes(asked[:2], "big") or not flags & RESPONSE:
            raise ValueError("not an answer to this question")
        at = HEADER.size
        for _ in range(min(questions, 4)):
            _, at = _name(data, at)
            at += 4
        records = []
        for _ in range(min(answers, MAX_RECORDS)):
            _, at = _name(data, at)
            kind, _, _, length = struct.unpack_from(">HHIH", data, at)
            at += 10
            if kind in NAMES:
                records.append((NAMES[kind], _record(data, at, length, kind)))
            at += length
    except (struct.error, IndexError) as error:
        raise ValueError(f"cut off: {error}") from error
    return Answer(CODES.get(flags & 15, str(flags & 15)), records, truncated=bool(flags & TRUNCATED))


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Return a name and where it ends; what is the same as before is a jump backwards."""
    labels: list[str] = []
    end = -1
    for _ in range(MAX_JUMPS):
        length = data[at]
        if length & 0xC0 == 0xC0:
            end = at + 2 if end < 0 else end
            at = (length & 0x3F) << 8 | data[at + 1]
        elif length & 0xC0:
            raise ValueError("a label that is none")
        elif not length:
            return ".".join(labels) or ".", end if end >= 0 else at + 1
        else:
            labels.append(data[at + 1 : at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
    raise ValueError("a name that does not end")


def _record(data: bytes, at: int, length: int, kind: int) -> str:
    if at + length > len(data):
        raise ValueError("a record that is cut off")
    body = data[at : at + length]
    if kind == TYPES["A"] and length == 4:
        return socket.inet_ntop(socket.AF_INET, body)
    if kind == TYPES["AAAA"] and length == 16:
        return socket.inet_ntop(socket.AF_INET6, body)
    if kind == TYPES["MX"]:
        return f"{int.from_bytes(body[:2], 'big')} {_name(data, at + 2)[0].lower()}"
    if kind == TYPES["SRV"]:
        priority, weight, port = struct.unpack_from(">HHH", body)
        return f"{priority} {weight} {port} {_name(data, at + 6)[0].lower()}"
    if kind == TYPES["TXT"]:
        return body[1 : 1 + body[0]].decode("utf-8", "replace") if body else ""
    if kind == TYPES["SOA"]:
        _, after = _name(data, at)
        _, after = _name(data, after)
        return f"serial {struct.unpack_from('>I', data, after)[0]}"
    return _name(data, at)[0].lower()


def ask(server: str, name: str, kind: str, seconds: float) -> Answer:
    """Ask a server: by UDP, and by TCP where the answer is too long; a failure is an answer with `error`."""
    number = int.from_bytes(os.urandom(2), "big")
    try:
        asked = question(number, name, kind)
        started = time.monotonic()
        answer = _by_udp(server, asked, seconds)
        if answer.truncated:
            answer = _by_tcp(server, asked, seconds)
        answer.seconds = time.monotonic() - started
    except TimeoutError:
        return Answer("", [], error="no answer")
    except OSError as error:
        return Answer("", [], error=error.strerror or type(error).__name__)
    except (ValueError, UnicodeError) as error:
        return Answer("", [], error=f"no DNS: {error}")
    return answer


def _by_udp(server: str, asked: bytes, seconds: float) -> Answer:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sent:
        sent.connect((server, PORT))
        for _ in range(2):  # one packet may be lost
            sent.send(asked)
            until = time.monotonic() + seconds / 2
            while (left := until - time.monotonic()) > 0:
                sent.settimeout(left)
                try:
                    data = sent.recv(4_096)
                except TimeoutError:
                    break
                if data[:2] == asked[:2]:
                    return parse(data, asked)
    raise TimeoutError


def _by_tcp(server: str, asked: bytes, seconds: float) -> Answer:
    with socket.create_connection((server, PORT), timeout=seconds) as sent:
        sent.sendall(struct.pack(">H", len(asked)) + asked)
        length = int.from_bytes(_exactly(sent, 2), "big")
        return parse(_exactly(sent, length), asked)


def _exactly(opened: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = opened.recv(length - len(data))
        if not more:
            raise ValueError("it hung up")
        data += more
    return data
