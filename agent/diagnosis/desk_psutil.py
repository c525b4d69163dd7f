"""The battery of Windows, as far as psutil tells: its charge, not what it holds."""

from __future__ import annotations

import psutil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look


def batteries(_look: Look) -> list[dict[str, object]]:
    """Return the battery, if there is one."""
    told = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if told is None:
        return []
    known = told.secsleft > 0  # what is not known is below
    return [{
        "battery": "battery", "model": "", "status": "" if told.power_plugged else "Discharging",
        "mains": told.power_plugged, "charge": round(told.percent, 1), "health": None, "cycles": None, "degrees": None,
        "watts": None, "minutes": round(told.secsleft / 60) if known else None,
    }]  # fmt: skip
