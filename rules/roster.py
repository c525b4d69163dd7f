"""Which rule is which across reloads and restarts, and what is kept of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from rules.alerts import ActiveState
from rules.files import Group, Rule
from rules.labels import Labels
from rules.lifecycle import Active

T = TypeVar("T")


class Identity(NamedTuple):
    """What a rule is known by: Prometheus' file, group, name and labels; `nth` of those that are alike."""

    file: str
    group: str
    kind: str
    name: str
    labels: tuple[tuple[str, str], ...]
    nth: int


class SavedAlert(msgspec.Struct, frozen=True):
    """An alert as it is dumped."""

    labels: dict[str, str]
    source: dict[str, str]
    state: ActiveState
    value: float
    active_at: float
    seen_at: float
    fired_at: float | None
    keep_since: float | None
    told: dict[str, str] | None


class SavedRule(msgspec.Struct, frozen=True):
    """A rule's state as it is dumped: its number in the fleet, its columns there, its alerts."""

    identity: Identity
    owner: int
    columns: list[dict[str, str]]
    alerts: list[SavedAlert]


def identities(group: Group) -> Iterator[tuple[Rule, Identity]]:
    """The rules of a group, each with its identity."""
    seen: Counter[tuple[str, str, tuple[tuple[str, str], ...]]] = Counter()
    for rule in group.rules:
        key = (rule.kind, rule.name, tuple(sorted(rule.labels.items())))
        yield rule, Identity(group.file, group.name, *key, seen[key])
        seen[key] += 1


def claim(former: dict[Identity, T], wanted: Iterable[Identity]) -> dict[Identity, T]:
    """Take from `former` the state of each rule that has one: of the same file first, then of any other."""
    names = list(wanted)
    claimed = {identity: former.pop(identity) for identity in names if identity in former}
    moved = {identity[1:]: identity for identity in former}
    for identity in names:
        if identity not in claimed and (old := moved.pop(identity[1:], None)) is not None:
            claimed[identity] = former.pop(old)
    return claimed


def save_alert(a: Active) -> SavedAlert:
    """An alert for the dump."""
    told = None if a.told is None else dict(a.told)
    own = dict(a.labels), dict(a.source), a.state, a.value
    return SavedAlert(*own, a.active_at, a.seen_at, a.fired_at, a.keep_since, told)


def load_alert(s: SavedAlert) -> Active:
    """An alert from the dump."""
    own = Labels(s.labels), Labels(s.source), s.state, s.value
    return Active(*own, s.active_at, s.seen_at, s.fired_at, s.keep_since, s.told)
