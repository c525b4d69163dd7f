"""Diagnoses of network gear: the collector itself asks, by SNMP."""

from __future__ import annotations

from collections.abc import Callable

from collector.register import Register
from collector.snmp.service import SnmpService
from ticketing.diagnosis.book import Diagnoses


class Gear:
    """Answers the requests whose names begin with `snmp.`."""

    def __init__(self, book: Diagnoses, snmp: SnmpService, register: Register, clock: Callable[[], float]) -> None:
        self._book = book
        self._snmp = snmp
        self._register = register
        self._clock = clock

    def start(self) -> None:
        """Begin."""

    def wake(self) -> None:
        """Look for requests."""

    async def stop(self) -> None:
        """End."""
