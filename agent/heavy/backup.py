"""When the last backup ended well: the stamp files of the configuration, Time Machine on macOS."""

from __future__ import annotations

import glob
import os
import sys
from datetime import datetime

from agent.probes import NoData
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

METRIC = "watchdesk_backup_last_success_timestamp_seconds"
# Where programs leave a file behind each good backup, if they are there.
KNOWN = {
    "timeshift": "/timeshift/snapshots/*/info.json",
    "proxmox": "/var/log/vzdump/*.log",
    "borgmatic": "/var/lib/borgmatic/last_success",
    "restic": "/var/lib/restic/last_success",
}


def read(task: Task) -> Iterator[Found]:
    """Stamp files, by their time of change; `backup.NAME = PATH` names more, with * and ?.

    Metrics:
        watchdesk_backup_last_success_timestamp_seconds (gauge): When the last backup ended well.
    """
    named = {key[len("backup.") :]: value for key, value in task.options.items() if key.startswith("backup.")}
    found = 0
    for method, pattern in {**KNOWN, **named}.items():
        newest = _newest(task.host.root + pattern)
        if newest is None and method in named:
            newest = 0.0  # it was set up, and there was none yet
        if newest is not None:
            found += 1
            yield METRIC + labels(method=method), newest
    if sys.platform == "darwin" or "tmutil" in task.options.get("backup", ""):
        for time in time_machine(task.command(["tmutil", "latestbackup"]).text):
            found += 1
            yield METRIC + labels(method="time_machine"), time
    if not found:
        raise NoData("backup")


def _newest(pattern: str) -> float | None:
    times = []
    for path in glob.iglob(pattern):
        try:
            times.append(os.stat(path).st_mtime)
        except OSError:
            continue
        if len(times) >= 10_000:
            break
    return max(times, default=None)


def time_machine(text: str) -> Iterator[float]:
    """Yield the time of `tmutil latestbackup`: …/2026-11-22-093012.backup, or without an ending; in local time."""
    name = text.strip().rpartition("/")[2].partition(".")[0]
    try:
        yield datetime.strptime(name, "%Y-%m-%d-%H%M%S").astimezone().timestamp()
    except ValueError:
        return
