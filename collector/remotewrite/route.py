"""The route of remote writes on the agents' port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from collector.errors import LogError, Refusal
from collector.ingest.http import Request as HttpRequest
from collector.ingest.http import answer, refusal
from collector.remotewrite.receiver import Receiver, Request, Sender, Written

REFRESH_SECONDS: Final = 2.0

Reply = Callable[[bytes], None]
Later = Callable[[Coroutine[Any, Any, bytes], Reply], None]


class Committer(Protocol):
    """Makes records durable, and settles a request with the error, or None."""

    def put(self, records: list[bytes], request: Callable[[LogError | None], None]) -> None:
        """Queue the records of a request."""


class RemoteWrite:
    """Answers the requests of senders. `later(work, reply)` answers when work that takes the database is done,
    `changed()` puts new devices into the log, `wrote(samples)` is called for what is durable.
    """

    def __init__(
        self,
        receiver: Receiver,
        committer: Committer,
        *,
        clock: Callable[[], float],
        later: Later,
        changed: Callable[[], Awaitable[None]],
        wrote: Callable[[int], None],
    ) -> None:
        self.receiver = receiver
        self._committer = committer
        self._clock = clock
        self._later = later
        self._changed = changed
        self._wrote = wrote

    async def run(self) -> None:
        """Keep true to the register."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the register again; if it does not answer, what is known goes on."""
        with suppress(SQLAlchemyError):
            self.receiver.refresh(*await asyncio.to_thread(self.receiver.read_register))

    def find(self, token: bytes) -> Sender | None:
        """Return the sender behind a token, None if it is unknown or revoked."""
        return self.receiver.find(token)

    def handle(self, sender: Sender, request: HttpRequest, reply: Reply) -> None:
        """Answer a request, now or when it is durable.

        Raises:
            Refusal: nothing of it was taken.
        """
        read = self.receiver.read(sender, request.body, request.content_type, request.encoding)
        if self.receiver.unknown_devices(read):
            self._later(self._admit(read), reply)
        else:
            self._write(read, reply)

    async def _admit(self, read: Request) -> bytes:
        devices = await asyncio.to_thread(self.receiver.admit, read, self._clock())
        await self._changed()
        self.receiver.admitted(read, devices)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._write(read, answered.set_result)
        return await answered

    def _write(self, read: Request, reply: Reply) -> None:
        written = self.receiver.take(read, self._clock())
        self._committer.put(written.records, lambda error: self._written(error, written, reply))

    def _written(self, error: LogError | None, written: Written, reply: Reply) -> None:
        now = self._clock()
        if error is not None:
            reply(refusal(Refusal(503, str(error), retry_after=5), now))
            return
        self.receiver.wrote(written)
        self._wrote(written.samples)
        if written.refused:
            body = written.complaint.encode() + b"\n"
            reply(answer(400, now, body, content_type="text/plain; charset=utf-8", more=written.headers))
        else:
            reply(answer(204, now, more=written.headers))
