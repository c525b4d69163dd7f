"""Jobs of launchd: which run, and which ended with a failure."""

from __future__ import annotations

from agent.heavy.tools import NOT_FOUND
from agent.probes import NoData
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

MAX_JOBS = 800
APPLE = ("com.apple.", "application.")  # there are hundreds, and nobody asks for them


def read(task: Task) -> Iterator[Found]:
    """launchctl list; Apple's own jobs are left out.

    Metrics:
        watchdesk_service_running (gauge): Whether the job runs.
        watchdesk_service_last_exit_code (gauge): What it ended with the last time; negative: the signal.
    """
    told = task.command(["launchctl", "list"])
    if told.code == NOT_FOUND:
        raise NoData("launchctl")
    for number, (name, running, code) in enumerate(jobs(told.text)):
        if number >= MAX_JOBS:
            return
        # What launchd keeps running it starts by itself; a job that waits for its time or a call is no failure.
        mode = "auto" if running else "manual"
        yield "watchdesk_service_running" + labels(name=name, start_mode=mode), float(running)
        yield "watchdesk_service_last_exit_code" + labels(name=name), float(code)


def jobs(text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield (label, whether it runs, last exit code) of the lines `PID Status Label`, with tabs between."""
    for line in text.splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) == 3 and not fields[2].startswith(APPLE) and fields[1].lstrip("-").isdigit():
            yield fields[2], fields[0].isdigit(), int(fields[1])
