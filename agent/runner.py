"""Runs the probes for each reading: timed, bounded, each on its own so that one that fails costs the others nothing.

A probe that only reads /proc runs where the loop runs. One that may hang in the kernel (a dead NFS server, a dying
disk) runs in a helper thread, that lives as long as a reading takes; all of them share it. The reading waits a
moment for it, then goes on without: a slow probe's values of last time are sent again until it is abandoned after
LIMIT seconds. An abandoned thread cannot be ended, so at most MAX_ABANDONED of a probe are left behind.
"""

from __future__ import annotations

import _thread
import time

from agent.probes import NoData
from agent.wire import MAX_SERIES_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.log import Log
    from agent.probes import Probe
    from agent.probes.host import Host

LIMIT = 5.0
PATIENCE = 0.25
MAX_ABANDONED = 4
ASK_AGAIN = 6  # a probe that found nothing of its kind is asked again after so many readings
MAX_SERIES = 5_000  # of one probe; a machine with 100,000 mounts must not fill the line
OK, NO_DATA, FAILED, LATE, HUNG = "ok", "no data", "failed", "late", "hung"


class Outcome:
    """What became of a probe's last run; `readings` are those to send."""

    __slots__ = ("dropped", "error", "readings", "seconds", "state")

    def __init__(
        self, state: str, seconds: float, readings: dict[str, float], error: str = "", dropped: int = 0
    ) -> None:
        self.state = state
        self.seconds = seconds
        self.readings = readings
        self.error = error
        self.dropped = dropped


class _Job:
    """A run in a helper thread. The thread writes `outcome` last; before that nothing of it is read."""

    __slots__ = ("outcome", "probe", "queued")

    def __init__(self, probe: Probe, queued: float) -> None:
        self.probe = probe
        self.queued = queued
        self.outcome: Outcome | None = None


class _Worker:
    """A helper thread's queue; `ended` is held until the thread has emptied it."""

    __slots__ = ("ended", "jobs")

    def __init__(self, jobs: list[_Job]) -> None:
        self.jobs = jobs
        self.ended = _thread.allocate_lock()
        self.ended.acquire()


class Runner:
    """The probes that are switched on, and what became of each."""

    def __init__(
        self,
        probes: Iterable[Probe],
        host: Host,
        log: Log,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        limit: float = LIMIT,
        patience: float = PATIENCE,
    ) -> None:
        self._probes = list(probes)
        self._host = host
        self._log = log
        self._monotonic = monotonic
        self._limit = limit
        self._patience = patience
        self._jobs: dict[str, _Job] = {}
        self._abandoned: dict[str, list[_Job]] = {}
        self._readings_taken = 0
        self.outcomes: dict[str, Outcome] = {}

    @property
    def dropped(self) -> int:
        """Series of the last reading that were too many or too long."""
        return sum(outcome.dropped for outcome in self.outcomes.values())

    def read(self) -> dict[str, float]:
        """Run every probe once, and return the readings by series, those about the probes included."""
        due = [probe for probe in self._probes if not self._is_pointless(probe.name)]
        self._readings_taken += 1
        worker = self._start([probe for probe in due if probe.blocks])
        for probe in due:
            if not probe.blocks:
                self._settle(probe.name, self._run(probe))
        self._wait(worker)
        for probe in due:
            if probe.blocks:
                self._settle(probe.name, self._collect(probe.name))
        return self._readings()

    def _is_pointless(self, name: str) -> bool:
        last = self.outcomes.get(name)
        return last is not None and last.state == NO_DATA and self._readings_taken % ASK_AGAIN != 0

    def _run(self, probe: Probe) -> Outcome:
        started = self._monotonic()
        readings: dict[str, float] = {}
        dropped = 0
        try:
            for series, value in probe.read(self._host):
                if len(readings) >= MAX_SERIES or len(series) > MAX_SERIES_LENGTH:
                    dropped += 1
                else:
                    readings[series] = value
        except NoData:
            if not readings:
                return Outcome(NO_DATA, self._monotonic() - started, {})
        except Exception as error:  # noqa: BLE001 - whatever a probe raises is its own affair, and is counted
            return Outcome(FAILED, self._monotonic() - started, {}, f"{type(error).__name__}: {error}")
        return Outcome(OK, self._monotonic() - started, readings, dropped=dropped)

    def _start(self, probes: list[Probe]) -> _Worker | None:
        """Hand the probes that may hang to a helper thread; those that still run are left alone."""
        now = self._monotonic()
        jobs = []
        for probe in probes:
            if self._may_start(probe.name, now):
                self._jobs[probe.name] = job = _Job(probe, now)
                jobs.append(job)
        return self._work(jobs) if jobs else None

    def _may_start(self, name: str, now: float) -> bool:
        job = self._jobs.get(name)
        if job is None:
            return True
        if job.outcome is not None:  # it may have come in after the reading had gone on without it
            self._settle(name, job.outcome)
            return True
        if now - job.queued < self._limit:
            return False
        left = [old for old in self._abandoned.get(name, ()) if old.outcome is None]
        if job not in left:
            left.append(job)
            self._log.warning("probe abandoned", probe=name, seconds=now - job.queued)
        self._abandoned[name] = left
        return len(left) < MAX_ABANDONED

    def _work(self, jobs: list[_Job]) -> _Worker:
        worker = _Worker(jobs)
        _thread.start_new_thread(self._empty, (worker,))
        return worker

    def _empty(self, worker: _Worker) -> None:
        while True:
            try:
                job = worker.jobs.pop(0)
            except IndexError:  # another helper may have taken over the queue
                break
            job.outcome = self._run(job.probe)
        worker.ended.release()

    def _wait(self, worker: _Worker | None) -> None:
        """Wait a moment for the helper; what is queued behind a slow probe gets a helper of its own."""
        while worker is not None and not worker.ended.acquire(timeout=self._patience):
            worker = self._work(worker.jobs) if worker.jobs else None

    def _collect(self, name: str) -> Outcome:
        job = self._jobs[name]
        if job.outcome is not None:
            return job.outcome
        age = self._monotonic() - job.queued
        last = self.outcomes.get(name)
        if age < self._limit:
            return Outcome(LATE, age, last.readings if last is not None else {})
        return Outcome(HUNG, age, {}, f"no answer for {age:.0f} s")

    def _settle(self, name: str, outcome: Outcome) -> None:
        last = self.outcomes.get(name)
        if outcome.error and (last is None or last.error != outcome.error) and outcome.state == FAILED:
            self._log.warning("probe failed", probe=name, error=outcome.error)
        self.outcomes[name] = outcome

    def _readings(self) -> dict[str, float]:
        readings: dict[str, float] = {}
        for outcome in self.outcomes.values():
            readings.update(outcome.readings)
        for name, outcome in self.outcomes.items():
            if outcome.state != NO_DATA:
                label = f'{{probe="{name}"}}'
                # In steps of 1/8192 s: times of fewer bits take less room on the wire.
                readings["watchdesk_probe_duration_seconds" + label] = round(outcome.seconds * 8192) / 8192
                readings["watchdesk_probe_success" + label] = float(outcome.state in (OK, LATE))
        return readings
