"""net.interface and net.wifi: cables, speeds, errors, radio."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from agent.diagnosis.arguments import name
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.probes import NoData
from agent.probes.host import list_directory, read_attribute, read_number, read_text
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.probes.host import Host

LOOK = 1.0  # seconds between two looks at the counters
COUNTERS = (
    "rx_packets", "tx_packets", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "rx_crc_errors",
    "rx_frame_errors", "rx_missed_errors", "collisions", "rx_bytes", "tx_bytes", "tx_carrier_errors",
)  # fmt: skip
BAD = ("rx_errors", "tx_errors", "collisions", "rx_crc_errors", "rx_frame_errors", "tx_carrier_errors")
SLOW = 100  # Mbit/s and below are seldom meant
MANY_FLAPS = 20
WEAK, FAIR = -75, -67  # dBm
MAX_INTERFACES = 64

NO_SUCH = "There is no interface %(name)s; there are: %(names)s"
DOWN = "%(name)s is switched off (administratively down)"
NO_CARRIER = "%(name)s has no link: cable, or the other end, is not there"
HALF_DUPLEX = (
    "%(name)s runs at half duplex (%(speed)s Mbit/s), %(collisions)s collisions so far: both ends must agree "
    "on the mode"
)
ERRORS = "%(name)s has errors now: %(count)s a second (%(kind)s), %(total)s so far; a bad cable or plug is likely"
PAST_ERRORS = "%(name)s works; it had %(total)s errors of %(packets)s packets so far (%(kind)s)"
FLAPS = "%(name)s has lost and regained its link %(count)s times since the start"
SLOW_LINK = "%(name)s runs at %(speed)s Mbit/s only; a pair of wires or the other end is likely not good for more"
DROPS = "%(name)s drops %(count)s packets a second: the machine does not keep up"
FINE = "%(name)s works: %(speed)s Mbit/s, %(duplex)s duplex, %(receive)s packets a second in, %(send)s out, no errors"
VIRTUAL = "%(name)s is up (no speed is told): %(receive)s packets a second in, %(send)s out, no errors"

RADIO_OFF = "The radio of %(name)s is switched off (%(kind)s)"
RADIO_WEAK = (
    "%(name)s receives %(network)s at %(signal)s dBm only: too far from the access point, or something is between"
)
RADIO_SLOW = (
    "%(name)s receives %(network)s well (%(signal)s dBm), but at %(rate)s Mbit/s only: the channel is likely busy"
)
RADIO_FINE = "%(name)s is connected to %(network)s with %(signal)s dBm (%(rate)s Mbit/s)"
RADIO_LOST = "%(name)s is not connected to any wireless network"

LINK = {
    "name": "name", "state": "name", "speed": "number", "duplex": "name", "mtu": "number", "carrier_changes": "number",
    "driver": "name", "master": "name", **dict.fromkeys(COUNTERS, "number"),
    "a_second": dict.fromkeys(COUNTERS, "number"),
}  # fmt: skip
RADIO = {
    "name": "name", "network": "name", "signal": "number", "rate": "number", "channel": "name", "band": "name",
    "state": "name", "quality": "number", "noise": "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Which one; "" looks at all and tells the worst."""

    name: str = name("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wifi:
    """Which one; "" is the first."""

    interface: str = name("")


class Link:
    """An interface at one moment."""

    __slots__ = ("counters", "facts", "name")

    def __init__(self, name: str, facts: dict[str, object], counters: dict[str, float]) -> None:
        self.name = name
        self.facts = facts
        self.counters = counters


@diagnosis(
    "net.interface", Interface, privacy="health", systems=("linux",),
    findings=(NO_SUCH, DOWN, NO_CARRIER, HALF_DUPLEX, ERRORS, PAST_ERRORS, FLAPS, SLOW_LINK, DROPS, FINE, VIRTUAL),
    output={"interfaces": [LINK]},
)  # fmt: skip
def interface(look: Look, asked: Interface) -> Found:
    """Link, speed, duplex, errors and drops of a network interface."""
    folder = look.host.sys + "/class/net"
    try:
        names = [one for one in list_directory(folder) if read_attribute(f"{folder}/{one}/operstate") is not None]
    except NoData:
        raise NotFound(folder) from None
    if asked.name and asked.name not in names:
        return Found(NO_SUCH, {"name": asked.name, "names": ", ".join(names[:20])})
    wanted = [asked.name] if asked.name else [one for one in names if one != "lo"][:MAX_INTERFACES]
    before = {one: _link(look.host, one) for one in wanted}
    started = time.monotonic()
    time.sleep(LOOK)
    seconds = max(0.001, time.monotonic() - started)
    rows, verdicts = [], []
    for one in wanted:
        after = _link(look.host, one)
        moved = {key: max(0.0, value - before[one].counters.get(key, value)) / seconds
                 for key, value in after.counters.items()}  # fmt: skip
        rows.append({"name": one, **after.facts, **after.counters, "a_second": moved})
        verdicts.append(judge(after, moved))
    if not verdicts:
        raise NotFound("a network interface")
    _, text, values = max(verdicts, key=lambda verdict: verdict[0])
    return Found(text, values, {"interfaces": rows})


def _link(host: Host, one: str) -> Link:
    folder = f"{host.sys}/class/net/{one}"
    facts: dict[str, object] = {
        "state": read_attribute(folder + "/operstate") or "", "speed": read_number(folder + "/speed"),
        "duplex": read_attribute(folder + "/duplex") or "", "mtu": read_number(folder + "/mtu"),
        "carrier_changes": read_number(folder + "/carrier_changes"), "driver": _target(folder + "/device/driver"),
        "master": _target(folder + "/master"),
    }  # fmt: skip
    facts["state"] = facts["state"] if is_up(read_attribute(folder + "/flags")) else "off"
    pairs = ((key, read_number(f"{folder}/statistics/{key}")) for key in COUNTERS)
    return Link(one, facts, {key: value for key, value in pairs if value is not None})


def is_up(flags: str | None) -> bool:
    """Whether IFF_UP is among the flags; an interface that does not tell is taken for one that is."""
    try:
        return flags is None or bool(int(flags, 0) & 1)
    except ValueError:
        return True


def _target(path: str) -> str:
    try:
        return clean(os.readlink(path).rpartition("/")[2], 64)
    except OSError:
        return ""


def judge(link: Link, moved: dict[str, float]) -> tuple[int, str, dict[str, str | float]]:
    """Return (how bad it is, sentence, values)."""
    speed = link.facts["speed"] if isinstance(link.facts["speed"], float) and link.facts["speed"] > 0 else None
    bad = {key: link.counters.get(key, 0.0) for key in BAD}
    worst = max(BAD, key=lambda key: (moved.get(key, 0.0), bad[key]))
    changes = link.facts["carrier_changes"] if isinstance(link.facts["carrier_changes"], float) else 0.0
    drops = moved.get("rx_dropped", 0.0) + moved.get("tx_dropped", 0.0) + moved.get("rx_missed_errors", 0.0)
    packets = link.counters.get("rx_packets", 0.0) + link.counters.get("tx_packets", 0.0)
    values: dict[str, str | float] = {
        "name": link.name, "speed": round(speed) if speed else 0, "duplex": str(link.facts["duplex"]) or "?",
        "collisions": round(bad["collisions"]), "kind": worst, "total": round(sum(bad.values())),
        "count": round(moved.get(worst, 0.0)), "packets": round(packets),
        "receive": round(moved.get("rx_packets", 0.0)), "send": round(moved.get("tx_packets", 0.0)),
    }  # fmt: skip
    if link.facts["state"] == "off":
        return 6 if packets else 0, DOWN, values  # one that was never used is no trouble of anybody's
    if link.facts["duplex"] == "half":
        return 9, HALF_DUPLEX, values
    if moved.get(worst, 0.0) >= 1:
        return 8, ERRORS, values
    if link.facts["state"] in ("down", "lowerlayerdown"):
        return 5, NO_CARRIER, values
    if drops >= 10:
        return 7, DROPS, {**values, "count": round(drops)}
    if changes >= MANY_FLAPS:
        return 4, FLAPS, {**values, "count": round(changes)}
    if speed is not None and speed <= SLOW:
        return 3, SLOW_LINK, values
    if packets and values["total"] and float(str(values["total"])) > packets / 10_000:
        return 2, PAST_ERRORS, values
    return 1, FINE if speed else VIRTUAL, values


@diagnosis(
    "net.wifi", Wifi, privacy="health", seconds=15,
    findings=(RADIO_OFF, RADIO_WEAK, RADIO_SLOW, RADIO_FINE, RADIO_LOST), output={"interfaces": [RADIO]},
)  # fmt: skip
def wifi(look: Look, asked: Wifi) -> Found:
    """How well wireless networks are received."""
    if sys.platform == "win32":
        from agent.diagnosis.net_wifi_windows import radios
    elif sys.platform == "darwin":
        from agent.diagnosis.net_wifi_macos import radios
    else:
        radios = radios_of_linux
    found = [one for one in radios(look) if asked.interface in ("", one["name"])]
    off = _blocked(look.host)
    if off and not any(one.get("network") for one in found):
        return Found(RADIO_OFF, {"name": off[0], "kind": off[1]}, {"interfaces": found})
    if not found:
        raise NotFound("a wireless interface")
    text, values = judge_radio(found[0])
    return Found(text, values, {"interfaces": found})


def judge_radio(one: dict[str, object]) -> tuple[str, dict[str, str | float]]:
    """Return what is wrong with a wireless connection."""
    signal, rate = one.get("signal"), one.get("rate")
    values: dict[str, str | float] = {
        "name": str(one["name"]), "network": str(one.get("network") or "?"),
        "signal": signal if isinstance(signal, int | float) else "?",
        "rate": rate if isinstance(rate, int | float) else "?",
    }  # fmt: skip
    if one.get("state") == "disconnected":
        return RADIO_LOST, values
    if isinstance(signal, int | float) and signal <= WEAK:
        return RADIO_WEAK, values
    if isinstance(rate, int | float) and rate < 12 and isinstance(signal, int | float) and signal > FAIR:
        return RADIO_SLOW, values
    return RADIO_FINE, values


def radios_of_linux(look: Look) -> list[dict[str, object]]:
    """Return what /proc/net/wireless tells, and iw(8) where it is installed."""
    found = []
    try:
        rows = read_text(look.host.proc + "/net/wireless").splitlines()[2:]
    except NoData:
        rows = []
    seen = {row.split()[0].rstrip(":"): row.replace(".", " ").split() for row in rows if row.split()}
    folder = look.host.sys + "/class/net"
    try:
        names = [one for one in list_directory(folder) if _is_wireless(folder, one)]
    except NoData:
        names = []
    for one in dict.fromkeys([*names, *seen]):
        told: dict[str, object] = {"name": one, **of_iw(look.command(["iw", "dev", one, "link"]).text)}
        fields = seen.get(one, [])
        if len(fields) > 4 and fields[3].lstrip("-").isdecimal():
            told.setdefault("quality", int(fields[2]) if fields[2].isdecimal() else None)
            told.setdefault("signal", int(fields[3]) if int(fields[3]) > -200 else None)
        found.append(told)
    return found


def _is_wireless(folder: str, one: str) -> bool:
    return os.path.isdir(f"{folder}/{one}/wireless") or os.path.exists(f"{folder}/{one}/phy80211")


def of_iw(text: str) -> dict[str, object]:
    """Return what `iw dev NAME link` says."""
    if text.startswith("Not connected"):
        return {"state": "disconnected"}
    found: dict[str, object] = {}
    for line in text.splitlines():
        key, colon, value = line.strip().partition(":")
        words = value.split()
        if not colon or not words:
            continue
        if key == "SSID":
            found["network"] = clean(value.strip(), 64)
        elif key == "signal" and words[0].lstrip("-").isdecimal():
            found["signal"] = int(words[0])
        elif key == "tx bitrate" and words[0].replace(".", "", 1).isdecimal():
            found["rate"] = float(words[0])
        elif key == "freq" and words[0].replace(".", "", 1).isdecimal():
            found["band"] = (
                "5 GHz" if 4_900 < float(words[0]) < 5_925 else "6 GHz" if float(words[0]) > 5_925 else "2.4 GHz"
            )
    if found:
        found["state"] = "connected"
    return found


def band(megahertz: float) -> str:
    """Return the band of a frequency."""
    if megahertz < 4_900:
        return "2.4 GHz"
    return "5 GHz" if megahertz < 5_925 else "6 GHz"


def _blocked(host: Host) -> tuple[str, str] | None:
    """Return a radio that is switched off, and whether by a switch or by a program (rfkill)."""
    folder = host.sys + "/class/rfkill"
    try:
        names = list_directory(folder)
    except NoData:
        return None
    for one in names:
        if read_attribute(f"{folder}/{one}/type") == "wlan":
            for kind in ("hard", "soft"):
                if read_attribute(f"{folder}/{one}/{kind}") == "1":
                    return clean(read_attribute(f"{folder}/{one}/name") or one, 64), kind
    return None
