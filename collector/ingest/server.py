"""The agents' port of a collector that is one process: the same log takes what arrives and what the collector adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from collector.diagnosis.desk import RequestDesk
from collector.errors import LogError
from collector.ingest.intake import Intake
from collector.ingest.port import Port, Settings
from collector.ingest.senders import Senders
from collector.ingest.spine import Spine
from collector.ingest.workers import Workers
from collector.log import Log
from collector.register import Register
from collector.remotewrite.receiver import Receiver

__all__ = ["IngestServer", "Settings"]

TELL_RECORDS = 4_096  # so many may become durable before the consumers are told, when no tick comes first


class IngestServer:
    """Listens for agents. `committed(head)` is called when there is something to do for the log's consumers."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        register: Register,
        senders: Senders,
        intake: Intake,
        *,
        announced: dict[int, dict[str, str]],
        committed: Callable[[int], None],
        clock: Callable[[], float],
        observe: Callable[[float], None] = lambda _: None,
        receiver: Receiver | None = None,
        workers: Workers | None = None,
        tick_cost: Callable[[], float] = lambda: 0.0,
        desk: RequestDesk | None = None,
    ) -> None:
        """`announced` are the target labels of the devices that the log knows of; `observe(seconds)` is called with
        the time of each sync; `tick_cost()` returns the seconds that a tick takes.
        """
        self.log = log
        self._intake = intake
        self._told = log.head
        self._pushes = 0
        self._committed = committed
        self.ports = Port(
            settings,
            log,
            register,
            senders,
            intake,
            changed=lambda: self.spine.reload(),
            committed=self._after_commit,
            clock=clock,
            observe=observe,
            receiver=receiver,
            desk=desk,
        )
        self.committer, self.connections, self.counters = (
            self.ports.committer,
            self.ports.connections,
            self.ports.counters,
        )
        self.workers = workers
        self.spine = Spine(
            self.committer.put, register, senders, announced=announced, clock=clock, workers=workers, cost=tick_cost
        )

    async def start(self, rules: dict[str, str] | None) -> None:
        """Begin to listen; `rules`, if given, hold from here on.

        Raises:
            OSError: the address cannot be used.
        """
        await self.ports.start()
        if self.workers is not None:
            await self.workers.start()
        await self.spine.start(rules)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.ports.number

    async def stop(self) -> None:
        """Cease to listen, write what was accepted, close the connections."""
        self.spine.stop()
        self.ports.release()
        if self.workers is not None:
            await self.workers.stop()
            await self.spine.last()
        await self.ports.stop()
        if self.workers is not None:
            self.workers.close()
        self._committed(self.log.head)

    def rules(self, files: dict[str, str]) -> None:
        """Let these rule files hold from here on."""
        self.spine.rules(files)

    def tables(self, texts: dict[str, str]) -> None:
        """Let these thresholds and baselines hold from here on."""
        self.spine.tables(texts)

    def observe(self, records: list[bytes], schemas: Mapping[int, int]) -> None:
        """Queue what the collector itself saw of devices; `schemas` are those among it, with their columns."""

        def done(error: LogError | None) -> None:
            if error is None:
                self.spine.data_waits()
            for schema in schemas if error else ():
                self._intake.schemas.pop(schema, None)

        self._intake.schemas.update(schemas)
        self.committer.put(records, done)

    def _after_commit(self, other: bool) -> None:
        """Tell the consumers; of pushes alone only when many wait, for a tick soon follows them."""
        head = self.log.head
        if other or head - self._told >= TELL_RECORDS:
            self._told = head
            self._committed(head)
        if self.counters.pushes > self._pushes:
            self._pushes = self.counters.pushes
            self.spine.data_waits()
