"""Printers of CUPS and their queues."""

from __future__ import annotations

from agent.heavy.tools import NOT_FOUND
from agent.probes import NoData
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

MAX_PRINTERS = 200


def read(task: Task) -> Iterator[Found]:
    """lpstat -p and -o.

    Metrics:
        watchdesk_printer_up (gauge): Whether the printer takes jobs and prints them.
        watchdesk_printer_jobs (gauge): Jobs that wait in the printer's queue.
    """
    told = task.command(["lpstat", "-p"])
    if told.code == NOT_FOUND or not told.text.strip():
        raise NoData("lpstat")
    states = printers(told.text)
    waiting = jobs(task.command(["lpstat", "-o"]).text, list(states))
    for printer, up in list(states.items())[:MAX_PRINTERS]:
        yield "watchdesk_printer_up" + labels(printer=printer), float(up)
        yield "watchdesk_printer_jobs" + labels(printer=printer), float(waiting.get(printer, 0))


def printers(text: str) -> dict[str, bool]:
    """Return whether each printer works: `printer NAME is idle.  enabled since …`, `printer NAME disabled since …`."""
    found: dict[str, bool] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "printer":
            found[words[1]] = "disabled" not in words[2:4]
    return found


def jobs(text: str, known: list[str]) -> dict[str, int]:
    """Count the jobs of each printer: `NAME-NUMBER USER SIZE DATE`; a name may hold dashes."""
    counts: dict[str, int] = {}
    for line in text.splitlines():
        printer = line.split(" ", 1)[0].rpartition("-")[0]
        if printer in known:
            counts[printer] = counts.get(printer, 0) + 1
    return counts
