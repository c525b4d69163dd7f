"""SNMP v3 with the User-based Security Model (RFC 3412, 3414), as a manager speaks it.

The digest of every answer is verified, an answer must be as protected as its request, and what an engine says of its
boots and time counts only with a good digest. What the discovery says, which nobody can verify, serves for the
first request alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from collector.snmp import ber, ciphers, oid, pdu
from collector.snmp.ciphers import AUTHS, PRIVS, Privacy
from collector.snmp.community import V3
from collector.snmp.errors import CredentialError, Forged, Malformed, Refused
from collector.snmp.pdu import Pdu

WINDOW: Final = 150  # seconds (RFC 3414 2.2.3)
MAX_ENGINE: Final = 32
_AUTH, _PRIV, _REPORTABLE = 1, 2, 4
_USM_STATS: Final = oid.encode("1.3.6.1.6.3.15.1.1")
_UNSUPPORTED, _NOT_IN_TIME, _UNKNOWN_USER, _UNKNOWN_ENGINE, _WRONG_DIGEST, _UNDECRYPTABLE = range(1, 7)
_REASONS: Final = {
    _UNSUPPORTED: "the device does not allow this level of security to the user",
    _UNKNOWN_USER: "the device does not know the user",
    _WRONG_DIGEST: "the authentication password or protocol is wrong",
    _UNDECRYPTABLE: "the privacy password or protocol is wrong",
}


class User(NamedTuple):
    """A user of SNMPv3; protocols by their names in `ciphers`, empty for none."""

    name: str
    auth: str = ""
    auth_password: str = ""
    priv: str = ""
    priv_password: str = ""
    context: str = ""

    def check(self) -> None:
        """See that it can be used.

        Raises:
            CredentialError: an unknown protocol, a short password, or privacy without authentication.
        """
        if self.auth and self.auth not in AUTHS:
            raise CredentialError(f"There is no protocol {self.auth}; there are {', '.join(AUTHS)}.")
        if self.priv and self.priv not in PRIVS:
            raise CredentialError(f"There is no protocol {self.priv}; there are {', '.join(PRIVS)}.")
        if self.priv and not self.auth:
            raise CredentialError("SNMPv3 has no privacy without authentication.")
        for protocol, password in ((self.auth, self.auth_password), (self.priv, self.priv_password)):
            if protocol and len(password.encode()) < ciphers.MIN_PASSWORD:
                raise CredentialError(f"An SNMPv3 password has at least {ciphers.MIN_PASSWORD} characters.")


class Again(Exception):
    """The engine said what was missing; the same request, packed anew, may be answered now."""


class _Header(NamedTuple):
    """What stands before the scoped PDU."""

    flags: int
    engine: bytes
    boots: int
    time: int
    user: bytes
    mac_at: int
    mac: bytes
    salt: bytes
    scoped: int  # where the scoped PDU, or the encrypted one, begins
    end: int


class Usm:
    """Speaks v3 with one engine as one user. What it learns of the engine stays in it."""

    version: Final = V3

    def __init__(self, user: User, salt: int) -> None:
        """`salt` is a random number of 63 bits, where the salts begin.

        Raises:
            CredentialError: the user's protocols or passwords cannot be used.
        """
        user.check()
        self.user = user
        self.engine = b""
        self._name = user.name.encode()
        self._context = user.context.encode()
        self._auth = AUTHS[user.auth] if user.auth else None
        self._flags = (_AUTH if user.auth else 0) | (_PRIV if user.priv else 0)
        self._salt = salt
        self._key = b""
        self._privacy: Privacy | None = None
        self._boots = 0
        self._time = 0  # the engine's, at `_at`
        self._at = 0.0
        self._synchronised = False  # boots and time were read from a message with a good digest

    def meet(self, engine: bytes) -> None:
        """Speak with this engine from now on."""
        self.engine = engine
        self._synchronised = False
        self._boots = self._time = 0
        if self._auth:
            hashed = self._auth.hash
            self._key = ciphers.localise(ciphers.stretch(self.user.auth_password.encode(), hashed), engine, hashed)
            if self.user.priv:
                priv = PRIVS[self.user.priv]
                key = ciphers.privacy_key(self.user.priv_password.encode(), engine, hashed, priv)
                self._privacy = Privacy(priv, key)

    def pack(self, request: int, kind: int, first: int, second: int, bound: bytes, now: float) -> bytes:
        """Return a whole message; the engine's discovery while the engine is not known."""
        if not self.engine:
            return self._message(request, _REPORTABLE, b"", 0, 0, b"", pdu.encode(pdu.GET, request, 0, 0, b""), False)
        time = min(self._time + int(now - self._at), 2**31 - 1)
        body = pdu.encode(kind, request, first, second, bound)
        return self._message(request, self._flags | _REPORTABLE, self.engine, self._boots, time, self._name, body, True)

    def _message(
        self, request: int, flags: int, engine: bytes, boots: int, time: int, user: bytes, body: bytes, secure: bool
    ) -> bytes:
        context = self._context if secure else b""
        scoped = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OCTETS, engine) + ber.tlv(ber.OCTETS, context) + body)
        salt = b""
        if secure and self._privacy:
            self._salt = self._salt + 1 & 2**63 - 1
            encrypted, salt = self._privacy.encrypt(scoped, boots, time, self._salt)
            scoped = ber.tlv(ber.OCTETS, encrypted)
        zeros = bytes(self._auth.sent) if secure and self._auth else b""
        head = ber.tlv(ber.OCTETS, engine) + ber.integer(boots) + ber.integer(time) + ber.tlv(ber.OCTETS, user)
        tail = ber.tlv(ber.OCTETS, salt)
        parameters = ber.tlv(ber.SEQUENCE, head + ber.tlv(ber.OCTETS, zeros) + tail)
        front = (
            b"\x02\x01\x03\x30\x11\x02\x04"
            + request.to_bytes(4, "big")
            + b"\x02\x03\x00\xff\xe3\x04\x01"
            + bytes((flags,))
            + b"\x02\x01\x03"
            + ber.tlv(ber.OCTETS, parameters)
        )
        content = front + scoped
        message = b"\x30" + ber.length(len(content)) + content
        if not zeros or not self._auth:
            return message
        at = len(message) - len(scoped) - len(tail) - len(zeros)
        return message[:at] + ciphers.mac(self._auth, self._key, message) + message[at + len(zeros) :]

    def open(self, data: bytes, now: float) -> Pdu:
        """Return the PDU of an answer.

        Raises:
            Again: it was a report that brings us on; the request has to be packed and sent once more.
            Refused: the engine does not take our user or keys.
            Forged: the digest is wrong, the answer is too old, or less protected than the request was.
            Malformed: no v3 message.
        """
        head = header(data)
        verified = self._verify(data, head)
        scoped, at, end = data, head.scoped, head.end
        if head.flags & _PRIV:
            if not self._privacy or not verified:
                raise Forged("an encrypted answer that was not authenticated")
            start, stop = ber.expect(data, at, end, ber.OCTETS)
            scoped = self._privacy.decrypt(data[start:stop], head.boots, head.time, head.salt)
            at, end = 0, len(scoped)
        answer = _scoped_pdu(scoped, at, end)
        if answer.kind == pdu.REPORT:
            self._report(head, answer, verified, now)
        if head.flags & 3 != self._flags or (self._auth and not verified):
            raise Forged("an answer less protected than its request")
        if head.engine != self.engine or head.user != self._name:
            raise Forged("an answer of another engine or user")
        if verified:
            self._note_time(head, now)
        return answer

    def _verify(self, data: bytes, head: _Header) -> bool:
        """Whether the message has a digest, and it is good.

        Raises:
            Forged: it has a wrong one.
        """
        if not head.flags & _AUTH:
            return False
        if not self._auth or head.engine != self.engine or len(head.mac) != self._auth.sent:
            raise Forged("an answer that is authenticated by someone else")
        blank = data[: head.mac_at] + bytes(len(head.mac)) + data[head.mac_at + len(head.mac) :]
        if not ciphers.same(ciphers.mac(self._auth, self._key, blank), head.mac):
            raise Forged("the digest of the answer is wrong")
        return True

    def _note_time(self, head: _Header, now: float) -> None:
        """Keep the engine's boots and time (RFC 3414 3.2 7 b).

        Raises:
            Forged: the message is older than the window allows: a replay.
        """
        if self._synchronised:
            expected = self._time + int(now - self._at)
            if head.boots < self._boots or (head.boots == self._boots and head.time < expected - WINDOW):
                raise Forged("an answer from the past")
            if head.boots == self._boots and head.time <= self._time:
                return
        self._boots, self._time, self._at, self._synchronised = head.boots, head.time, now, True

    def _report(self, head: _Header, answer: Pdu, verified: bool, now: float) -> None:
        """Raise what a report means."""
        name = answer.oids[0] if answer.oids else b""
        which = name[len(_USM_STATS)] if name.startswith(_USM_STATS) and len(name) > len(_USM_STATS) else 0
        if which == _UNKNOWN_ENGINE and head.engine and head.engine != self.engine:
            if self.engine and self._synchronised:
                raise Refused("another engine answers at this address")
            self.meet(head.engine)
            self._boots, self._time, self._at = head.boots, head.time, now
            raise Again
        if which == _NOT_IN_TIME and verified:
            self._boots, self._time, self._at, self._synchronised = head.boots, head.time, now, True
            raise Again
        raise Refused(_REASONS.get(which, f"the device reports {oid.decode(name) if name else 'nothing'}"))

    def forget(self) -> None:
        """Begin anew with the engine's discovery: the device was replaced, or lost its engine's id."""
        self.engine = b""
        self._synchronised = False
        self._privacy = None


def header(data: bytes) -> _Header:
    """Return what stands before the scoped PDU.

    Raises:
        Malformed: no v3 message.
    """
    start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
    version, at = ber.read_integer(data, start, end)
    if version != V3:
        raise Malformed(f"version {version} where 3 belongs")
    inner, at = ber.expect(data, at, end, ber.SEQUENCE)
    _, inner = ber.read_integer(data, inner, at)
    _, inner = ber.read_integer(data, inner, at)
    flag, inner = ber.expect(data, inner, at, ber.OCTETS)
    model, _ = ber.read_integer(data, inner, at)
    if inner - flag != 1 or model != 3:
        raise Malformed("no message of the user-based security model")
    flags = data[flag] & 3
    if flags == _PRIV:
        raise Malformed("privacy without authentication")
    start, scoped = ber.expect(data, at, end, ber.OCTETS)
    start, stop = ber.expect(data, start, scoped, ber.SEQUENCE)
    engine, at = ber.expect(data, start, stop, ber.OCTETS)
    engine_id = data[engine:at]
    boots, at = ber.read_integer(data, at, stop)
    time, at = ber.read_integer(data, at, stop)
    user, at = ber.expect(data, at, stop, ber.OCTETS)
    name = data[user:at]
    mac, at = ber.expect(data, at, stop, ber.OCTETS)
    digest = data[mac:at]
    salt, at = ber.expect(data, at, stop, ber.OCTETS)
    if len(engine_id) > MAX_ENGINE or len(name) > 32 or boots < 0 or time < 0:
        raise Malformed("security parameters out of bounds")
    return _Header(flags, engine_id, boots, time, name, mac, digest, data[salt:at], scoped, end)


def _scoped_pdu(data: bytes, at: int, end: int) -> Pdu:
    """Return the PDU of a scoped one; behind it there may be the padding of DES."""
    start, end = ber.expect(data, at, end, ber.SEQUENCE)
    _, at = ber.expect(data, start, end, ber.OCTETS)
    _, at = ber.expect(data, at, end, ber.OCTETS)
    return pdu.decode(data, at, end)
