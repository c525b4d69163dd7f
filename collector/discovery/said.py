"""What the discovery helper says: a JSON object a line. It speaks with networks, so its words are bounded as theirs."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

LONGEST_LINE: Final = 16_384
Text = Annotated[str, Meta(max_length=200)]


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="seen"):
    """A machine with an address in a network of a site; `mac` is empty where routers are between."""

    site: Text
    address: Text
    mac: Text
    how: Text  # arp, ndp, icmp, dhcp or mdns
    names: Annotated[list[Text], Meta(max_length=16)] = []


class Looked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="looked"):
    """A closer look at a machine: open TCP ports, and its name by reverse DNS."""

    address: Text
    ports: Annotated[list[int], Meta(max_length=64)]
    names: Annotated[list[Text], Meta(max_length=16)]


class Swept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="swept"):
    """A sweep has ended."""

    packets: int
    answered: int
    seconds: float


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="problem"):
    """Something cannot be done."""

    text: Annotated[str, Meta(max_length=1000)]


Said = Seen | Looked | Swept | Problem
DECODER: Final = msgspec.json.Decoder(Said)
