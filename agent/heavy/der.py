"""As much of ASN.1 as it takes to know from when to when an X.509 certificate is good, whose it is, and whose word
that is (RFC 5280, X.690)."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from ipaddress import ip_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
SEQUENCE, SET, OID, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x31, 0x06, 0x17, 0x18, 0xA0
EXTENSIONS, DNS_NAME, IP_ADDRESS = 0xA3, 0x82, 0x87
COMMON_NAME = b"\x55\x04\x03"
ALTERNATIVE_NAMES = b"\x55\x1d\x11"
MAX_NAMES = 200
MAX_CERTIFICATES = 200


class Certificate:
    """What is asked of a certificate; `names` are the host names and addresses that it is for."""

    __slots__ = ("issuer", "names", "not_after", "not_before", "subject")

    def __init__(self, subject: str, issuer: str, not_before: float, not_after: float, names: list[str]) -> None:
        self.subject = subject
        self.issuer = issuer
        self.not_before = not_before
        self.not_after = not_after
        self.names = names


def certificates(data: bytes) -> list[Certificate]:
    """Return the certificates of a file: PEM, several of them, or one in DER. What is none is left out."""
    blocks = list(_blocks(data.decode("ascii", "replace"))) if BEGIN.encode() in data else [data]
    found = []
    for block in blocks[:MAX_CERTIFICATES]:
        try:
            found.append(certificate(block))
        except (ValueError, IndexError):
            continue
    return found


def _blocks(text: str) -> Iterator[bytes]:
    for part in text.split(BEGIN)[1:]:
        body, end, _ = part.partition(END)
        if end:
            try:
                yield base64.b64decode("".join(body.split()))
            except binascii.Error:
                continue


def certificate(data: bytes) -> Certificate:
    """Return what a certificate in DER says.

    Raises:
        ValueError, IndexError: it is none.
    """
    _, whole, _ = _element(data, 0)
    _, signed, _ = _element(whole, 0)
    elements = list(_elements(signed))
    if elements[0][0] == VERSION:
        elements = elements[1:]
    # serial number, algorithm, issuer, validity, subject, …
    issuer, validity, subject = elements[2:5]
    times = list(_elements(validity[1]))
    extensions = next((content for tag, content in elements[5:] if tag == EXTENSIONS), b"")
    return Certificate(
        _common_name(subject[1]), _common_name(issuer[1]), _time(*times[0]), _time(*times[1]), _names(extensions)
    )


def _names(extensions: bytes) -> list[str]:
    """Return the alternative names among the extensions: (OID, critical or not, OCTET STRING of a sequence)."""
    found = []
    for _, listed in _elements(extensions):
        for _, extension in _elements(listed):
            parts = list(_elements(extension))
            if parts[0][1] != ALTERNATIVE_NAMES:
                continue
            for tag, name in _elements(_element(parts[-1][1], 0)[1]):
                if tag == DNS_NAME:
                    found.append(name.decode("ascii", "replace"))
                elif tag == IP_ADDRESS and len(name) in (4, 16):
                    found.append(str(ip_address(name)))
    return found[:MAX_NAMES]


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return (tag, content, where the next one begins)."""
    tag, length = data[at], data[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        if not 0 < size <= 4:
            raise ValueError("a length that is none")
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    if at + length > len(data):
        raise ValueError("cut off")
    return tag, data[at : at + length], at + length


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, content, at = _element(data, at)
        yield tag, content


def _time(tag: int, content: bytes) -> float:
    text = content.decode("ascii")
    if tag == UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _common_name(subject: bytes) -> str:
    """Return the common name, or all the names there are where it has none."""
    names = []
    for _, group in _elements(subject):
        for _, pair in _elements(group):
            (_, oid), (_, value) = list(_elements(pair))[:2]
            text = value.decode("utf-8", "replace")
            if oid == COMMON_NAME:
                return text
            names.append(text)
    return ", ".join(names)
