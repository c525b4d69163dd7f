"""What the register knows around devices, on its way through the log to correlation and priority.

The log holds changes: whoever reads it from its beginning, or from a snapshot, knows at each record what held then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ticketing.topology import Device, Site, Topology

_CHUNK: Final = 2_000  # devices in one record


class Facts(msgspec.Struct, frozen=True):
    """A change: devices by their number in the register, None for one that is gone; sites as they are now.

    With `whole` nothing holds any more but what this says.
    """

    devices: dict[int, Device | None] = {}
    sites: list[Site] = []
    whole: bool = False


class Known:
    """All facts as of a record of the log.

    Attributes:
        topology: the same, as correlation reads it.
    """

    def __init__(self) -> None:
        self.devices: dict[int, Device] = {}
        self.topology = Topology()

    def take(self, facts: Facts) -> None:
        """Take a change in."""
        if facts.whole:
            self.devices, self.topology = {}, Topology()
        for number, device in facts.devices.items():
            self.forget(number)
            if device is not None:
                self.devices[number] = device
                self.topology.put(device)
        for site in facts.sites:
            self.topology.put_site(site)

    def forget(self, number: int) -> None:
        """Forget a device."""
        former = self.devices.pop(number, None)
        if former is not None:
            self.topology.remove(former.instance)

    def all(self) -> Facts:
        """Return everything, for a snapshot."""
        return Facts({**self.devices}, list(self.topology.sites.values()), whole=True)


def differences(old: Facts | None, devices: Mapping[int, Device], sites: Sequence[Site]) -> Iterator[Facts]:
    """Yield the changes from what was told before (None: nothing) to what is so now."""
    before = old.devices if old is not None else {}
    changed: dict[int, Device | None] = {n: device for n, device in devices.items() if before.get(n) != device}
    changed |= dict.fromkeys(number for number in before if number not in devices)
    told = old.sites if old is not None else []
    places = [site for site in sites if site not in told]
    numbers = sorted(changed)
    if old is not None and not numbers and not places:
        return
    for start in range(0, max(1, len(numbers)), _CHUNK):
        part = {number: changed[number] for number in numbers[start : start + _CHUNK]}
        yield Facts(part, places if start == 0 else [], whole=old is None and start == 0)
