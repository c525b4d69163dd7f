"""Tests that fill a file system of their own take turns: a real agent, of whichever test, sees every one of them."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other test is here."""
    with (Path(tempfile.gettempdir()) / f"watchdesk-tests-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
