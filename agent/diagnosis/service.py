"""service.status: what became of a service, how often it was started again, and what it last said."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from agent.diagnosis.arguments import name, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.logs import journal
from agent.diagnosis.words import moment, size
from agent.heavy.tools import NOT_FOUND, mapping, number
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.logs import Line

WINDOW = 600.0
RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"  # SD_MESSAGE_UNIT_RESTART_SCHEDULED of sd-messages.h
PROPERTIES = (
    "Id,Description,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,MainPID,MemoryCurrent,"
    "UnitFileState,Restart,StateChangeTimestampMonotonic,ExecStart,StatusText,TriggeredBy,ConditionResult"
)
# What systemd's own exit codes say (systemd.exec(5)).
CODES = {
    200: "CHDIR", 201: "NICE", 202: "FDS", 203: "EXEC", 205: "LIMITS", 209: "STDOUT", 214: "SETSCHEDULER",
    216: "GROUP", 217: "USER", 218: "CAPABILITIES", 219: "CGROUP", 226: "NAMESPACE", 228: "SECCOMP",
    233: "RUNTIME_DIRECTORY", 238: "STATE_DIRECTORY", 243: "CREDENTIALS",
}  # fmt: skip
SIGNALS = {1: "HUP", 2: "INT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE", 15: "TERM"}
KILLED = (2, 3)  # ExecMainCode: CLD_KILLED, CLD_DUMPED
MAX_UNITS = 20
REMEMBERED = 20
ASKED_AGAIN = 5

RESTARTS = "%(name)s restarted %(count)s times in %(minutes)s minutes; it ended with %(result)s"
RESTARTS_LINE = "%(name)s restarted %(count)s times in %(minutes)s minutes (%(result)s); last log line: %(line)s"
RESTARTS_SO_FAR = "%(name)s was restarted %(count)s times so far and runs since %(since)s; it ended with %(result)s"
FAILED = "%(name)s failed at %(since)s: %(result)s"
FAILED_LINE = "%(name)s failed at %(since)s: %(result)s; last log line: %(line)s"
NO_PROGRAM = "%(name)s cannot be started: its program %(program)s is not there or may not be run"
NO_MEMORY = "%(name)s was killed at %(since)s because the memory ran out"
NO_USER = "%(name)s cannot be started: the user or group it is to run as does not exist"
TOO_OFTEN = "%(name)s failed so often (%(count)s times) that it is not started any more: %(result)s"
NO_UNIT = "There is no service %(name)s on this machine"
MASKED = "%(name)s is masked: it cannot be started until somebody unmasks it"
STOPPED = "%(name)s is stopped since %(since)s; it ended in order"
STARTING = "%(name)s is being started since %(since)s and does not come to an end (%(state)s)"
RUNS = "%(name)s runs since %(since)s (pid %(pid)s, %(size)s of memory)"
SEVERAL = "%(count)s units have failed: %(names)s"
NONE_FAILED = "No unit has failed"

LINE = {"t": "number", "source": "name", "level": "number", "text": "text"}
UNIT = {
    "name": "name", "description": "name", "load": "name", "state": "name", "sub": "name", "result": "name",
    "restarts": "number", "restarts_recently": "number", "pid": "number", "memory": "number", "enabled": "name",
    "since": "number", "exit": "name", "program": "name", "triggered_by": "name", "status": "text",
}  # fmt: skip
FINDINGS = (
    RESTARTS, RESTARTS_LINE, RESTARTS_SO_FAR, FAILED, FAILED_LINE, NO_PROGRAM, NO_MEMORY, NO_USER, TOO_OFTEN, NO_UNIT,
    MASKED, STOPPED, STARTING, RUNS, SEVERAL, NONE_FAILED,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Which service ("" is all that failed), and how many of its last log lines."""

    name: str = name("")
    lines: int = whole(0, 0, 50)


class Unit:
    """A service, as whoever manages it tells: how it ended is in `exit`, its state in `state`."""

    __slots__ = ("exit", "facts", "name", "state")

    def __init__(self, name: str, state: str, exit: str, **facts: object) -> None:  # noqa: A002
        self.name = name
        self.state = state
        self.exit = exit
        self.facts = facts

    def number(self, fact: str) -> float:
        """Return a fact that is a number, 0 for none."""
        return number(self.facts.get(fact)) or 0.0

    def row(self) -> dict[str, object]:
        """Return what is told of it."""
        return {"name": self.name, "state": self.state, "exit": self.exit, **self.facts}


@diagnosis(
    "service.status", Service, privacy="names", seconds=30, raised={"lines": "content"}, findings=FINDINGS,
    output={"units": [UNIT], "lines": [LINE]},
)  # fmt: skip
def status(look: Look, asked: Service) -> Found:
    """What became of a service: state, last exit, restarts, and its last log lines where they may be read."""
    if not asked.name:
        return _failed_units(look)
    unit = _unit(look, asked.name)
    if unit is None:
        return Found(NO_UNIT, {"name": asked.name})
    lines = _lines(look, unit.name, asked.lines) if asked.lines else []
    recent, minutes = _restarts(look, unit)
    unit.facts["restarts_recently"] = recent
    said, values = judge(unit, recent, lines, look.now)
    data = {"units": [unit.row()], "lines": [line.row() for line in lines]}
    return Found(said, {"name": unit.name, "minutes": minutes, **values}, data)


def judge(unit: Unit, recent: int, lines: list[Line], now: float) -> tuple[str, dict[str, str | float]]:
    """Return what is wrong with a service, the plainest cause first."""
    own = [line for line in lines if line.source not in ("systemd", "init.scope")] or lines
    last = own[-1].text[:250] if own else ""
    since = unit.number("since")
    values: dict[str, str | float] = {
        "result": unit.exit or "?", "since": moment(since, now) if since else "?", "line": last, "state": unit.state,
        "program": str(unit.facts.get("program") or "?"), "pid": round(unit.number("pid")),
        "size": size(unit.number("memory")), "count": recent or round(unit.number("restarts")),
    }  # fmt: skip
    if unit.facts.get("load") == "masked":
        return MASKED, values
    plain = _plain_cause(unit)
    if plain:
        return plain, values
    if recent > 1:
        return RESTARTS_LINE if last else RESTARTS, {**values, "count": recent}
    if unit.facts.get("result") == "start-limit-hit" or (unit.facts.get("sub") == "failed" and unit.number("restarts")):
        return TOO_OFTEN, values
    if unit.state == "failed":
        return FAILED_LINE if last else FAILED, values
    if unit.number("restarts") and unit.state in ("active", "running", "activating"):
        return RESTARTS_SO_FAR, {**values, "count": round(unit.number("restarts"))}
    if unit.state in ("activating", "reloading", "deactivating"):
        return STARTING, values
    return (RUNS if unit.state in ("active", "running") else STOPPED), values


def _plain_cause(unit: Unit) -> str:
    if unit.state in ("active", "running") and not unit.number("restarts"):
        return ""
    if "203/EXEC" in unit.exit:
        return NO_PROGRAM
    if "217/USER" in unit.exit or "216/GROUP" in unit.exit:
        return NO_USER
    return NO_MEMORY if unit.facts.get("result") == "oom-kill" else ""


def _unit(look: Look, wanted: str) -> Unit | None:
    if sys.platform == "win32":
        from agent.diagnosis.service_windows import unit as of_windows

        return of_windows(look, wanted)
    if sys.platform == "darwin":
        from agent.diagnosis.service_macos import unit as of_macos

        return of_macos(look, wanted)
    for _ in range(ASKED_AGAIN):
        told = look.command(["systemctl", "show", "--no-pager", "--property=" + PROPERTIES, "--", wanted])
        if told.code == NOT_FOUND or not told.text.strip():
            raise NotFound("systemd")
        unit = of_show(told.text, look.now, time.clock_gettime(time.CLOCK_MONOTONIC))
        if unit is None or unit.exit or not unit.number("restarts"):
            break
        time.sleep(0.2)  # it has just been started once more: how it ended is told when it has
    return unit


def of_show(text: str, now: float, monotonic: float) -> Unit | None:
    """Return the unit of `systemctl show`, None if it is not known."""
    told = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    if told.get("LoadState") == "not-found" and told.get("ActiveState") != "failed":
        return None
    changed = _count(told.get("StateChangeTimestampMonotonic"))
    memory = number(told.get("MemoryCurrent"))
    program = told.get("ExecStart", "").partition("path=")[2].partition(" ;")[0]
    return Unit(
        clean(told.get("Id", ""), 128), clean(told.get("ActiveState", ""), 32), exit_of(told),
        description=clean(told.get("Description", ""), 200), load=clean(told.get("LoadState", ""), 32),
        sub=clean(told.get("SubState", ""), 32), result=clean(told.get("Result", ""), 32),
        restarts=_count(told.get("NRestarts")), pid=_count(told.get("MainPID")) or None,
        memory=memory if memory is not None and memory < 1 << 60 else None,
        enabled=clean(told.get("UnitFileState", ""), 32), program=clean(program, 200),
        since=round(now - monotonic + changed / 1e6) if changed else None,
        triggered_by=clean(told.get("TriggeredBy", ""), 128), status=told.get("StatusText", ""),
    )  # fmt: skip


def exit_of(told: dict[str, str]) -> str:
    """Return how the main process ended: exit code 1, 203/EXEC, signal SEGV; else systemd's word for it."""
    code, status = _count(told.get("ExecMainCode")), _count(told.get("ExecMainStatus"))
    result = clean(told.get("Result", ""), 32)
    if not code and not status and result in ("success", ""):
        return ""
    if code in KILLED:
        killed = f"signal {SIGNALS.get(status, status)}"
        return killed if result in ("signal", "core-dump", "success", "") else f"{result}, {killed}"
    if status in CODES and result == "exit-code":
        return f"exit code {status}/{CODES[status]}"
    return f"exit code {status}" if status or result in ("success", "") else result


def _count(value: object) -> int:
    """Return a number of systemd's, 0 for what is none."""
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _restarts(look: Look, unit: Unit) -> tuple[int, int]:
    """Return how often it was started again, and in how many minutes: by the journal, else since our last look."""
    counts = mapping(look.memory.get("restarts"))
    before = mapping(counts.get(unit.name))
    total = unit.number("restarts")
    kept = {**{key: value for key, value in counts.items() if key != unit.name}, unit.name: {"t": look.now, "n": total}}
    look.memory["restarts"] = dict(list(kept.items())[-REMEMBERED:])
    lines = journal(look, f"--unit={unit.name}", f"--since=@{int(look.now - WINDOW)}")
    recent = [line for line in lines or () if line.message_id == RESTART_SCHEDULED]
    if recent:
        return len(recent), max(1, round((look.now - recent[0].time) / 60))
    past, at = number(before.get("n")), number(before.get("t"))
    if past is not None and at is not None and 0 < look.now - at <= 6 * WINDOW and total > past:
        return round(total - past), max(1, round((look.now - at) / 60))
    return 0, round(WINDOW / 60)


def _lines(look: Look, unit: str, count: int) -> list[Line]:
    return journal(look, f"--unit={unit}", most=count) or []


def _failed_units(look: Look) -> Found:
    if sys.platform != "linux":
        raise NotFound("a list of units that failed: name a service")
    words = ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager", "--full"]
    told = look.command(words)
    if told.code == NOT_FOUND or (told.code and not told.text):
        raise NotFound("systemd")
    names = [clean(line.split()[0], 128) for line in told.text.splitlines() if line.split()][:MAX_UNITS]
    if not names:
        return Found(NONE_FAILED)
    units = [unit for one in names if (unit := _unit(look, one)) is not None]
    if len(units) == 1:
        said, values = judge(units[0], 0, [], look.now)
        return Found(said, {"name": units[0].name, "minutes": 10, **values}, {"units": [units[0].row()]})
    shown = ", ".join(f"{unit.name} ({unit.exit})" for unit in units[:5])
    return Found(SEVERAL, {"count": len(units), "names": shown}, {"units": [unit.row() for unit in units]})
