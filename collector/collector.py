"""The collector: everything in one startable object."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from collector import folder, pki, processes
from collector.config import Config, address, is_loopback
from collector.database import open_database
from collector.diagnosis.desk import RequestDesk
from collector.diagnosis.keys import signing_key
from collector.diagnosis.service import DiagnosisService
from collector.discovery.candidates import Candidates
from collector.discovery.finds import Finds
from collector.discovery.listed import Listed
from collector.discovery.service import MapService
from collector.discovery.sweeps import Sweeps
from collector.errors import StartError
from collector.events.keeper import EventKeeper
from collector.events.store import EventStore
from collector.history.errors import HistoryError
from collector.ingest.intake import Intake
from collector.ingest.limits import Limits
from collector.ingest.senders import Senders
from collector.ingest.server import IngestServer, Settings
from collector.ingest.totals import Totals
from collector.listening import bind, taken
from collector.log import Log
from collector.logs import Format
from collector.metrics import Metrics
from collector.observed import Observer
from collector.ownhealth import CUSTOMER, EVERY_SECONDS, NAME, SITE, OwnHealth
from collector.pipeline import CONSUMER, Pipeline
from collector.reach.service import ReachService
from collector.recent import RecentRate
from collector.recorder import Recorder
from collector.register import Register
from collector.register.writers import Writers
from collector.remotewrite.parts import Parts
from collector.remotewrite.receiver import Receiver
from collector.rulefiles import RuleFiles
from collector.runtime import Runtime
from collector.snmp.errors import SnmpError
from collector.snmp.service import SnmpService
from collector.tablefiles import TableFiles
from collector.tally import Tally
from collector.traps.service import TrapService
from collector.web import WebServer
from ticketing.accounts import Accounts
from ticketing.errors import SettingsError, Unavailable
from ticketing.outbox.routing import Router
from ticketing.outbox.sender import Sender, Surroundings
from ticketing.store import Store

HOUSEKEEPING_SECONDS = 2.0
TWO_SENDERS = "two senders report with this device's token: it may be stolen, or the machine was cloned"
_LOG = logging.getLogger(__name__)


class Collector:
    """Built from a data folder and its configuration; `start` listens, `stop` leaves everything durable.

    Attributes:
        store, register, accounts: usable once it has started.
        runtime: where it listens, once it has started.
    """

    store: Store
    register: Register
    accounts: Accounts
    runtime: Runtime

    def __init__(
        self, data: Path, config: Config, clock: Callable[[], float] = time.time, log_format: Format = "text"
    ) -> None:
        self.log_format: Format = log_format
        self.data = data
        self.config = config
        self.clock = clock
        self.incidents_changed = threading.Event()
        self.recent_values = RecentRate()
        self._lock: IO[str] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open everything and begin to listen.

        Raises:
            StartError: what is in the way, in a sentence that says what to do.
        """
        self._lock = folder.take(self.data)
        web_socket = bind(self.config.web.listen, "the pages")
        self._agents_socket = bind(self.config.agents.listen, "the agents")  # told before anything is made
        self._open_stores()
        await self._start_pipeline()
        await self._start_ingest()
        await self._start_watching()
        await self._start_web(web_socket)
        self._start_sender()
        self._tasks.append(asyncio.create_task(self._housekeeping()))
        self._tasks.append(asyncio.create_task(self._look_at_itself()))
        self.runtime.write(self.data)

    def _open_stores(self) -> None:
        now = pki.utc_now()
        names = [*pki.local_names(), *self.config.agents.names, *self.config.web.names]
        names += [address(listen)[0] for listen in (self.config.agents.listen, self.config.web.listen)]
        self.pki = pki.prepare(self.data / "pki", list(dict.fromkeys(names)), now)
        engine = self.engine = open_database(self.config.database_url(self.data))
        self.diagnosis_key = signing_key(self.data)
        self.store = Store(engine, router=Router(self.config.notifications), seal=self.diagnosis_key.sign)
        self.register, self.accounts = Register(engine), Accounts(engine)
        self.tally = Tally(engine)
        self.event_store = EventStore(engine)
        try:
            floor = max(self.store.position(CONSUMER), self.event_store.position()) + 1
        except (Unavailable, SQLAlchemyError) as error:
            raise StartError(f"The database does not answer: {error}.") from error
        self.log = Log(self.data / "log", floor=floor, segment_bytes=self.config.log.segment_bytes)

    async def _start_pipeline(self) -> None:
        self.metrics = Metrics()
        self.pipeline = Pipeline(
            self.log.directory,
            self.store,
            tail=self.log.tail,
            snapshot=self.data / "state.snapshot",
            snapshot_seconds=self.config.rules.snapshot_seconds,
            observe=self.metrics.tick_seconds.observe,
            changed=self.incidents_changed.set,
        )
        try:
            await asyncio.to_thread(self.pipeline.recover, self.log.head)
            known = self.pipeline.state.schemas.get
            log, config = self.log, self.config
            self.recorder = Recorder(log.directory, log.head, self.data / "history", config.history, known, log.tail)
            self.event_keeper = EventKeeper(log.directory, log.head, self.event_store, config.events, log.tail)
        except (Unavailable, SQLAlchemyError) as error:
            raise StartError(f"The database does not answer: {error}.") from error
        except HistoryError as error:
            raise StartError(f"The history cannot be used: {error}.") from error
        self.rule_files = RuleFiles(self.config.rules, self.data, self.pipeline.state.rules)
        self.table_files = TableFiles(self.config.rules, self.data, self.pipeline.state.tables)
        self.pipeline.start()
        self.recorder.start()
        self.event_keeper.start()

    async def _start_ingest(self) -> None:
        agents, state = self.config.agents, self.pipeline.state
        parts = Parts()
        parts.restore(state.parts, state.schemas)
        workers = processes.workers(self, self._agents_socket)
        bounds = agents.limits
        limits = Limits(bounds.device_values, bounds.customer_values, bounds.device_series, bounds.customer_series)
        senders = Senders(self.register, state.marks, limits)
        self.desk = RequestDesk(
            self.store.diagnoses,
            self.diagnosis_key,
            most=self.config.diagnosis.held,
            clock=self.clock,
            nonce=lambda: secrets.token_hex(16),
        )
        self.desk.valid = lambda token: senders.find(token) is not None
        self.intake = Intake(senders.accounts)
        self.intake.schemas = {schema: payload.count(b"\n") + 1 for schema, payload in state.schemas.items()}
        host, port = address(agents.listen)
        settings = Settings(
            host=host,
            port=port,
            tls=self.pki.context() if self.agents_tls and not agents.processes else None,
            ca=self.pki.ca,
            interval=agents.interval,
            linger=agents.linger,
            max_connections=agents.max_connections,
            backlog_bytes=agents.limits.backlog_bytes,
            listening=processes.main_socket(self.data) if agents.processes else self._agents_socket,
        )
        receiver = Receiver(Writers(self.register.engine), parts)
        receiver.refresh(*receiver.read_register())  # before it listens: a sender that gets 401 drops its samples
        self.ingest = IngestServer(
            settings,
            self.log,
            self.register,
            senders,
            self.intake,
            announced=dict(state.devices),
            committed=self._committed,
            clock=self.clock,
            observe=self.metrics.sync_seconds.observe,
            receiver=receiver,
            workers=workers,
            tick_cost=lambda: self.pipeline.tick_cost,
            desk=self.desk,
        )
        if workers is not None:
            self.desk.told = workers.lines
        own = await asyncio.to_thread(self.register.own_device, CUSTOMER, SITE, NAME, self.clock())
        self.own_health = OwnHealth(self, own)
        try:
            await self.ingest.start(self.rule_files.changed())
        except OSError as error:
            raise StartError(taken(agents.listen, "the agents", error)) from error
        self.reload_rules()

    async def _start_watching(self) -> None:
        """Begin to look at the devices that have no agent."""
        observer = Observer(self.ingest.observe, self.intake.schemas, self.clock)
        self.intake.forked = lambda device: observer.event(device.id, "security", "token", "error", TWO_SENDERS, {})
        try:
            self.snmp = SnmpService(
                self.config.snmp,
                self.data,
                self.engine,
                self.register,
                observer,
                clock=self.clock,
                rules=lambda: self.rule_files.current,
            )
        except SnmpError as error:
            raise StartError(str(error)) from error
        await self.snmp.start()
        self.reach = ReachService(
            self.config.reach, self.register, observer, clock=self.clock, back=self.snmp.poller.hurry
        )
        await self.reach.start()
        self.traps = TrapService(self.config.traps, self.snmp.poller, observer, clock=self.clock)
        self.traps.start()
        self._start_discovery(observer)
        self.diagnosis = DiagnosisService(self, self.config.diagnosis)
        await self.diagnosis.start()

    def _start_discovery(self, observer: Observer) -> None:
        """Begin to look for what hangs on what, and for what is not in the register."""
        settings = self.config.discovery
        self.finds = Finds(
            Candidates(self.engine),
            Listed(
                self.register,
                self.event_store,
                resolved=lambda: {number: host.address for number, host in self.reach.hosts.items()},
                peers=lambda: self.ingest.ports.peers,
                gear=lambda: self.map.gear,
            ),
            observer,
            reporter=lambda place, mac, where: self.map.reporter(place, mac, where),
            look=lambda place, address: self.sweeps.look(place, address),
            clock=self.clock,
        )
        self.map = MapService(
            self.config.map.interval,
            self.snmp.poller,
            self.snmp.channel,
            self.register,
            self.finds,
            observer,
            own=self.own_health.device,
            clock=self.clock,
        )
        self.sweeps = Sweeps(settings, self.register, self.finds, clock=self.clock)
        for service in (self.finds, self.map, self.sweeps):
            service.start()

    @property
    def agents_tls(self) -> bool:
        """Whether agents speak TLS: always, where others can listen in."""
        return self.config.agents.tls or not is_loopback(self.config.agents.listen)

    @property
    def web_tls(self) -> bool:
        """Whether the pages are served over TLS: always, where others can listen in, unless configured."""
        wanted = self.config.web.tls
        return not is_loopback(self.config.web.listen) if wanted is None else wanted

    async def _start_web(self, listening: socket.socket) -> None:
        self.metrics.watch(self)
        self.web = WebServer(self, listening, certificate=self.pki.server if self.web_tls else None)
        await self.web.start()
        self.runtime = Runtime.of(self, os.getpid(), self.web.port, self._agents_socket.getsockname()[1])

    def _start_sender(self) -> None:
        surroundings = Surroundings(self.clock, random.random, self.data)
        try:
            self.sender = Sender(self.store, self.web.sources, self.config.notifications, surroundings)
        except SettingsError as error:
            raise StartError(f"Notifications: {error}.") from error
        self.sender.start()

    def problem(self) -> str:
        """Return what is wrong with the collector itself, in a sentence; empty if nothing is."""
        if failing := self.log_problem():
            return failing
        if self.rule_files.problem:
            return f"The rule files were not loaded: {self.rule_files.problem}"
        if self.table_files.problem:
            return f"Thresholds and baselines were not loaded: {self.table_files.problem}"
        return ""

    def log_problem(self) -> str:
        """Return why the log takes nothing, in a sentence; empty if it does."""
        if self.ingest.committer.failing:
            return f"The log takes nothing: {self.ingest.committer.failing}"
        if self.ingest.workers and self.ingest.workers.failing():
            return f"A partition of the log takes nothing: {self.ingest.workers.failing()}"
        return ""

    def _committed(self, head: int) -> None:
        self.pipeline.advance(head)
        self.recorder.advance(head)
        self.event_keeper.advance(head)

    async def _housekeeping(self) -> None:
        """Look for changed rule files, ask for schemas that are missing, drop what nobody needs of the log."""
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            self.recent_values.note(self.clock(), Totals.of(self.ingest).values)
            self.reload_rules()
            unknown = list(self.pipeline.state.unknown_schemas)
            if unknown and self.ingest.workers:
                self.ingest.workers.forget(unknown)
            for schema in unknown:
                self.intake.schemas.pop(schema, None)
                self.pipeline.state.unknown_schemas.discard(schema)
            needed = min(self.pipeline.snapshot_position, self.recorder.position, self.event_keeper.position)
            await asyncio.to_thread(self._drop_log, needed)

    def _drop_log(self, needed: int) -> None:
        """Let go of what is old of the log, or too much: whole files, of which nobody needs a record."""
        limits = self.config.log
        free = shutil.disk_usage(self.log.directory).free
        written_before = self.clock() - limits.days * 86400
        keep = min(limits.max_bytes, max(0, self.log.size + free - limits.free_bytes))
        self.log.drop(before=needed, keep_bytes=keep, written_before=written_before)
        if self.ingest.workers:
            keep = limits.max_bytes if free >= limits.free_bytes else 0
            self.ingest.workers.drop(needed, self.log.head, keep, written_before)

    async def _look_at_itself(self) -> None:
        """Tell the rules how Watchdesk itself is."""
        while True:
            self.own_health.write(await asyncio.to_thread(self.own_health.values), self.clock())
            await asyncio.sleep(EVERY_SECONDS)

    def reload_rules(self) -> None:
        """Let rule files, thresholds and baselines hold as they are now, if they changed and are all right."""
        files = self.rule_files.changed()
        if files is not None:
            self.ingest.rules(files)
        tables = self.table_files.changed()
        if tables is not None:
            self.ingest.tables(tables)

    async def stop(self) -> None:
        """Answer what was accepted, store what is durable, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.to_thread(self.sender.stop)
        await self.web.stop()
        await self.diagnosis.stop()
        await self.sweeps.stop()
        await self.map.stop()
        await self.finds.stop()
        self.traps.stop()
        await self.reach.stop()
        await self.snmp.stop()
        await self.ingest.stop()
        await asyncio.to_thread(self.pipeline.stop)
        await asyncio.to_thread(self.recorder.stop)
        await asyncio.to_thread(self.event_keeper.stop)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.log.close()
        self.runtime.remove(self.data)
        if self._lock:
            self._lock.close()
