"""The ports of a piece of network gear as IF-MIB (RFC 2863) and EtherLike-MIB (RFC 3635) tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from collector.snmp import oid
from collector.snmp.errors import SnmpError
from collector.snmp.pdu import Value
from collector.snmp.plan import Plan, plan
from collector.snmp.text import text

_IF, _IFX, _ETHER = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1", "1.3.6.1.2.1.10.7.2.1"
_COLUMNS: Final = {
    "descr": f"{_IF}.2",
    "speed": f"{_IF}.5",
    "admin": f"{_IF}.7",
    "oper": f"{_IF}.8",
    "in_discards": f"{_IF}.13",
    "in_errors": f"{_IF}.14",
    "out_discards": f"{_IF}.19",
    "out_errors": f"{_IF}.20",
    "name": f"{_IFX}.1",
    "high_speed": f"{_IFX}.15",
    "alias": f"{_IFX}.18",
    "alignment_errors": f"{_ETHER}.2",
    "fcs_errors": f"{_ETHER}.3",
    "late_collisions": f"{_ETHER}.8",
    "duplex": f"{_ETHER}.19",
}
PLAN: Final[Plan] = plan([], [oid.encode(name) for name in _COLUMNS.values()])
_STATES: Final = {1: "up", 2: "down", 3: "testing", 4: "unknown", 5: "dormant", 6: "not present", 7: "lower layer down"}
_DUPLEX: Final = {2: "half", 3: "full"}
_ERRORS: Final = ("in_errors", "out_errors", "alignment_errors", "fcs_errors", "late_collisions")


@dataclass(slots=True)
class Port:
    """A port; what the device does not tell is 0 or empty."""

    name: str = ""
    alias: str = ""
    admin: str = ""
    oper: str = ""
    speed: float = 0.0  # bit/s
    duplex: str = ""  # half, full
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """All errors since the counters began."""
        return sum(self.counts.get(name, 0) for name in _ERRORS[:2]) or sum(
            self.counts.get(name, 0) for name in _ERRORS[2:]
        )

    @property
    def unwell(self) -> bool:
        """Whether it should be up and is not, is half duplex, or counts errors."""
        return (self.admin == "up" and self.oper != "up") or self.duplex == "half" or self.errors > 0

    def described(self) -> str:
        """Return it in words: `Gi0/1 is up, 100 Mbit/s, half duplex, 1523 errors (late_collisions 1500)`."""
        parts = [f"{self.name} is {self.oper or 'unknown'}"]
        if self.admin == "down":
            parts.append("switched off")
        if self.oper == "up" and self.speed:
            parts.append(rate(self.speed))
        if self.duplex:
            parts.append(f"{self.duplex} duplex")
        worst = max(self.counts.items(), key=lambda one: one[1], default=("", 0))
        parts.append(f"{self.errors} errors" + (f" ({worst[0]} {worst[1]})" if worst[1] else ""))
        return ", ".join(parts)

    def facts(self) -> dict[str, Any]:
        """Return it as data."""
        plain = {"name": self.name, "alias": self.alias, "admin": self.admin, "oper": self.oper}
        return {**plain, "speed": self.speed, "duplex": self.duplex, **self.counts}


def rate(speed: float) -> str:
    """Return bits a second in words."""
    unit, size = ("Gbit/s", 1e9) if speed >= 1e9 else ("Mbit/s", 1e6)
    return f"{speed / size:g} {unit}"


def read(names: Sequence[bytes], values: Sequence[Value]) -> dict[int, Port]:
    """Return the ports by ifIndex in the variables of a walk by PLAN."""
    columns = {oid.encode(name): key for key, name in _COLUMNS.items()}
    ports: dict[int, Port] = {}
    high: dict[int, float] = {}
    for name, value in zip(names, values, strict=True):
        for prefix, key in columns.items():
            if name.startswith(prefix):
                with suppress(SnmpError):
                    index = oid.decode_parts(name[len(prefix) :])
                    if len(index) == 1:
                        _take(ports.setdefault(index[0], Port()), index[0], key, value, high)
                break
    for number, speed in high.items():
        ports[number].speed = speed or ports[number].speed
    return ports


def _take(port: Port, index: int, key: str, value: Value, high: dict[int, float]) -> None:
    if isinstance(value, bytes):
        if key == "name" or (key == "descr" and not port.name):
            port.name = text(value)
        elif key == "alias":
            port.alias = text(value)
        return
    if not isinstance(value, int):
        return
    if key in ("admin", "oper"):
        setattr(port, key, _STATES.get(value, str(value)))
    elif key == "duplex":
        port.duplex = _DUPLEX.get(value, "")
    elif key == "speed":
        port.speed = float(value)
    elif key == "high_speed":
        high[index] = value * 1e6
    else:
        port.counts[key] = value


def named(ports: Iterable[Port], name: str) -> Port | None:
    """Return the port of a name, as the device or its description spells it."""
    wanted = name.casefold()
    return next((one for one in ports if wanted in (one.name.casefold(), one.alias.casefold())), None)


def compared(here: str, one: Port, there: str, other: Port) -> list[str]:
    """Return what does not fit together on the two ends of a link."""
    found = []
    if one.speed and other.speed and one.speed != other.speed:
        found.append(f"{here} {one.name} runs at {rate(one.speed)}, {there} {other.name} at {rate(other.speed)}")
    if one.duplex and other.duplex and one.duplex != other.duplex:
        found.append(f"{here} {one.name} is {one.duplex} duplex, {there} {other.name} is {other.duplex} duplex")
    elif "half" in (one.duplex, other.duplex):
        found.append(f"{here} {one.name} and {there} {other.name} are half duplex")
    for place, port in ((here, one), (there, other)):
        if port.admin == "down":
            found.append(f"{place} {port.name} is switched off")
        elif port.oper and port.oper != "up":
            found.append(f"{place} {port.name} is {port.oper}")
        if port.errors:
            found.append(f"{place} {port.name} counts {port.errors} errors")
    return found
