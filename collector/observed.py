"""What the collector itself sees of a device, by SNMP, ICMP or traps: frames in the log as those of an agent.

They are told from an agent's by their epoch, which no agent can send. It says which source of series they are, since
those of one source replace one another, and whether the device was heard: that it did not answer is no sign of life.
"""

from typing import Final

from rules.fleet import AGENT

OWN: Final = 1 << 63
_ALIVE: Final = 1 << 62
REACH: Final = 0  # ICMP and TCP
POLL: Final = 1  # how the poll itself went
TRAPS: Final = 2
PORTS: Final = 3  # what the map says of ports
SERIES: Final = 16  # and above: the parts of what a poll read


def epoch(source: int, *, heard: bool) -> int:
    """Return the epoch of a frame of one of these sources."""
    return OWN | (_ALIVE if heard else 0) | source


def source_of(epoch: int) -> str:
    """Return the name of a frame's source in the fleet."""
    return f"observed {epoch & 0xFFFF}" if epoch & OWN else AGENT


def alive(epoch: int) -> bool:
    """Whether a frame shows that its device lives."""
    return not epoch & OWN or bool(epoch & _ALIVE)
