"""The alerts that others hold to be firing: a part of the state machine, fed by the log.

An alert is of the customer of the credential it came with, whatever its labels say, and of the device that they name
and the register knows. It fires until it is said to be over, or its end passes without anybody saying it again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from collector.errors import RegisterError
from collector.foreign.message import RESOLVE_SECONDS, Post, Said
from collector.remotewrite.series import device_name
from rules.alerts import Transition
from ticketing.alert import fingerprint
from ticketing.topology import Device, Topology

GROUP: Final = "alertmanager"
MAX_FIRING: Final = 500_000  # of a customer
_NAMED: Final = ("instance", "host", "hostname", "nodename", "node", "host_name", "device_name", "sysName")
_LOG = logging.getLogger(__name__)


class Told(msgspec.Struct, frozen=True):
    """An alert that fires; `labels` are those that it goes by here."""

    customer: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts: float
    ends: float


class Foreign:
    """All alerts of others that fire, by the fingerprint of their labels."""

    def __init__(self) -> None:
        self.firing: dict[str, Told] = {}
        self._counts: Counter[str] = Counter()  # by customer
        self._next = float("inf")  # no end passes before this

    def take(self, post: Post, now: float, topology: Topology) -> list[Transition]:
        """Take in what a request said; return what it changed."""
        return [change for said in post.alerts for change in self._take(post, said, now, topology)]

    def _take(self, post: Post, said: Said, now: float, topology: Topology) -> Iterator[Transition]:
        labels = placed(said.labels, post.customer, post.site, topology)
        number = fingerprint(labels)
        known = self.firing.get(number)
        if said.ends <= now:
            if known is not None:
                yield self._over(number, now)
            return
        if known is None and self._counts[post.customer] >= MAX_FIRING:
            _LOG.warning("%s has %d alerts firing: another one is left out", post.customer, MAX_FIRING)
            return
        told = Told(post.customer, labels, _sentences(said.annotations), said.starts, said.ends)
        if known is None:
            self._counts[post.customer] += 1
        else:
            told = msgspec.structs.replace(told, starts=min(known.starts, said.starts))
        self.firing[number] = told
        self._next = min(self._next, told.ends)
        if known is None or known.annotations != told.annotations:
            yield _transition("firing", told, now)

    def tick(self, now: float) -> list[Transition]:
        """Return the alerts whose end has passed."""
        if now < self._next:
            return []
        over = [number for number, told in self.firing.items() if told.ends <= now]
        changes = [self._over(number, now) for number in over]
        self._next = min((told.ends for told in self.firing.values()), default=float("inf"))
        return changes

    def started(self, now: float) -> None:
        """The collector was away until now: nobody could say an alert again."""
        until = now + RESOLVE_SECONDS
        for number, told in self.firing.items():
            if told.ends < until:
                self.firing[number] = msgspec.structs.replace(told, ends=until)

    def dump(self) -> list[Told]:
        """Return all of them, for `restore`."""
        return list(self.firing.values())

    def restore(self, alerts: list[Told]) -> None:
        """Take up what was dumped."""
        self.firing = {fingerprint(told.labels): told for told in alerts}
        self._counts = Counter(told.customer for told in alerts)
        self._next = min((told.ends for told in alerts), default=float("inf"))

    def _over(self, number: str, now: float) -> Transition:
        told = self.firing.pop(number)
        self._counts[told.customer] -= 1
        return _transition("resolved", told, now)


_NO_VALUE: Final = float("nan")


def placed(labels: Mapping[str, str], customer: str, site: str, topology: Topology) -> dict[str, str]:
    """Return the labels with those of the register in place of what the sender wrote there."""
    said = labels.get("site", "")
    if (customer, said) in topology.sites:
        site = said
    kept = {name: text for name, text in labels.items() if name not in {"customer", "site", "instance"}}
    sender = labels.get("instance", "")
    if sender:
        kept["exported_instance"] = sender
    kept |= {"customer": customer, "site": site}
    found = _device(labels, customer, site, topology)
    if found is not None:
        kept |= {"site": found.site, "instance": found.instance}
        kept |= {name: text for name, text in (("class", found.klass), ("role", found.role)) if text}
    elif name := _host(sender):
        kept["instance"] = f"{name}.{site}.{customer}"
    return kept


def _device(labels: Mapping[str, str], customer: str, site: str, topology: Topology) -> Device | None:
    sites = [site, *sorted(other for owner, other in topology.sites if owner == customer and other != site)]
    for label in _NAMED:
        text = labels.get(label, "")
        if not text:
            continue
        for name in dict.fromkeys((text, _host(text))):
            for place in sites:
                found = topology.named(customer, place, name) if name else None
                if found is not None:
                    return found
    return None


def _host(text: str) -> str:
    """Return the host name in an address with or without port, as the register writes names; "" if there is none."""
    try:
        return device_name(text) if text else ""
    except RegisterError:
        return ""


def _sentences(annotations: dict[str, str]) -> dict[str, str]:
    """Return the annotations with a summary, if any of them can be one."""
    if annotations.get("summary"):
        return annotations
    words = next((annotations[name] for name in ("title", "message", "description") if annotations.get(name)), "")
    return {**annotations, "summary": words.strip().split("\n")[0]} if words.strip() else annotations


def _name(labels: Mapping[str, str]) -> str:
    return labels.get("alertname") or "Unnamed"


def _transition(state: str, told: Told, now: float) -> Transition:
    return Transition(
        state="firing" if state == "firing" else "resolved",
        group=GROUP,
        alert=_name(told.labels),
        labels=told.labels,
        annotations=told.annotations,
        value=_NO_VALUE,
        at=now,
        active_at=told.starts,
    )
