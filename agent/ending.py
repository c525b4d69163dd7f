"""Why the agent is asked to stop; loaded when it is."""

from __future__ import annotations

import os
import subprocess

PATIENCE = 1.0  # seconds; a goodbye must still be said afterwards


def reason() -> str:
    """Return `shutdown` while systemd takes the machine down (for a reboot, too), else `stop`."""
    if not os.path.isdir("/run/systemd/system"):
        return "stop"
    try:
        done = subprocess.run(
            ("systemctl", "is-system-running"),  # noqa: S607 - found as the system has it
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "stop"
    return "shutdown" if done.stdout.strip() == "stopping" else "stop"
