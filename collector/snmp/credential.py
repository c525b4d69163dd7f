"""How to speak with the devices of a customer, and which of several ways are tried for one."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from collector.snmp.channel import Speaker
from collector.snmp.community import V1, V2C, Community
from collector.snmp.usm import User, Usm

VERSIONS: Final = ("1", "2c", "3")


@dataclass(frozen=True, slots=True)
class Credential:
    """How to speak with devices of a customer, or of one site; `repr` does not show what is secret."""

    id: int
    name: str
    customer: str
    site: str  # empty: of the whole customer
    version: str
    secret: bytes | User

    def __repr__(self) -> str:
        return f"Credential({self.name!r} of {self.site or '*'}.{self.customer}, v{self.version})"

    def speaker(self, random: Random) -> Speaker:
        """Return what speaks with one device.

        Raises:
            CredentialError: the protocols or passwords cannot be used.
        """
        return speaker(self.version, self.secret, random)


def speaker(version: str, secret: bytes | User, random: Random) -> Speaker:
    """Return what speaks this version with this community or user."""
    if isinstance(secret, User):
        return Usm(secret, random.getrandbits(63))
    return Community(secret, V1 if version == "1" else V2C)


def fitting(credentials: list[Credential], customer: str, site: str, name: str = "") -> list[Credential]:
    """Return the credentials to try for a device, those of its site first; only the one of a name, if that is given."""
    own = [one for one in credentials if one.customer == customer and one.site in ("", site)]
    if name:
        own = [one for one in own if one.name == name]
    return sorted(own, key=lambda one: (one.site == "", one.id))
