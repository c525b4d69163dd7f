"""Small file systems that tests fill.

A real agent, of whichever test, reports every file system of the machine. So they take turns; and what a test left
behind that was killed is taken away by the next, which knows it by its name.
"""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = "watchdesk-test"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of a size (`256k`), mounted at a new folder, while no other test has one."""
    with (Path(tempfile.gettempdir()) / f"watchdesk-tests-{os.getuid()}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _take_away_what_was_left()
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", SOURCE, str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _take_away_what_was_left() -> None:
    for line in Path("/proc/self/mounts").read_text("utf-8").splitlines():
        source, place, *_ = line.split(" ")
        if source == SOURCE:
            subprocess.run(["umount", "--lazy", place], check=False)
