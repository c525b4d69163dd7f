"""As much of D-Bus as it takes to ask systemd, over a Unix socket that is never waited for.

Source: the D-Bus specification 0.41, https://dbus.freedesktop.org/doc/dbus-specification.html. Little-endian alone.
"""

from __future__ import annotations

import _socket
import os
import struct

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1
MAX_MESSAGE = 16 << 20
MAX_DEPTH = 8
HEADER = struct.Struct("<cBBBIII")  # endianness, kind, flags, version, length of the body, serial, length of the fields
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_ALIGN = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}
_FIELDS = {
    1: "path",
    2: "interface",
    3: "member",
    4: "error",
    5: "reply",
    6: "destination",
    7: "sender",
    8: "signature",
}


class DBusError(OSError):
    """The other end does not speak as it should, or has gone."""


class Message:
    """What came: header fields by name, and the values of the body."""

    __slots__ = ("body", "fields", "kind")

    def __init__(self, kind: int, fields: dict[str, object], body: list[object]) -> None:
        self.kind = kind
        self.fields = fields
        self.body = body


def encode_call(
    serial: int, path: str, interface: str, member: str, *texts: str, destination: str = "", flags: int = 0
) -> bytes:
    """Return a method call whose arguments are texts."""
    fields = b""
    told = [(1, b"o", path), (2, b"s", interface), (3, b"s", member)]
    if destination:
        told.append((6, b"s", destination))
    for code, kind, text in told:
        fields += bytes(-len(fields) % 8) + bytes((code, 1)) + kind + b"\0" + _text(text)
    if texts:
        fields += bytes(-len(fields) % 8) + bytes((8, 1)) + b"g\0" + bytes((len(texts),)) + b"s" * len(texts) + b"\0"
    body = b""
    for text in texts:
        body += bytes(-len(body) % 4) + _text(text)
    head = HEADER.pack(b"l", CALL, flags, 1, len(body), serial, len(fields))
    return head + fields + bytes(-len(fields) % 8) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def decode(data: bytes) -> tuple[Message, int] | None:
    """Return the message at the beginning of the data and its length, or None while it is not whole.

    Raises:
        DBusError: it is no message.
    """
    if len(data) < HEADER.size:
        return None
    endian, kind, _, version, body_length, _, fields_length = HEADER.unpack_from(data)
    if endian != b"l" or version != 1 or body_length + fields_length > MAX_MESSAGE:
        raise DBusError(0, "not a message of D-Bus")
    start = HEADER.size + fields_length + (-fields_length % 8)
    if len(data) < start + body_length:
        return None
    try:
        found, _ = _value(data, HEADER.size - 4, "a(yv)", 0)
        fields = {_FIELDS.get(code, ""): value for code, value in found}  # type: ignore[attr-defined]
        body = []
        at = 0
        part = data[start : start + body_length]  # what is aligned in it counts from its own beginning
        for signature in split(str(fields.get("signature", ""))):
            value, at = _value(part, at, signature, 0)
            body.append(value)
    except (struct.error, IndexError, ValueError, TypeError) as error:
        raise DBusError(0, f"a message that is none: {error}") from error
    return Message(kind, fields, body), start + body_length


def split(signature: str) -> list[str]:
    """Return the single complete types of a signature."""
    found = []
    at = 0
    while at < len(signature):
        end = _end_of_type(signature, at)
        found.append(signature[at:end])
        at = end
    return found


def _end_of_type(signature: str, at: int) -> int:
    char = signature[at]
    if char == "a":
        return _end_of_type(signature, at + 1)
    if char not in "({":
        return at + 1
    depth = 0
    for end in range(at, len(signature)):
        depth += (signature[end] in "({") - (signature[end] in ")}")
        if not depth:
            return end + 1
    raise ValueError("a bracket that does not close")


def _value(data: bytes, at: int, signature: str, depth: int) -> tuple[object, int]:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    kind = signature[0]
    align = _ALIGN.get(kind, 4)
    at += -at % align
    if kind in "so":
        length = struct.unpack_from("<I", data, at)[0]
        end = at + 4 + length
        if end >= len(data):
            raise ValueError("a text that does not end")
        return data[at + 4 : end].decode("utf-8", "replace"), end + 1
    if kind in _FIXED:
        code = "<" + _FIXED[kind]
        return struct.unpack_from(code, data, at)[0], at + struct.calcsize(code)
    if kind in "gv":
        length = data[at]
        text = data[at + 1 : at + 1 + length].decode("ascii", "replace")
        at += length + 2
        return (text, at) if kind == "g" else _value(data, at, text, depth + 1)
    if kind == "a":
        return _array(data, at, signature[1:], depth)
    if kind in "({":
        values = []
        for inner in split(signature[1:-1]):
            value, at = _value(data, at, inner, depth + 1)
            values.append(value)
        return tuple(values), at
    raise ValueError(f"an unknown type {kind}")


def _array(data: bytes, at: int, inner: str, depth: int) -> tuple[object, int]:
    length = struct.unpack_from("<I", data, at)[0]
    at += 4
    at += -at % _ALIGN.get(inner[0], 4)
    end = at + length
    if end > len(data):
        raise ValueError("an array that does not end")
    if inner == "y":
        return data[at:end], end
    values = []
    while at < end:
        value, at = _value(data, at, inner, depth + 1)
        values.append(value)
    return (dict(values) if inner[0] == "{" else values), end  # type: ignore[arg-type]


class Bus:
    """A connection; `send` calls and `receive` what has come. Nothing waits."""

    __slots__ = ("_data", "_greeted", "_serial", "_socket", "_unsent", "destination")

    def __init__(self, address: str, destination: str = "") -> None:
        """Connect.

        Raises:
            OSError: nobody listens there, or not to us.
        """
        self.destination = destination
        self._serial = 0
        self._data = b""
        self._greeted = False
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | getattr(_socket, "SOCK_CLOEXEC", 0))
        self._socket.setblocking(False)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        user = str(os.geteuid()).encode().hex()
        self._unsent = b"\0AUTH EXTERNAL " + user.encode() + b"\r\nBEGIN\r\n"

    @property
    def file(self) -> int:
        """What to wait for."""
        return self._socket.fileno()

    def call(self, path: str, interface: str, member: str, *texts: str, flags: int = 0) -> int:
        """Send a method call; return its serial, by which the answer is known."""
        self._serial += 1
        if member == "Hello" or interface == "org.freedesktop.DBus":
            destination = "org.freedesktop.DBus"
        else:
            destination = self.destination
        self._unsent += encode_call(self._serial, path, interface, member, *texts, destination=destination, flags=flags)
        return self._serial

    def flush(self) -> None:
        """Send what the socket takes now.

        Raises:
            OSError: the other end has gone.
        """
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            self._unsent = self._unsent[sent:]

    def receive(self) -> list[Message]:
        """Return the messages that have come whole.

        Raises:
            OSError: the other end has gone, or does not speak D-Bus.
        """
        self.flush()
        parts = [self._data]
        while True:
            try:
                data = self._socket.recv(65_536)
            except BlockingIOError:
                break
            if not data:
                raise DBusError(0, "the other end has closed the connection")
            parts.append(data)
        self._data = b"".join(parts)
        if not self._greeted and not self._greet():
            return []
        found = []
        at = 0
        while (decoded := decode(self._data[at:] if at else self._data)) is not None:
            found.append(decoded[0])
            at += decoded[1]
        self._data = self._data[at:]
        return found

    def _greet(self) -> bool:
        line, end, rest = self._data.partition(b"\r\n")
        if not end:
            if len(line) > 512:
                raise DBusError(0, "no greeting")
            return False
        if not line.startswith(b"OK "):
            raise DBusError(0, "not let in")
        self._data = rest
        self._greeted = True
        return True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
