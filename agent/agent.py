"""The agent: readings in time, batches on their way, from start to stop in one loop."""

from __future__ import annotations

import sys
import time

from agent import __version__, plainjson, wire
from agent.batch import NO_VALUE, Layout
from agent.caps import MEMORY, Caps
from agent.connection import Want
from agent.errors import AgentError
from agent.events import Event
from agent.lifeline import Lifeline
from agent.loop import Wake, wait
from agent.manners import own_readings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import Config
    from agent.log import Log
    from agent.runner import Runner
    from agent.scout import Scout
    from agent.state import State
    from agent.transport import Sender

SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}
GOODBYE_SECONDS = 1.8
NAP_TTL = 7 * 86_400.0  # a sign of life ends it
RESTART_TTL = 60.0
KEEP_AFTER = 2.0  # seconds after which a batch that the collector has not confirmed goes to the disk


class Agent:
    """A whole agent; `run()` returns after `stop()`, which signals and other threads may call."""

    def __init__(
        self,
        config: Config,
        state: State,
        runner: Runner,
        sender: Sender,
        log: Log,
        *,
        scout: Scout,
        interval: float,
        boot: float,
        reason: str = "start",
        check_config: Callable[[], object] = lambda: None,
        lifeline: Lifeline | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._state = state
        self._runner = runner
        self._sender = sender
        self._log = log
        self._scout = scout
        self._interval = interval
        self._boot = boot
        self._reason = reason
        self._check_config = check_config
        self._lifeline = lifeline or Lifeline({})
        self._clock = clock
        self._monotonic = monotonic
        self._layout = Layout()
        self._stopping: tuple[str, float] | None = None
        self._asked = False
        self._napping = False
        self._changed = False
        self._taken = 0
        self.again = False
        self.config_error = ""
        self._started = clock()
        self._wake = Wake()
        self._caps = Caps(
            max_memory=config.max_memory, max_cpu=config.max_cpu, slow_on_battery=config.on_battery == "slow"
        )

    @property
    def wake_file(self) -> int:
        """A file that wakes the loop when it is written to; for signal.set_wakeup_fd."""
        return self._wake.write_end

    def stop(self, reason: str = "stop", ttl: float | None = None) -> None:
        """Ask `run` to say goodbye and return."""
        self._stopping = (reason, self._config.goodbye_ttl if ttl is None else ttl)
        self._wake.set()

    def nap(self) -> None:
        """Say goodbye because the machine is about to sleep; the readings go on when it is awake again."""
        self._napping = True
        self._wake.set()

    def reload(self) -> None:
        """Look at the configuration: `run` returns with `again` set if it is another and can be used."""
        self._changed = True
        self._wake.set()

    def tell(self) -> None:
        """Ask `run` to write its status down."""
        self._asked = True
        self._wake.set()

    def run(self) -> None:
        """Take readings and send them until stopped; then leave nothing behind that is not on the disk."""
        self._sender.spool.open()
        self._hello()
        self._lifeline.ready(self._monotonic())
        steps = self._sender.steps()
        want = Want(-1, 0, 0.0)
        due = self._monotonic()
        keep_at = float("inf")
        while self._stopping is None:
            now = self._monotonic()
            self._lifeline.beat(now)
            if self._scout.step(now):
                due = min(due, now)
            if now >= due:
                self._take()
                due = self._next_due(due)
                keep_at = now + KEEP_AFTER
                if want.file < 0:  # nothing is under way that waits for its answer
                    want = next(steps)
            elif now >= keep_at:
                self._sender.keep()
                keep_at = float("inf")
            until = min(due, keep_at, self._scout.until, self._lifeline.due)
            self._scout.others.files = self._scout.files()
            ready = wait(want, until, self._wake.read_end, self._monotonic(), self._scout.others)
            self._wake.clear()
            if self._asked:
                self._asked = False
                self._tell()
            if self._changed:
                self._changed = False
                self._reload()
            if self._napping:
                self._napping = False
                self._sender.hold(wire.Kind.GOODBYE, plainjson.dumps({"reason": "sleep", "ttl": NAP_TTL}))
                if want.file < 0:
                    want = next(steps)
            if ready or self._monotonic() >= want.until:
                want = next(steps)
        steps.close()
        self._scout.close()
        self._goodbye()

    def _reload(self) -> None:
        try:
            self._check_config()
        except AgentError as error:
            self.config_error = str(error)
            self._log.error("configuration not taken", error=str(error))
            return
        self.again = True
        self.stop("restart", RESTART_TTL)

    def _next_due(self, due: float) -> float:
        """Return when the next reading is due; after a time asleep the missed ones are not made up for."""
        interval = self._config.interval or self._sender.interval or self._interval
        interval *= self._caps.factor
        now = self._monotonic()
        return due + interval if due + interval > now else now + interval

    def _hello(self) -> None:
        interval = self._config.interval or self._interval
        members = {
            "version": __version__,
            "os": SYSTEMS.get(sys.platform, sys.platform),
            "reason": self._reason,
            "interval": interval,
            "started": self._started,
            "boot": self._boot,
        }
        self._sender.hold(wire.Kind.HELLO, plainjson.dumps(members))  # it goes with the first readings

    def _take(self) -> None:
        """Take one row of readings and offer it."""
        now = self._clock()
        readings = self._runner.read()
        self._scout.after(readings)
        readings.update(self._scout.readings())
        readings.update(self._own())
        self._judge(readings)
        for event in self._scout.events.drain():
            self._sender.hold(wire.Kind.EVENT, event)
        row = self._layout.row(readings, now)
        payload = wire.encode_rows(self._layout.schema, [now], [row])
        self._sender.offer(wire.Kind.ROWS, payload, self._layout.schema, self._layout.payload)
        self._taken += 1

    def _judge(self, readings: dict[str, float]) -> None:
        """Hold the agent to what it may take."""
        self._caps.see(readings, self._monotonic())
        readings["watchdesk_agent_slowed"] = float(self._caps.factor > 1)
        if self._caps.exhausted and self._stopping is None:
            taken = f"{readings[MEMORY] / (1 << 20):.0f} MiB of memory, {self._config.max_memory >> 20} allowed"
            self._log.error("started over", reason=taken)
            self._scout.events.add(Event("agent", "watchdesk-agent", "warning", f"The agent started over: {taken}"))
            self.again = True
            self.stop("restart", RESTART_TTL)

    def _own(self) -> dict[str, float]:
        sender = self._sender
        readings = own_readings(self._started)
        readings["watchdesk_spool_bytes"] = float(sender.spool.size)
        readings["watchdesk_spool_limit_bytes"] = float(self._config.spool_max_bytes)
        readings["watchdesk_spool_dropped_total"] = float(sender.spool.dropped + sender.dropped + sender.refused)
        readings["watchdesk_spool_damaged_total"] = float(sender.spool.damaged)
        readings["watchdesk_agent_config_last_reload_successful"] = float(not self.config_error)
        readings["watchdesk_agent_series_dropped"] = float(self._layout.dropped + self._runner.dropped)
        # Without a value at first, so that its column is there from the start and the schema need not change.
        readings["watchdesk_clock_offset_seconds"] = NO_VALUE if sender.clock_offset is None else sender.clock_offset
        return readings

    def _goodbye(self) -> None:
        reason, ttl = self._stopping or ("stop", 0.0)
        if reason == "stop":
            from agent.ending import reason as why

            reason = why()
        self._log.info("stopping", reason=reason)
        steps = self._sender.goodbye(plainjson.dumps({"reason": reason, "ttl": ttl}), GOODBYE_SECONDS)
        for want in steps:
            wait(want, want.until, -1, self._monotonic())
        self._sender.spool.close()
        self._lifeline.close()
        self._wake.close()

    def _tell(self) -> None:
        from agent.status import status  # when somebody asks

        text = status(
            self._started,
            self._taken,
            self._sender,
            self._runner,
            self._layout,
            self._scout.errands,
            config_error=self.config_error,
        )
        self._state.write("status", text, sync=False)
