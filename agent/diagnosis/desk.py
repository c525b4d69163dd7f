"""power.battery and print.queue: what ails a desk."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from agent.diagnosis.arguments import name
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.heavy.tools import NOT_FOUND, listing, mapping, number, strings
from agent.probes import NoData
from agent.probes.host import list_directory, read_attribute, read_number
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

WORN = 60.0  # percent of what it held when it was new
HOT = 50.0
MAX_JOBS = 100

WEAK = "battery %(battery)s holds %(health)s%% of what it did when new, after %(cycles)s cycles: it should be replaced"
NOT_CHARGING = "the mains are connected, but battery %(battery)s (%(charge)s%%) does not charge"
TOO_HOT = "battery %(battery)s is at %(degrees)s °C"
ON_BATTERY = "the machine runs on battery %(battery)s: %(charge)s%% are left, for about %(minutes)s minutes"
GOOD = "battery %(battery)s is well: it holds %(health)s%% of what it did when new, and is charged to %(charge)s%%"
UNKNOWN = "battery %(battery)s is charged to %(charge)s%%; what it holds is not told"

DISABLED = "printer %(printer)s is stopped (%(reason)s); %(jobs)s jobs wait, the oldest of %(user)s since %(since)s"
DISABLED_EMPTY = "printer %(printer)s is stopped (%(reason)s); no job waits"
STUCK = (
    "printer %(printer)s has %(jobs)s jobs waiting, the oldest of %(user)s since %(since)s, though it is not stopped"
)
NO_SERVER = "The print service does not answer (%(reason)s)"
PRINTS = "%(count)s printers are ready; %(jobs)s jobs wait"
NO_SUCH = "There is no printer %(printer)s; there are: %(names)s"

BATTERY = {
    "battery": "name", "model": "name", "status": "name", "charge": "number", "health": "number", "cycles": "number",
    "degrees": "number", "watts": "number", "minutes": "number", "mains": "truth",
}  # fmt: skip
PRINTER = {"printer": "name", "enabled": "truth", "reason": "name", "device": "text", "jobs": "number"}
JOB = {"job": "name", "printer": "name", "user": "name", "bytes": "number", "since": "name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Which printer; "" is all."""

    printer: str = name("")


@diagnosis(
    "power.battery", Battery, privacy="health", seconds=20,
    findings=(WEAK, NOT_CHARGING, TOO_HOT, ON_BATTERY, GOOD, UNKNOWN), output={"batteries": [BATTERY]},
)  # fmt: skip
def battery(look: Look, _asked: Battery) -> Found:
    """What is left of a battery's capacity, its cycles, and whether it charges."""
    if sys.platform == "win32":
        from agent.diagnosis.desk_psutil import batteries
    elif sys.platform == "darwin":
        from agent.diagnosis.desk_macos import batteries
    else:
        batteries = batteries_of_linux
    found = batteries(look)
    if not found:
        raise NotFound("a battery")
    text, values = judge_battery(min(found, key=lambda one: number(one.get("health")) or 101.0))
    return Found(text, values, {"batteries": found})


def judge_battery(one: dict[str, object]) -> tuple[str, dict[str, str | float]]:
    """Return what is wrong with a battery."""
    health, charge, degrees = (number(one.get(fact)) for fact in ("health", "charge", "degrees"))
    minutes, cycles = number(one.get("minutes")), number(one.get("cycles"))
    values: dict[str, str | float] = {
        "battery": str(one["battery"]), "health": round(health or 0), "charge": round(charge or 0),
        "degrees": round(degrees or 0), "minutes": round(minutes) if minutes else "?",
        "cycles": round(cycles) if cycles else "?",
    }  # fmt: skip
    if degrees is not None and degrees >= HOT:
        return TOO_HOT, values
    if health is not None and health < WORN:
        return WEAK, values
    if one.get("mains") and one.get("status") in ("Discharging", "Not charging") and (charge or 100) < 80:
        return NOT_CHARGING, values
    if one.get("status") == "Discharging":
        return ON_BATTERY, values
    return (UNKNOWN if health is None else GOOD), values


def batteries_of_linux(look: Look) -> list[dict[str, object]]:
    """Return the batteries of /sys/class/power_supply, by energy (µWh) or by charge (µAh)."""
    folder = look.host.sys + "/class/power_supply"
    try:
        names = list_directory(folder)
    except NoData:
        return []
    mains = any(read_attribute(f"{folder}/{one}/online") == "1" for one in names)
    found = []
    for one in names:
        at = f"{folder}/{one}/"
        if read_attribute(at + "type") != "Battery" or read_attribute(at + "scope") == "Device":  # of a mouse
            continue
        kind = "energy" if read_number(at + "energy_full") else "charge"
        full, new, now = (read_number(f"{at}{kind}_{word}") for word in ("full", "full_design", "now"))
        power = read_number(at + ("power_now" if kind == "energy" else "current_now")) or 0.0
        degrees = read_number(at + "temp")
        found.append({
            "battery": clean(one, 64), "model": clean(read_attribute(at + "model_name") or "", 64),
            "status": clean(read_attribute(at + "status") or "", 32), "mains": mains,
            "charge": read_number(at + "capacity"), "health": round(100 * full / new, 1) if full and new else None,
            "cycles": read_number(at + "cycle_count"), "degrees": degrees / 10 if degrees is not None else None,
            "watts": round(power / 1e6, 1) if kind == "energy" else None,
            "minutes": round(60 * now / power) if now and power > 0 else None,
        })  # fmt: skip
    return found


@diagnosis(
    "print.queue", Queue, privacy="names", seconds=25, systems=("linux", "macos"),
    findings=(DISABLED, DISABLED_EMPTY, STUCK, NO_SERVER, PRINTS, NO_SUCH),
    output={"printers": [PRINTER], "jobs": [JOB]},
)  # fmt: skip
def queue(look: Look, asked: Queue) -> Found:
    """Printers that are stopped, and the jobs that wait for them."""
    told = look.command(["lpstat", "-p"])
    if told.code == NOT_FOUND:
        raise NotFound("CUPS (lpstat)")
    known = printers(told.text)
    if not known:
        status = look.command(["lpstat", "-r"])
        if "not running" in status.text or told.code:
            return Found(NO_SERVER, {"reason": clean(status.text, 200) or "no answer"})
        raise NotFound("a printer")
    waiting = jobs(look.command(["lpstat", "-o"]).text, list(known))
    if asked.printer and asked.printer not in known:
        return Found(NO_SUCH, {"printer": asked.printer, "names": ", ".join(list(known)[:20])})
    lines = (line.split() for line in look.command(["lpstat", "-v"]).text.splitlines())
    devices = {words[2].rstrip(":"): words[3] for words in lines if len(words) > 3}
    chosen = [one for one in known if asked.printer in ("", one)]
    count = {one: sum(job["printer"] == one for job in waiting) for one in chosen}
    rows = [
        {"printer": one, "enabled": not known[one], "reason": known[one], "device": devices.get(one, ""),
         "jobs": count[one]}
        for one in chosen
    ]  # fmt: skip
    data = {"printers": rows, "jobs": [job for job in waiting if job["printer"] in chosen][:MAX_JOBS]}
    worst = max(chosen, key=lambda one: (bool(known[one]), count[one]))
    first = next((job for job in waiting if job["printer"] == worst), None)
    values: dict[str, str | float] = {
        "printer": worst, "reason": known[worst], "jobs": count[worst], "count": len(chosen),
        "user": str(first["user"]) if first else "", "since": str(first["since"]) if first else "",
    }  # fmt: skip
    if known[worst]:
        return Found(DISABLED if first else DISABLED_EMPTY, values, data)
    if count[worst] > 1:
        return Found(STUCK, values, data)
    return Found(PRINTS, {**values, "jobs": sum(count.values())}, data)


def printers(text: str) -> dict[str, str]:
    """Return why each printer is stopped, "" for one that works, by `lpstat -p`; the reason is on the next line."""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "printer":
            last = clean(words[1], 128)
            found[last] = "paused" if "disabled" in words[2:4] else ""
        elif line[:1] in "\t " and words and last and found[last]:
            found[last] = clean(line.strip(), 200)
    return found


def jobs(text: str, known: list[str]) -> list[dict[str, object]]:
    """Return the jobs of `lpstat -o`: `NAME-NUMBER USER SIZE DATE`, the oldest first; a name may hold dashes."""
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        words = line.split()
        printer, _, number_ = words[0].rpartition("-") if words else ("", "", "")
        if len(words) > 3 and printer in known and number_.isdecimal():
            amount = int(words[2]) if words[2].isdecimal() else None
            found.append({"job": clean(words[0], 128), "printer": printer, "user": clean(words[1], 64), "bytes": amount,
                          "since": clean(" ".join(words[3:]), 64)})  # fmt: skip
    return sorted(found, key=lambda job: int(str(job["job"]).rpartition("-")[2]))


def of_profiler(document: object) -> list[dict[str, object]]:
    """Return the batteries of macOS' `system_profiler -json SPPowerDataType`."""
    found: list[dict[str, object]] = []
    for part in map(mapping, listing(mapping(document).get("SPPowerDataType"))):
        charge, health = (
            mapping(part.get("sppower_battery_charge_info")),
            mapping(part.get("sppower_battery_health_info")),
        )
        if not charge:
            continue
        share = strings(health.get("sppower_battery_health_maximum_capacity")).rstrip("%")
        found.append({
            "battery": clean(strings(part.get("_name")), 64), "model": "", "mains": None,
            "status": "Charging" if charge.get("sppower_battery_is_charging") == "TRUE" else "",
            "charge": number(charge.get("sppower_battery_state_of_charge")), "health": number(share),
            "cycles": number(health.get("sppower_battery_cycle_count")), "degrees": None, "watts": None,
            "minutes": None,
        })  # fmt: skip
    return found
