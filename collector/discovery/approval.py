"""Approving a candidate: it goes into the register under a name, and is polled at its address."""

from __future__ import annotations

import msgspec

from collector.discovery.candidates import Candidates
from collector.errors import RegisterError
from collector.register import Register, book
from collector.register.sites import slug


def approve(candidates: Candidates, register: Register, number: int, name: str, kind: str, now: float) -> str:
    """Put a candidate into the register; its instance.

    Raises:
        RegisterError: there is no such candidate, or a name, a class or a device that cannot be or is there already.
    """
    found = next((one for one in candidates.all() if one.id == number), None)
    if found is None:
        raise RegisterError(f"There is no candidate {number}.")
    if kind not in book.CLASSES:
        raise RegisterError(f"{kind[:20]!r} is no class of devices; there are {', '.join(book.CLASSES)}.")
    instance = f"{slug(name)}.{found.site}.{found.customer}"
    if register.device_by_instance(instance) is not None:
        raise RegisterError(f"There is a device {instance} in the register already.")
    text = msgspec.json.encode({"devices": {instance: {"class": kind, "address": found.address}}}).decode()
    register.take_over(book.load(text, "the options"), now)
    candidates.decide(number, "approved")
    return instance
