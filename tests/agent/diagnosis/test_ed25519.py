"""Signatures: the vectors of RFC 8032, OpenSSL's verdicts, and forms that must not pass."""

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.diagnosis.ed25519 import ORDER, P, verify

# RFC 8032, section 7.1: public key, message, signature of TEST 1, 2, 3.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
            "655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
            "b00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
            "c027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS, ids=["1", "2", "3"])
def test_the_vectors_of_the_rfc(key: str, message: str, signature: str) -> None:
    parts = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert verify(*parts)
    assert not verify(parts[0], parts[1] + b"x", parts[2])


def _openssl(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_it_says_what_openssl_says_fuzz() -> None:
    chance = random.Random(8032)
    for number in range(60):
        private = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        key = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        message = chance.randbytes(chance.randrange(200))
        good = private.sign(message)
        assert verify(key, message, good)
        changed = [bytearray(key), bytearray(message or b"x"), bytearray(good)]
        part = changed[number % 3]
        part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
        parts = bytes(changed[0]), bytes(changed[1]), bytes(changed[2])
        assert verify(*parts) == _openssl(*parts) == False  # noqa: E712 - both, and no


def test_no_second_signature_can_be_made_from_one() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    key = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    good = private.sign(b"once")
    scalar = int.from_bytes(good[32:], "little") + ORDER
    assert not verify(key, b"once", good[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (b"", b""),
        (bytes(31), bytes(64)),
        (bytes(32), bytes(63)),
        (bytes([2]) + bytes(31), bytes(64)),  # no point has this y
        ((P + 3).to_bytes(32, "little"), bytes(64)),  # y is not below the prime
        (bytes([1]) + bytes(30) + b"\x80", bytes(64)),  # minus zero
        (b"\xff" * 32, b"\xff" * 64),
    ],
    ids=["empty", "short key", "short signature", "off the curve", "large y", "minus zero", "ones"],
)
def test_what_is_no_key_or_no_signature(key: bytes, signature: bytes) -> None:
    assert not verify(key, b"message", signature)
