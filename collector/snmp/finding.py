"""Which credential a device answers to, and what it is: tried carefully, one question each, never one that was refused.

A password that a device refuses is not tried there again for a day, so that no account is locked; a community that
brings silence, not for five minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, NamedTuple

from collector.snmp import pdu
from collector.snmp.channel import Address, Channel, Speaker, ask
from collector.snmp.community import V1
from collector.snmp.compiled import DESCR, NAME, OBJECT_ID, SYSTEM
from collector.snmp.credential import Credential
from collector.snmp.errors import CredentialError, Refused, Silent, SnmpError
from collector.snmp.oid import Oid, decode
from collector.snmp.pdu import GET, Pdu
from collector.snmp.text import text

AGAIN_REFUSED: Final = 86_400.0
AGAIN_SILENT: Final = 300.0
PAUSE: Final = 1.0  # seconds between two tries on one device


class System(NamedTuple):
    """What a device says it is."""

    object_id: str
    descr: str
    name: str


class Found(NamedTuple):
    """How a device speaks."""

    credential: Credential
    speaker: Speaker
    system: System


class NotFound(SnmpError):
    """No credential was right.

    Attributes:
        refused: those that the device refused outright.
    """

    def __init__(self, message: str, refused: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.refused = refused


async def identify(channel: Channel, address: Address, speaker: Speaker) -> System:
    """Ask a device what it is.

    Raises:
        SnmpError: it does not say.
    """
    answer = await ask(channel, address, speaker, GET, pdu.binds(SYSTEM))
    if answer.status and speaker.version == V1:  # one of them is not there: ask for each alone
        values: dict[bytes, pdu.Value] = {}
        for name in SYSTEM:
            single = await ask(channel, address, speaker, GET, pdu.binds([name]))
            values |= dict(zip(single.oids, single.values, strict=True)) if not single.status else {}
        return _system(values)
    if answer.status:
        raise Refused(f"the device answers {_status(answer)}")
    return _system(dict(zip(answer.oids, answer.values, strict=True)))


def _status(answer: Pdu) -> str:
    return pdu.STATUS[answer.status] if 0 < answer.status < len(pdu.STATUS) else str(answer.status)


def _system(values: dict[bytes, pdu.Value]) -> System:
    object_id = values.get(OBJECT_ID)
    try:
        number = decode(object_id) if isinstance(object_id, Oid) else ""
    except SnmpError:
        number = ""
    return System(number, text(values.get(DESCR)), text(values.get(NAME)))


async def find(
    channel: Channel,
    address: Address,
    credentials: Sequence[Credential],
    tried: dict[int, float],
    *,
    now: float,
    random: Random,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Found:
    """Try credentials one by one; those that were refused lately are left out, and `tried` is kept up.

    Raises:
        NotFound: none was right, or none is left to be tried.
    """
    problems: list[str] = []
    refused: list[int] = []
    left = [one for one in credentials if now >= tried.get(one.id, 0.0)]
    if not left:
        words = "no credential fits; add one with `watchdesk snmp credentials add`"
        raise NotFound("every credential was refused, and waits before it is tried again" if credentials else words)
    for number, credential in enumerate(left):
        if number:
            await pause(PAUSE)
        try:
            speaker = credential.speaker(random)
            system = await identify(channel, address, speaker)
        except Silent:
            tried[credential.id] = now + AGAIN_SILENT
            problems.append(f"{credential.name}: no answer")
        except (SnmpError, CredentialError) as error:
            tried[credential.id] = now + AGAIN_REFUSED
            refused.append(credential.id)
            problems.append(f"{credential.name}: {error}")
        else:
            tried.pop(credential.id, None)
            return Found(credential, speaker, system)
    raise NotFound("; ".join(problems), refused)
