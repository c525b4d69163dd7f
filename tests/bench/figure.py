"""One measured figure, and how it is printed."""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement: `value` is None when it could not be taken, and `why` says so."""

    name: str
    value: float | None
    unit: str
    n: int = 1
    peer: str | None = None
    why: str | None = None

    def line(self) -> str:
        """Return the figure as one line of JSON."""
        value = None if self.value is None else float(f"{self.value:.4g}")
        record = {"name": self.name, "value": value, "unit": self.unit, "n": self.n, "peer": self.peer}
        if self.why is not None:
            record["why"] = self.why
        return json.dumps({**record, "machine": machine()})


def machine() -> str:
    """Return what the figures were taken on: processor, cores, system, Python."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )
