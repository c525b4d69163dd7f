"""The data folder: made, and held by one collector."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from collector.errors import StartError


def take(data: Path) -> IO[str]:
    """Return the file whose lock keeps other collectors out while it is open.

    Raises:
        StartError: another has it, or the folder cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / "lock").open("a")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartError(
            f"Another Watchdesk runs on {data}; stop it, or choose another folder with DATA= (or --data)."
        ) from error
    except OSError as error:
        raise StartError(
            f"{data} cannot be written ({error.strerror}); choose another folder with DATA= (or --data)."
        ) from error
    return lock
