"""Who may report: tokens in memory, kept true to the register."""

import threading
from collections.abc import Mapping

from collector.ingest.intake import Marks, Sender
from collector.ingest.limits import Accounts, Limits
from collector.register import Device, Register
from collector.register.register import digest

MAX_CACHED = 200_000


class Senders:
    """The devices that may report, by their tokens.

    `refresh` runs in another thread than `find`; both see whole dictionaries only.

    Attributes:
        version: changes when a token may have become another's, or nobody's.
    """

    def __init__(self, register: Register, marks: Mapping[int, Marks], limits: Limits | None = None) -> None:
        """`marks` are what was taken of each device before this start."""
        self.accounts = Accounts(limits or Limits())
        self.version = 0
        self._register = register
        self._by_hash: dict[str, Sender] = {}
        self._by_device: dict[int, Sender] = {}
        self._by_token: dict[bytes, Sender] = {}
        self._marks = marks
        self._lock = threading.Lock()
        self.refresh()

    def find(self, token: bytes) -> Sender | None:
        """Return the sender behind a token, or None: unknown, revoked or retired."""
        sender = self._by_token.get(token)
        if sender is None:
            sender = self._by_hash.get(digest(token.decode("latin-1")))
            if sender is not None and len(self._by_token) < MAX_CACHED:
                self._by_token[token] = sender
        return sender

    def refresh(self) -> None:
        """Read the register again."""
        with self._lock:
            credentials = self._register.credentials()
            if credentials == {token: sender.device for token, sender in self._by_hash.items()}:
                return
            by_device = {device.id: self._sender(device) for device in credentials.values()}
            self._by_device = by_device
            self._by_hash = {token: by_device[device.id] for token, device in credentials.items()}
            self._by_token = {}
            self.version += 1

    def _sender(self, device: Device) -> Sender:
        known = self._by_device.get(device.id)
        if known is None:
            own, whole = self.accounts.device(), self.accounts.customer(device.customer)
            return Sender(device, own, whole, dict(self._marks.get(device.id, {})))
        known.device = device
        return known
