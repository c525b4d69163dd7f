"""How the agent keeps out of the way, and what it costs."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.log import Log

OOM_SCORE = "500"  # when memory runs out, the agent is to go before the customer's programs


def step_back(nice: int, log: Log) -> None:
    """Lower the priority, offer to be killed first, keep what is written private; as far as the system lets us."""
    os.umask(0o077)
    try:
        _lower_priority(nice)
    except OSError as error:
        log.debug("priority not lowered", error=str(error))
    try:
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return  # not Linux
    try:
        os.write(file, OOM_SCORE.encode())
    except OSError as error:
        log.debug("oom_score_adj not set", error=error.strerror)
    finally:
        os.close(file)


def _lower_priority(nice: int) -> None:
    if sys.platform != "win32":
        nice = max(nice, os.getpriority(os.PRIO_PROCESS, 0))  # it may be lowered already: a reload runs this again
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    elif nice:
        import psutil  # where it is used: Linux does without

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


def own_readings(started: float) -> dict[str, float]:
    """Return what this process takes: CPU seconds, resident memory where it is cheap to know."""
    times = os.times()
    readings = {
        "watchdesk_agent_start_time_seconds": started,
        "watchdesk_agent_cpu_seconds_total": times.user + times.system + times.children_user + times.children_system,
    }
    if sys.platform == "win32":
        return readings
    try:
        file = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return readings
    try:
        pages = int(os.read(file, 128).split()[1])
    finally:
        os.close(file)
    readings["watchdesk_agent_resident_memory_bytes"] = float(pages * os.sysconf("SC_PAGE_SIZE"))
    return readings
