"""What diagnosis keeps in the state directory, and the lock under which it is changed."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from agent.diagnosis.audit import Audit
from agent.diagnosis.request import key_id
from agent.diagnosis.seen import Seen
from agent.errors import StateError
from agent.state import State, read_file, write_file

KEY, SEEN, MEMORY, LOCK, SENT = "diagnosis.key", "diagnosis.seen", "diagnosis.memory", "diagnosis.lock", "sent"
MAX_SENT = 100
MAX_SENT_BYTES = 8 << 20
PATIENCE = 10.0


class Store:
    """The key that the collector signs with, what was taken and sent, and the audit trail."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.audit = Audit(state.directory)
        self.seen = Seen(state.path(SEEN))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out meanwhile.

        Raises:
            StateError: one of them does not come to an end.
        """
        file = os.open(self.state.path(LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            until = time.monotonic() + PATIENCE
            while not _try(file):
                if time.monotonic() > until:
                    raise StateError("another diagnosis holds the state")
                time.sleep(0.01)
            yield
        finally:
            os.close(file)

    def key(self) -> bytes | None:
        """Return the collector's public key as it was pinned."""
        text = (self.state.read(KEY) or "").strip()
        return decode_key(text) if text else None

    def pin(self, key: bytes) -> None:
        """Take this key for the collector's from now on."""
        self.state.write(KEY, base64.b64encode(key).decode() + "\n")

    def keys(self) -> dict[str, bytes]:
        """Return the keys that diagnoses may be signed with, by id."""
        key = self.key()
        return {} if key is None else {key_id(key): key}

    def memory(self, name: str) -> dict[str, object]:
        """Return what a diagnosis left the last time."""
        kept = self._memory().get(name)
        return kept if isinstance(kept, dict) else {}

    def keep_memory(self, name: str, memory: Mapping[str, object]) -> None:
        """Keep what a diagnosis wants to know next time, if the disk lets us."""
        with contextlib.suppress(OSError):
            write_file(self.state.path(MEMORY), json.dumps({**self._memory(), name: memory}), sync=False)

    def _memory(self) -> dict[str, Any]:
        try:
            said = json.loads(read_file(self.state.path(MEMORY)) or "{}")
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def keep_sent(self, now: float, identity: str, body: bytes) -> None:
        """Keep a copy of what was sent, for people to look at and to send again; the oldest go."""
        folder = self.state.path(SENT)
        with contextlib.suppress(OSError):
            os.makedirs(folder, 0o700, exist_ok=True)
            for name in sorted(name for name in os.listdir(folder) if name.endswith(f"-{identity}.json")):
                os.unlink(os.path.join(folder, name))
            write_file(os.path.join(folder, f"{int(now):011d}-{identity}.json"), body.decode(), sync=False)
            _prune(folder)

    def sent(self, identity: str = "") -> list[tuple[float, str, bytes]]:
        """Return (time, id, body) of what was sent, the newest first; of one id if it is given."""
        folder = self.state.path(SENT)
        names = sorted(os.listdir(folder), reverse=True) if os.path.isdir(folder) else []
        found = []
        for name in names:
            stamp, _, rest = name.removesuffix(".json").partition("-")
            if name.endswith(".json") and stamp.isdigit() and identity in ("", rest):
                with open(os.path.join(folder, name), "rb") as file:
                    found.append((float(stamp), rest, file.read()))
        return found


def _prune(folder: str) -> None:
    names = sorted(os.listdir(folder))
    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in names}
    while len(names) > MAX_SENT or sum(sizes[name] for name in names) > MAX_SENT_BYTES:
        os.unlink(os.path.join(folder, names.pop(0)))


def decode_key(text: str) -> bytes | None:
    """Return the 32 bytes of a public key in base64, or None."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == 32 else None


def _try(file: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
