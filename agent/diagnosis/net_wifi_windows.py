"""Wireless networks of Windows: `netsh wlan show interfaces`, whose words are of the system's language.

The order of its lines is the same in every language; what is needed is found by its form: a percentage is the signal,
`802.11…` the kind of radio, and Windows' own English and German, French, Spanish and Chinese words for the rest.
"""

from __future__ import annotations

from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

NAMES = ("name", "nom", "nombre", "名称")
STATES = ("state", "status", "zustand", "état", "estado", "状态")
OFF = ("disconnected", "getrennt", "nicht verbunden", "déconnecté", "desconectado", "已断开连接")
RATES = ("receive rate", "empfangsrate", "réception", "recepción", "接收速率")


def radios(look: Look) -> list[dict[str, object]]:
    """Return each wireless interface."""
    return of_netsh(look.command(["netsh", "wlan", "show", "interfaces"]).text)


def of_netsh(text: str) -> list[dict[str, object]]:
    """Return the interfaces of netsh's paragraphs of `name : value`."""
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        key, colon, value = line.partition(" : ")
        key, value = key.strip().lower(), clean(value.strip(), 64)
        if not colon:
            continue
        if key in NAMES:
            found.append({"name": value})
        elif not found:
            continue
        elif key in STATES:
            found[-1]["state"] = "disconnected" if value.lower() in OFF else "connected"
        elif key == "ssid":
            found[-1]["network"] = value
        elif value.endswith("%") and value[:-1].isdecimal():
            found[-1]["quality"] = int(value[:-1])
            found[-1]["signal"] = int(value[:-1]) // 2 - 100  # Windows' own scale: 0 % is -100 dBm, 100 % is -50 dBm
        elif any(word in key for word in RATES) and value.replace(".", "", 1).isdecimal():
            found[-1]["rate"] = float(value)
        elif value.endswith("GHz"):
            found[-1]["band"] = value
    return found
