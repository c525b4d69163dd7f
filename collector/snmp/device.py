"""A device that is polled, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.snmp.channel import Address, Speaker
from collector.snmp.compiled import Compiled
from collector.snmp.shapes import Memory
from collector.snmp.walk import Manners, Walk

if TYPE_CHECKING:
    from collector.register import Polled


@dataclass(slots=True, eq=False)
class SnmpDevice:
    """A device that is polled.

    Attributes:
        credential: the number of the one that it answers to; None while it is not known.
        tried: when a credential was refused last, by its number: it is not tried again soon.
        missing: first OIDs of spans that it does not have, not asked for until `fresh_at`.
        problem: what was wrong with the last poll, in words; empty if nothing was.
    """

    polled: Polled
    address: Address
    speaker: Speaker | None = None
    credential: int | None = None
    tried: dict[int, float] = field(default_factory=dict)
    object_id: str = ""
    descr: str = ""
    name: str = ""
    compiled: Compiled | None = None
    missing: set[bytes] = field(default_factory=set)
    fresh_at: float = 0.0
    memory: Memory = field(default_factory=Memory)
    manners: Manners = field(default_factory=Manners)
    walk: Walk | None = None
    busy: bool = False
    again: bool = False  # a poll is wished for as soon as this one ends
    due: float = 0.0
    problem: str = ""
    polls: int = 0
    failures: int = 0
    refused: bool = False  # it answers that it will not, with the credentials that there are
    overruns: int = 0
    seconds: float = 0.0
    answered_at: float | None = None

    @property
    def id(self) -> int:
        """Its number in the register."""
        return self.polled.device.id

    @property
    def instance(self) -> str:
        """Its name in the whole fleet."""
        return self.polled.device.instance
