"""The collector's key for requests: agents take a request only with its signature, and pin the key they were given.

It signs read-only diagnoses and the ends of the audit. Actions need a person's key, which is nowhere on the collector.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from collector.errors import StartError

FILE_NAME: Final = "diagnosis.key"


class SigningKey:
    """An Ed25519 key (RFC 8032).

    Attributes:
        public: the raw public key, base64.
        id: the first 16 hex digits of the SHA-256 of the raw public key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = base64.b64encode(raw).decode()
        self.id = hashlib.sha256(raw).hexdigest()[:16]

    def sign(self, payload: bytes) -> str:
        """Return the signature, base64."""
        return base64.b64encode(self._key.sign(payload)).decode()

    def signed(self, payload: bytes, signature: str) -> bool:
        """Tell whether this key has signed it."""
        return signed_by(self._key.public_key(), payload, signature)


def signed_by(public: Ed25519PublicKey, payload: bytes, signature: str) -> bool:
    """Tell whether a key has signed it."""
    try:
        public.verify(base64.b64decode(signature, validate=True), payload)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def signing_key(data: Path) -> SigningKey:
    """Return the key of a data folder, made where there is none, readable by its owner alone.

    Raises:
        StartError: the file cannot be read or written, or holds no such key.
    """
    path = data / FILE_NAME
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}.") from error
    key = Ed25519PrivateKey.generate()
    with os.fdopen(handle, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SigningKey(key)


def _read(path: Path) -> SigningKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise StartError(f"{path} holds no key: {error}. Restore it from a backup.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StartError(f"{path} holds no Ed25519 key. Restore it from a backup.")
    return SigningKey(key)
