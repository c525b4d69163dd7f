"""Empties the outbox: a thread for each recipient, so that one that is away delays nobody else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from ticketing.adapters.adapter import Message, Transport
from ticketing.errors import TransportError, Unavailable
from ticketing.outbox.box import Delivery, Outbox
from ticketing.outbox.compose import message
from ticketing.outbox.opening import open_transport
from ticketing.outbox.settings import Notifications, Recipient
from ticketing.store import Store
from ticketing.web.sources import Sources

LEASE: Final = 300.0  # seconds until a try of which nothing was heard counts as lost
FIRST, LAST = 5.0, 3600.0  # seconds until the second try, and at most between two
PAUSE: Final = 30.0  # seconds at most that a failure holds up the recipient's other messages
POLL: Final = 1.0
TIDY: Final = 600.0
_MINUTE: Final = 60.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What comes from outside: time in Unix seconds, randomness in [0, 1), the folder of the settings' files."""

    clock: Callable[[], float]
    random: Callable[[], float]
    folder: Path


class Lane:
    """One recipient's deliveries, one after the other, no more of them a minute than it takes.

    `compose` makes the message of a delivery at a time, None if there is nothing to tell. Belongs to one thread.
    """

    def __init__(
        self,
        recipient: Recipient,
        transport: Transport,
        outbox: Outbox,
        compose: Callable[[Delivery, float], Message | None],
        give_up: float,
        surroundings: Surroundings,
    ) -> None:
        self.recipient = recipient
        self._transport = transport
        self._outbox = outbox
        self._compose = compose
        self._give_up = give_up
        self._clock, self._random = surroundings.clock, surroundings.random
        self._allowance = self._most = max(1.0, recipient.rate)
        self._refilled = surroundings.clock()
        self._paused_until = 0.0

    def step(self) -> bool:
        """Try the next delivery; whether there was one. Raises Unavailable if the database is away."""
        now = self._clock()
        if now < self._paused_until or not self._may_send(now) or not self._outbox.is_due(self.recipient.name, now):
            return False
        delivery = self._outbox.take(self.recipient.name, now, LEASE)
        if delivery is None:
            return False
        made = self._compose(delivery, now)
        if made is None:
            self._outbox.delivered(delivery, now, "")
            return True
        self._allowance -= 1
        known = self._outbox.reference(delivery.recipient, delivery.incident)
        made = replace(made, attempt=delivery.attempts, uncertain=delivery.uncertain, reference=known)
        try:
            reference = self._transport.deliver(made)
        except TransportError as error:
            self._failed(delivery, error)
        else:
            self._outbox.delivered(delivery, self._clock(), reference)
        return True

    def _may_send(self, now: float) -> bool:
        gained = max(0.0, now - self._refilled) * self.recipient.rate / _MINUTE
        self._allowance = min(self._most, self._allowance + gained)
        self._refilled = now
        return self._allowance >= 1

    def _failed(self, delivery: Delivery, error: TransportError) -> None:
        now = self._clock()
        uncertain = error.uncertain or delivery.uncertain
        if error.permanent or now - delivery.created_at > self._give_up:
            _LOG.warning("delivery %s is dead: %s", delivery.key, error)
            self._outbox.died(delivery, now, str(error), uncertain=uncertain)
            return
        wait = backoff(delivery.attempts, self._random())
        if error.retry_after is not None:
            wait = max(wait, error.retry_after)
            self._paused_until = now + error.retry_after
        else:
            self._paused_until = now + min(wait, PAUSE)
        _LOG.info("delivery %s, try %d: %s; again in %.0f s", delivery.key, delivery.attempts, error, wait)
        self._outbox.failed(delivery, now + wait, str(error), uncertain=uncertain)


def backoff(attempts: int, random: float) -> float:
    """Return the seconds to wait after so many tries: doubled each time, and between a half and the whole of that."""
    whole: float = min(LAST, FIRST * 2.0 ** min(attempts - 1, 20))
    return whole * (0.5 + random / 2)


class Sender:
    """Runs a lane for each recipient of the configuration."""

    def __init__(self, store: Store, sources: Sources, settings: Notifications, surroundings: Surroundings) -> None:
        self._outbox = store.outbox
        self._settings = settings
        self._clock = surroundings.clock
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lanes = []
        for index, recipient in enumerate(settings.recipients):
            transport = open_transport(recipient, index, surroundings.folder)
            lane = Lane(
                recipient,
                transport,
                store.outbox,
                partial(message, store, sources, settings, recipient),
                settings.give_up_hours * 3600,
                surroundings,
            )
            self._lanes.append(lane)

    def start(self) -> None:
        """Begin to send."""
        # Daemons: a recipient that hangs must not hold up the end of the program; its lease runs out by itself.
        for lane in self._lanes:
            work = (lane.step, f"outbox {lane.recipient.name}")
            self._threads.append(threading.Thread(target=self._run, args=work[:1], name=work[1], daemon=True))
        self._threads.append(threading.Thread(target=self._tidy, name="outbox", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 3.0) -> None:
        """End, and wait so long for what is under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(seconds)

    def _run(self, step: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            try:
                busy = step()
            except Unavailable:
                busy = False
            if not busy:
                self._stopping.wait(POLL)

    def _tidy(self) -> None:
        names = [recipient.name for recipient in self._settings.recipients]
        while not self._stopping.is_set():
            try:
                self._outbox.tidy(self._clock(), self._settings.keep_days * 86_400, names)
            except Unavailable as error:
                _LOG.warning("the outbox was not tidied: %s", error)
            self._stopping.wait(TIDY)
