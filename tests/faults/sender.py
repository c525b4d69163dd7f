"""A sender with a spool in memory: it numbers its frames, and sends until they are acknowledged."""

from __future__ import annotations

import http.client
import random
import socket
import time

from agent import wire
from agent.wire import Kind
from tests.faults.model import SERIES


class Sender:
    """One device. A phase is a series that goes above the limit and comes back."""

    def __init__(self, port: int, token: str, chance: random.Random, timeout: float = 20.0) -> None:
        self.port = port
        self.acknowledged: set[int] = set()
        self.sent = 0
        self.hangs_up = True  # sometimes, before the answer has come
        self.epoch = 1_760_000_000_000
        self._token = token
        self._chance = chance
        self._timeout = timeout
        self._spool: list[tuple[int, bytes]] = []
        self._phase = 0

    def read(self) -> None:
        """Take a reading into the spool: mostly of the same phase, which goes up and down."""
        if self._chance.random() < 0.2:
            self._phase += 1
        series = [SERIES % phase for phase in range(self._phase + 1)]
        schema = wire.encode_schema(series)
        levels = [0.0] * self._phase + [self._chance.choice([0.0, 100.0, 100.0])]
        self.sent += 1
        rows = wire.encode_rows(wire.schema_id(schema), [time.time()], [levels])
        frames = wire.encode(Kind.SCHEMA, self.epoch, 0, schema) + wire.encode(Kind.ROWS, self.epoch, self.sent, rows)
        self._spool.append((self.sent, frames))

    def push(self) -> int:
        """Send the oldest frames of the spool; return the status, 0 if there was no answer.

        Sometimes the answer is not waited for, as when a network breaks: then the same frames are sent again.
        """
        some = self._spool[: self._chance.randrange(1, 5)]
        if not some:
            return 204
        body = b"".join(frames for _, frames in some)
        head = {"Authorization": f"Bearer {self._token}", "Watchdesk-Time": f"{time.time():.3f}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self._timeout)
        try:
            connection.request("POST", "/v1/push", body, head)
            if self.hangs_up and self._chance.random() < 0.1 and connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)
                return 0
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        assert status in (204, 200, 429, 503), status
        if status in (200, 204):
            self.acknowledged |= {seq for seq, _ in some}
            self._spool = self._spool[len(some) :]
        return status

    def drain(self) -> None:
        """Send until all is acknowledged."""
        deadline = time.monotonic() + 60
        while self._spool:
            assert time.monotonic() < deadline, f"{len(self._spool)} frames were not taken in a minute"
            if self.push() not in (200, 204):
                time.sleep(0.05)
