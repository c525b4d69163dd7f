"""Wireless networks of macOS: system_profiler's SPAirPortDataType."""

from __future__ import annotations

from agent.heavy.tools import listing, mapping, number, strings
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look


def radios(look: Look) -> list[dict[str, object]]:
    """Return each wireless interface."""
    return of_profiler(look.command(["system_profiler", "-json", "SPAirPortDataType"], timeout=12.0).json())


def of_profiler(document: object) -> list[dict[str, object]]:
    """Return the interfaces of system_profiler's document."""
    found = []
    for part in listing(mapping(document).get("SPAirPortDataType")):
        for one in map(mapping, listing(mapping(part).get("spairport_airport_interfaces"))):
            current = mapping(one.get("spairport_current_network_information"))
            told: dict[str, object] = {"name": clean(strings(one.get("_name")), 64)}
            told["state"] = "connected" if current else "disconnected"
            if current:
                told["network"] = clean(strings(current.get("_name")), 64)
                signal = strings(current.get("spairport_signal_noise")).split(" ")  # -52 dBm / -90 dBm
                told["signal"] = number(signal[0])
                told["noise"] = number(signal[3]) if len(signal) > 3 else None
                told["rate"] = number(current.get("spairport_network_rate"))
                told["channel"] = clean(strings(current.get("spairport_network_channel")), 32)
            if told["name"].startswith("en") if isinstance(told["name"], str) else False:
                found.append(told)
    return found
