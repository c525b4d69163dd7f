"""From an answer of the collector to results: verify, ask the policy, ask the person, run, tell, and keep the record.

One short-lived process does this for the requests of one answer. What it writes to its output is for the running agent:
`! EVENT` and `C NAME NUMBER` (a count that grew), lines as those of agent/errand.py.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agent.child import Child
from agent.diagnosis import request as requests
from agent.diagnosis import worker
from agent.diagnosis.catalogue import Diagnosis, Privacy
from agent.diagnosis.errors import Denied, NotFound, Refusal
from agent.diagnosis.machine import check_targets
from agent.diagnosis.policy import Decision, Policy
from agent.diagnosis.request import Request
from agent.diagnosis.store import Store
from agent.events import Event
from agent.redact import clean

HOUR = 3_600.0
TICK = 0.1  # seconds between two looks where files cannot be waited for
NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A request that is sound, what it wants, and what the policy says to that."""

    request: Request
    diagnosis: Diagnosis
    asked: Any
    privacy: Privacy
    decision: Decision
    consent: str = ""


class AnyConsent(Protocol):
    """The person who is asked, and who may take the yes back; see consent.py."""

    def ask(self, job: Job) -> str:
        """Return who said yes.

        Raises:
            Denied: no, or nobody in time.
        """

    def files(self) -> list[int]:
        """Return what to wait for while it runs."""

    def revoked(self) -> str:
        """Return who took the consent back, "" if nobody did."""

    def tell(self, result: Mapping[str, object]) -> None:
        """Show what is sent to those who were asked."""

    def close(self) -> None:
        """Take the question away."""


class Frame:
    """All that the handling of requests needs; the clock and the ways out come in as arguments."""

    def __init__(
        self,
        store: Store,
        device: str,
        policy: Policy,
        options: Mapping[str, str],
        known: set[str],
        *,
        post: Callable[[Mapping[str, object]], str],
        consent: AnyConsent,
        out: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._device = device
        self._policy = policy
        self._options = options
        self._known = known
        self._post = post
        self._consent = consent
        self._out = out
        self._clock = clock

    def handle(self, body: bytes, length: int) -> None:
        """Do what an answer asks for; `length` is how long it was, of which `body` may be the beginning.

        Raises:
            OSError: the record cannot be written, so nothing was done.
        """
        try:
            if length > requests.MAX_BODY:
                raise Refusal("oversized", f"an answer of {length} bytes")
            listed = requests.envelopes(body)
        except Refusal as refusal:
            self._refuse(refusal, None)
            return
        jobs = [job for job in map(self._take, listed) if job is not None]
        for job in sorted(jobs, key=lambda job: job.decision != "allow"):
            self._carry_out(job)

    def _take(self, item: object) -> Job | None:
        """Return what is to be done for one request, if anything."""
        request = None
        try:
            request = requests.verified(requests.envelope(item), self._store.keys())
            requests.check_bounds(request, self._device, self._clock())
            with self._store.held():
                fresh = self._store.seen.take(request.nonce, request.id, request.expires, self._clock())
            if not fresh:
                self._repeat(request)
                return None
            return self._judged(request)
        except Refusal as refusal:
            self._refuse(refusal, request)
        except Denied as denied:
            self._deny(denied, request)
        except NotFound as error:
            self._end(request, "failed", str(error))
        return None

    def _judged(self, request: Request) -> Job:
        """Return the job, with what the policy says.

        Raises:
            Refusal: there is no such thing to do.
            Denied: the policy does not want it.
        """
        if request.kind != "diagnosis":
            raise Refusal("kind", "actions are not installed on this machine")
        diagnosis, asked = requests.find(request.name, request.arguments)
        privacy = diagnosis.privacy_of(asked)
        now = self._clock()
        decision = self._policy.decide(request.name, privacy, now)
        if decision == "deny":
            raise Denied("policy", f"the policy of this machine denies {privacy} ({request.name})")
        check_targets(asked, self._policy, self._known)
        if self._store.seen.within(HOUR, now) > self._policy.budget:
            raise Denied("budget", f"more than {self._policy.budget} requests within an hour")
        return Job(request, diagnosis, asked, privacy, decision)

    def _carry_out(self, job: Job) -> None:
        try:
            if job.decision == "ask":
                self._note("asking", job.request, {"class": job.privacy})
                self._post({"id": job.request.id, "state": "asking"})
                job = replace(job, consent=self._consent.ask(job))
            self._run(job)
        except Denied as denied:
            self._deny(denied, job.request)

    def _run(self, job: Job) -> None:
        request, started = job.request, self._clock()
        self._note("running", request, {"class": job.privacy, "consent": job.consent or "policy"})
        self._post({"id": request.id, "state": "running", "started": started})
        memory = self._store.memory(request.name)
        child = worker.begin(job.diagnosis, job.asked, self._options, memory)
        try:
            state, reason = self._wait(child, job.diagnosis)
            data = child.output()
        finally:
            child.close()
        members: dict[str, Any] = {}
        if not state:
            state, reason, members = self._outcome(job, data)
        members |= {"started": started, "seconds": round(self._clock() - started, 3)}
        self._end(request, state, reason, members, {"class": job.privacy, "consent": job.consent or "policy"})

    def _wait(self, child: Child, diagnosis: Diagnosis) -> tuple[str, str]:
        """Return ("", "") when it has ended by itself, else the state and why it was ended."""
        until = time.monotonic() + diagnosis.seconds + worker.GRACE
        while not child.ended():
            if time.monotonic() > until:
                return "timeout", f"ended after {diagnosis.seconds:.0f} s"
            who = self._consent.revoked()
            if who:
                return "revoked", f"{who} took the consent back"
            files = [file for file in (child.file, *self._consent.files()) if file >= 0]
            if sys.platform == "win32" or not files:
                time.sleep(TICK)
            else:
                select.select(files, [], [], max(0.0, until - time.monotonic()) + 0.01)
        return "", ""

    def _outcome(self, job: Job, data: bytes) -> tuple[str, str, dict[str, Any]]:
        """Return state, reason and members of what a worker wrote."""
        try:
            said = json.loads(data)
        except ValueError:
            return "failed", "it ended without a word, at one of its limits perhaps", {}
        if "result" not in said:
            return "failed", said.get("none") or said.get("failed", ""), {}
        if said.get("memory"):
            with self._store.held():
                self._store.keep_memory(job.request.name, said["memory"])
        return "done", "", said["result"]

    def _refuse(self, refusal: Refusal, request: Request | None) -> None:
        """Keep and tell that something was sent that is no request; to answer it, its signature must be good."""
        text = f"refused a request of the collector: {refusal.reason}: {refusal}"
        attributes: dict[str, str | float] = {"reason": refusal.reason}
        if request is not None:
            attributes |= {"name": clean(request.name, 64), "by": clean(request.by, 128), "id": request.id}
        self._out("! " + json.dumps(Event("security", "diagnosis", "error", text, attributes).members(self._clock())))
        self._out(f'C watchdesk_agent_diagnosis_refused_total{{reason="{refusal.reason}"}} 1')
        answers = request is not None and refusal.reason != "replayed"
        extra = {"reason": f"{refusal.reason}: {clean(str(refusal), 300)}"}
        entry = self._note("refused", request, extra)
        if answers and request is not None:
            self._post({"id": request.id, "state": "refused", **extra, "audit": entry})

    def _deny(self, denied: Denied, request: Request | None) -> None:
        if request is not None:
            state = "revoked" if denied.reason == "revoked" else "denied"
            self._end(request, state, f"{denied.reason}: {denied}")

    def _end(
        self,
        request: Request | None,
        state: str,
        reason: str,
        members: Mapping[str, Any] = NOTHING,
        more: Mapping[str, object] = NOTHING,
    ) -> None:
        """Keep the outcome, then send it, in this order: nothing leaves that is not in the record."""
        if request is None:
            return
        noted = {"reason": reason, "sha256": members.get("sha256", ""), "finding": members.get("finding", ""), **more}
        entry = self._note(state, request, {key: value for key, value in noted.items() if value})
        result = {"id": request.id, "state": state, "reason": reason[:1_000], **members, "audit": entry}
        with self._store.held():
            self._store.keep_sent(self._clock(), request.id, json.dumps({"name": request.name, **result}).encode())
        said = self._post(result)
        if said:
            self._note("not sent", request, {"reason": said})
        self._consent.tell(result)
        self._out(f'C watchdesk_agent_diagnoses_total{{state="{state}"}} 1')

    def _repeat(self, request: Request) -> None:
        """The answer to a request was lost on its way, perhaps: send what was sent, and do nothing."""
        for _, _, body in self._store.sent(request.id)[:1]:
            result = json.loads(body)
            result.pop("name", None)
            self._note("repeated", request, {"sha256": result.get("sha256", "")})
            self._post(result)

    def _note(self, event: str, request: Request | None, members: Mapping[str, object]) -> str:
        known: dict[str, object] = {}
        if request is not None:
            known = {
                "id": request.id, "name": request.name, "arguments": dict(request.arguments), "by": request.by,
                "ticket": request.ticket, "key": ",".join(request.keys),
            }  # fmt: skip
        with self._store.held():
            return self._store.audit.append(self._clock(), event, {**known, **members})
