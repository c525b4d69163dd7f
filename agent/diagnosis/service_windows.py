"""Services of Windows: what `sc queryex` says, whose numbers are the same in every language."""

from __future__ import annotations

from agent.diagnosis.service import Unit
from agent.redact import clean
from agent.registry_windows import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

STATES = {
    1: "failed",
    2: "activating",
    3: "deactivating",
    4: "running",
    5: "activating",
    6: "deactivating",
    7: "paused",
}
STARTS = {2: "auto", 3: "manual", 4: "disabled"}
NEVER_STARTED, OWN_CODE = 1077, 1066
KEY = "SYSTEM\\CurrentControlSet\\Services\\"


def unit(look: Look, wanted: str) -> Unit | None:
    """Return a service by its short name."""
    told = look.command(["sc.exe", "queryex", wanted])
    return None if told.code else of_queryex(wanted, told.text, values(KEY + wanted.replace("\\", "")))


def of_queryex(wanted: str, text: str, known: dict[str, object]) -> Unit | None:
    """Return the service of `NAME : NUMBER WORD` lines: type, state, exit code, the service's own code, …, process."""
    numbers = []
    for line in text.splitlines():
        _, colon, value = line.partition(": ")
        first = value.split(" ")[0].strip()
        if colon and first.isdecimal():
            numbers.append(int(first))
    if len(numbers) < 4:
        return None
    _, state, code, own = numbers[:4]
    word = STATES.get(state, str(state))
    if state == 1 and code in (0, NEVER_STARTED):
        word = "stopped"
    start = known.get("Start")
    return Unit(
        clean(wanted, 128), word, f"exit code {own if code == OWN_CODE else code}",
        description=clean(str(known.get("DisplayName", "")), 200), program=clean(str(known.get("ImagePath", "")), 200),
        enabled=STARTS.get(start, "") if isinstance(start, int) else "", pid=numbers[6] if len(numbers) > 6 else None,
    )  # fmt: skip
