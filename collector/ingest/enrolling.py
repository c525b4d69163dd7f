"""Letting a machine into the register, by a token that its provider gave out."""

from __future__ import annotations

from typing import Final

from collector.errors import Refusal, RegisterError
from collector.ingest.messages import Enrolment
from collector.register import Register

INTERVALS: Final = {"desktop": 60.0}  # seconds between the readings of an agent, by class; others: USUAL_INTERVAL
USUAL_INTERVAL: Final = 15.0


def enrol(register: Register, wish: Enrolment, *, now: float, interval: float | None) -> dict[str, str | float]:
    """Return what a new agent is told: its device, its token, and the seconds between its readings.

    Raises:
        PermissionError: the token of the wish is no good.
        Refusal: a device of this name is there already.
    """
    try:
        new = register.enrol(wish.token, wish.hostname, os=wish.os, kind=wish.kind, now=now)
    except RegisterError as error:
        raise Refusal(409, str(error)) from error
    return {
        "device": new.device.instance,
        "token": new.token,
        "interval": interval or INTERVALS.get(new.device.kind, USUAL_INTERVAL),
    }
