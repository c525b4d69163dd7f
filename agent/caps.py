"""What the agent allows itself: memory, a share of a processor, how fast it goes on battery.

It judges itself by its own readings. Over its share of the processor, or on battery, it takes readings half as often
(no less, for the collector takes three missed ones for silence); over its memory, it starts over.
"""

from __future__ import annotations

PATIENCE = 3  # readings in a row before memory is held to be lost
WINDOW = 60.0  # seconds over which the processor's time is counted
SLOW = 2.0
MAINS = "node_power_supply_online{"
DISCHARGING = ("node_power_supply_info{", 'status="Discharging"')
CPU = "watchdesk_agent_cpu_seconds_total"
MEMORY = "watchdesk_agent_resident_memory_bytes"


class Caps:
    """Looks at each row of readings; `factor` and `exhausted` say what follows."""

    __slots__ = (
        "_cpu",
        "_large",
        "_max_cpu",
        "_max_memory",
        "_since",
        "_slow_on_battery",
        "_spent",
        "on_battery",
        "share",
    )

    def __init__(self, *, max_memory: int, max_cpu: float, slow_on_battery: bool) -> None:
        """`max_cpu` is a share of one processor, 0 to 1; `max_memory` is in bytes."""
        self._max_memory = max_memory
        self._max_cpu = max_cpu
        self._slow_on_battery = slow_on_battery
        self._large = 0
        self._since = float("-inf")
        self._cpu = 0.0
        self._spent = False
        self.on_battery = False
        self.share = 0.0

    def see(self, readings: dict[str, float], now: float) -> None:
        """Note what a reading says; `now` is monotonic."""
        self._large = self._large + 1 if readings.get(MEMORY, 0.0) > self._max_memory else 0
        self.on_battery = on_battery(readings)
        cpu = readings.get(CPU, 0.0)
        if now - self._since >= WINDOW:
            if self._since > float("-inf"):
                self.share = (cpu - self._cpu) / (now - self._since)
                self._spent = self.share > self._max_cpu
            self._since, self._cpu = now, cpu

    @property
    def factor(self) -> float:
        """By how much the interval is to be stretched."""
        return SLOW if self._spent or (self.on_battery and self._slow_on_battery) else 1.0

    @property
    def exhausted(self) -> bool:
        """Whether it has taken more memory than it may, and went on to."""
        return self._large >= PATIENCE


def on_battery(readings: dict[str, float]) -> bool:
    """Whether a battery is what the machine runs on: it says that it discharges, and no mains is there."""
    mains = [value for series, value in readings.items() if series.startswith(MAINS)]
    if any(mains):
        return False
    name, status = DISCHARGING
    return any(series.startswith(name) and status in series for series in readings)
