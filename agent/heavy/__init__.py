"""Rare and heavy readings. Each runs in a short-lived process of its own (agent/errand.py), so that what it loads and
holds does not stay, and what hangs can be ended.

A reading is one file with one function, and a line in the table below:

    def read(task: Task) -> Iterator[Found]:
        '''What it reads.

        Metrics:
            smartctl_device_temperature (gauge): Degrees Celsius.
        '''
        yield "smartctl_device_temperature{…}", 31.0
        yield Event("security", "firewall", "warning", "the firewall is off", {})

It yields series with values, events, and once at most an Inventory. What it wants to know again next time it leaves in
`task.memory`. The running agent loads this file alone.
"""

from __future__ import annotations

import sys

HOUR = 3_600.0


class Heavy:
    """A reading by its name: every how many seconds, and after how many it is ended.

    One on demand is taken when something asks for it, and no sooner than `every` after the last time.
    """

    __slots__ = ("budget", "every", "module", "name", "on_demand")

    def __init__(
        self, name: str, every: float, *, budget: float = 30.0, module: str = "", on_demand: bool = False
    ) -> None:
        self.name = name
        self.every = every
        self.budget = budget
        self.module = module or name
        self.on_demand = on_demand


JOURNAL = Heavy("journal", 60.0, on_demand=True)
TOP = Heavy("top", 300.0, budget=10.0, on_demand=True)
CHECKS = Heavy("checks", 5.0, budget=120.0)

LINUX = (
    Heavy("smart", HOUR / 2, budget=120.0),
    Heavy("updates", 6 * HOUR, budget=150.0),
    Heavy("security", HOUR),
    Heavy("certificates", HOUR, budget=60.0),
    Heavy("backup", HOUR),
    Heavy("printers", HOUR / 6),
    Heavy("inventory", 6 * HOUR, budget=60.0),
)
WINDOWS = (
    Heavy("smart", HOUR / 2, budget=120.0),
    Heavy("updates", 6 * HOUR, budget=120.0, module="updates_windows"),
    Heavy("security", HOUR, budget=90.0, module="security_windows"),
    Heavy("eventlog", HOUR / 12, budget=60.0, module="eventlog_windows"),
    Heavy("certificates", HOUR, budget=60.0),
    Heavy("backup", HOUR),
    Heavy("inventory", 6 * HOUR, budget=150.0, module="inventory_windows"),
)
MACOS = (
    Heavy("smart", HOUR / 2, budget=120.0),
    Heavy("updates", 6 * HOUR, module="updates_macos"),
    Heavy("security", HOUR, module="security_macos"),
    Heavy("launchd", HOUR / 12, module="launchd_macos"),
    Heavy("certificates", HOUR, budget=60.0),
    Heavy("backup", HOUR),
    Heavy("printers", HOUR / 6),
    Heavy("inventory", 6 * HOUR, budget=150.0, module="inventory_macos"),
)


def heavy(platform: str = sys.platform) -> tuple[Heavy, ...]:
    """Return this system's readings that come by themselves."""
    if platform == "win32":
        return WINDOWS
    return MACOS if platform == "darwin" else LINUX


def every_heavy(platform: str = sys.platform) -> dict[str, Heavy]:
    """Return all of this system's readings by name, those on demand included."""
    on_demand = (CHECKS,) if platform in ("win32", "darwin") else (CHECKS, JOURNAL, TOP)
    return {one.name: one for one in (*heavy(platform), *on_demand)}
