"""Services of macOS: `launchctl print system/LABEL`."""

from __future__ import annotations

from agent.diagnosis.service import Unit
from agent.heavy.tools import number
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look


def unit(look: Look, wanted: str) -> Unit | None:
    """Return a job of the system's launchd."""
    told = look.command(["launchctl", "print", f"system/{wanted}"])
    return None if told.code or not told.text.strip() else of_print(wanted, told.text)


def of_print(wanted: str, text: str) -> Unit:
    """Return the job of `name = value` lines; those of inner blocks come later and do not count."""
    told: dict[str, str] = {}
    for line in text.splitlines():
        key, found, value = line.strip().partition(" = ")
        if found:
            told.setdefault(key, value)
    code = told.get("last exit code", "").split(":")[0]
    state = (
        "running"
        if told.get("state") == "running"
        else "failed"
        if code not in ("0", "", "(never exited)")
        else "stopped"
    )
    runs = number(told.get("runs")) or 0.0
    return Unit(
        clean(wanted, 128), state, f"exit code {clean(code, 40) or '?'}", pid=number(told.get("pid")),
        restarts=max(0.0, runs - 1), program=clean(told.get("program", ""), 200),
    )  # fmt: skip
