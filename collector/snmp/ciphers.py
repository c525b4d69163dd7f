"""Keys and ciphers of the User-based Security Model.

RFC 3414 (MD5, SHA-1, DES), RFC 3826 (AES-128), RFC 7860 (SHA-2); AES-192 and AES-256 have no RFC and two ways to
lengthen a short key: draft-blumenthal-aes-usm-04 (net-snmp, most makers) and draft-reeder-snmpv3-usm-3desede-00
(Cisco), here `AES256` and `AES256C`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest, digest
from typing import Final, NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from collector.snmp.errors import CredentialError, Malformed

_STRETCHED: Final = 1 << 20  # bytes of repeated password that a key is made from (RFC 3414 A.2)
MIN_PASSWORD: Final = 8


class Auth(NamedTuple):
    """An authentication protocol: the hash, and how many bytes of its HMAC travel."""

    hash: str
    sent: int


class Priv(NamedTuple):
    """A privacy protocol: the bytes of its key, and how a shorter localised key becomes as long."""

    cipher: str
    key: int
    extension: str = "blumenthal"


AUTHS: Final = {
    "MD5": Auth("md5", 12),
    "SHA": Auth("sha1", 12),
    "SHA224": Auth("sha224", 16),
    "SHA256": Auth("sha256", 24),
    "SHA384": Auth("sha384", 32),
    "SHA512": Auth("sha512", 48),
}
PRIVS: Final = {
    "DES": Priv("des", 16),
    "AES": Priv("aes", 16),
    "AES192": Priv("aes", 24),
    "AES256": Priv("aes", 32),
    "AES192C": Priv("aes", 24, "reeder"),
    "AES256C": Priv("aes", 32, "reeder"),
}


@lru_cache(1024)
def stretch(password: bytes, hashed: str) -> bytes:
    """Return the key of a password (Ku); it takes about 2 ms.

    Raises:
        CredentialError: shorter than the 8 characters that RFC 3414 asks for.
    """
    if len(password) < MIN_PASSWORD:
        raise CredentialError(f"An SNMPv3 password has at least {MIN_PASSWORD} characters.")
    repeated = (password * (_STRETCHED // len(password) + 1))[:_STRETCHED]
    return hashlib.new(hashed, repeated, usedforsecurity=False).digest()


def localise(key: bytes, engine: bytes, hashed: str) -> bytes:
    """Return the key for one engine (Kul)."""
    return hashlib.new(hashed, key + engine + key, usedforsecurity=False).digest()


def privacy_key(password: bytes, engine: bytes, hashed: str, priv: Priv) -> bytes:
    """Return the localised key of a privacy protocol, lengthened where the hash is too short for it."""
    key = localise(stretch(password, hashed), engine, hashed)
    while len(key) < priv.key:
        if priv.extension == "reeder":
            # The longer key is the localised key of this one taken as a password.
            key += localise(
                stretch(key[-hashlib.new(hashed, usedforsecurity=False).digest_size :], hashed), engine, hashed
            )
        else:
            key += hashlib.new(hashed, key, usedforsecurity=False).digest()
    return key[: priv.key]


class Privacy:
    """Encrypts and decrypts with one localised key."""

    def __init__(self, priv: Priv, key: bytes) -> None:
        self._decrypt: Callable[[bytes, int, int, bytes], bytes]
        if priv.cipher == "des":
            self._des = TripleDES(key[:8] * 3)
            self._before = key[8:16]
            self.encrypt, self._decrypt = self._encrypt_des, self._decrypt_des
        else:
            self._aes = algorithms.AES(key)
            self.encrypt, self._decrypt = self._encrypt_aes, self._decrypt_aes

    def decrypt(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        """Return what was encrypted (with padding, for DES).

        Raises:
            Malformed: the salt or the data has not the size that it must have.
        """
        if len(salt) != 8:
            raise Malformed(f"a salt of {len(salt)} bytes")
        return self._decrypt(data, boots, time, salt)

    def _encrypt_aes(self, data: bytes, boots: int, time: int, salt: int) -> tuple[bytes, bytes]:
        sent = salt.to_bytes(8, "big")
        vector = boots.to_bytes(4, "big") + time.to_bytes(4, "big") + sent
        return Cipher(self._aes, CFB(vector)).encryptor().update(data), sent

    def _decrypt_aes(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:
        vector = boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt
        return Cipher(self._aes, CFB(vector)).decryptor().update(data)

    def _encrypt_des(self, data: bytes, boots: int, time: int, salt: int) -> tuple[bytes, bytes]:  # noqa: ARG002
        sent = boots.to_bytes(4, "big") + (salt & 0xFFFFFFFF).to_bytes(4, "big")
        padded = data + bytes(-len(data) % 8)
        return Cipher(self._des, modes.CBC(self._mixed(sent))).encryptor().update(padded), sent

    def _decrypt_des(self, data: bytes, boots: int, time: int, salt: bytes) -> bytes:  # noqa: ARG002
        if len(data) % 8:
            raise Malformed("encrypted data that is no whole number of blocks")
        return Cipher(self._des, modes.CBC(self._mixed(salt))).decryptor().update(data)

    def _mixed(self, salt: bytes) -> bytes:
        return bytes(one ^ other for one, other in zip(self._before, salt, strict=True))


def mac(auth: Auth, key: bytes, message: bytes) -> bytes:
    """Return the digest of a message as it travels."""
    return digest(key, message, auth.hash)[: auth.sent]


def same(one: bytes, other: bytes) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ."""
    return compare_digest(one, other)
