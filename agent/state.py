"""The state directory: what the agent keeps between runs.

    enrolment    device, url, interval: what the collector said when it took this machine in
    token        the device's token (0600)
    ca.pem       the collector's CA, the only one that is trusted
    agent.conf   the configuration, written by people; optional
    agent.conf.good    the last one that could be used
    memory       what heavy readings want to know next time
    last         how the last run began and whether it ended on purpose
    lock         held by the running agent
    status       written when `watchdesk-agent status` asks
    spool/       batches that the collector does not have yet, see spool.py
    diagnosis.*  the key that the collector signs its requests with, which were taken, what functions remember
    audit*       the record of what was asked, decided and sent, see diagnosis/audit.py
    sent/        the last results that were sent
    policy.toml  what the customer allows, of an agent that is not the system's own, see diagnosis/policy.py

Everything is replaced whole: written beside, synced, renamed.
"""

from __future__ import annotations

import os
import sys

from agent.errors import EnrolmentError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = (
    "enrolment", "token", "ca.pem", "agent.conf", "agent.conf.good", "last", "lock", "memory", "status",
    "diagnosis.key", "diagnosis.seen", "diagnosis.memory", "diagnosis.lock", "audit", "audit.1", "audit.head",
    "audit.reserve", "policy.toml", "agent.log", "agent.log.old",
    "ended", "lifeline",
)  # fmt: skip
FOLDERS = ("spool", "sent")
WINDOWS = sys.platform == "win32"


def default_directory(environ: Mapping[str, str], platform: str = sys.platform, *, root: bool = False) -> str:
    """Return where the state is kept if nobody says otherwise."""
    if platform == "win32":
        return environ.get("PROGRAMDATA", "C:\\ProgramData") + "\\watchdesk-agent"
    if root:
        return "/var/lib/watchdesk-agent" if platform != "darwin" else "/Library/Application Support/watchdesk-agent"
    home = environ.get("HOME", "/")
    if platform == "darwin":
        return home + "/Library/Application Support/watchdesk-agent"
    return environ.get("XDG_STATE_HOME", home + "/.local/state") + "/watchdesk-agent"


class Enrolment:
    """Who this machine is to whom."""

    __slots__ = ("ca", "device", "diagnosis_key", "interval", "token", "url")

    def __init__(self, device: str, url: str, interval: float, token: str, ca: str, diagnosis_key: str = "") -> None:
        """`diagnosis_key` is what the collector signs its requests with, in base64; "" if it did not say."""
        self.device = device
        self.url = url
        self.interval = interval
        self.token = token
        self.ca = ca
        self.diagnosis_key = diagnosis_key


class State:
    """A state directory that exists, is private, and may be locked by one agent."""

    __slots__ = ("_lock", "directory")

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._lock: int | None = None

    def path(self, name: str) -> str:
        """Return the path of a file of the state."""
        return os.path.join(self.directory, name)

    def create(self) -> None:
        """Make the directory, for its owner alone.

        Raises:
            StateError: it cannot be made or written.
        """
        try:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            os.makedirs(self.path("spool"), 0o700, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot make {self.directory}: {error.strerror}; choose another with --state") from error
        if WINDOWS:
            from agent.service_windows import close_to_others

            close_to_others(self.directory)
        if not os.access(self.directory, os.W_OK):
            raise StateError(f"{self.directory} is not writable by this user; use sudo or another --state")

    def lock(self) -> None:
        """Take the directory for this process; it is free again when the process ends, however it ends.

        Raises:
            StateError: another agent runs with it.
        """
        try:
            file = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise StateError(f"cannot lock {self.directory}: {error.strerror}; use sudo or another --state") from error
        if not _try_lock(file):
            os.close(file)
            raise StateError(f"an agent is running with {self.directory}; stop it, or choose another --state")
        try:
            os.write(file, f"{os.getpid():<12}".encode())  # always as long, so that a full disk does not matter
        except OSError:
            os.close(file)
            raise StateError(f"the disk of {self.directory} is full; make some room for the first start") from None
        self._lock = file

    def unlock(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def running(self) -> int | None:
        """Return the process id of the agent that holds the directory, or None."""
        try:
            file = os.open(self.path("lock"), os.O_RDWR)
        except OSError:
            return None
        try:
            pid = os.read(file, 32).strip()
            return None if _try_lock(file) or not pid.isdigit() else int(pid)
        finally:
            os.close(file)

    def read(self, name: str) -> str | None:
        """Return a file's text, or None if it is not there.

        Raises:
            StateError: it is there and cannot be read.
        """
        return read_file(self.path(name))

    def write(self, name: str, text: str, *, sync: bool = True) -> None:
        """Replace a file, whole or not at all, readable by its owner alone.

        Raises:
            StateError: the disk is full or refuses.
        """
        try:
            write_file(self.path(name), text, sync=sync)
        except OSError as error:
            raise StateError(f"cannot write {self.path(name)}: {error.strerror}") from error

    def enrolment(self) -> Enrolment:
        """Return who this machine is.

        Raises:
            EnrolmentError: it is not enrolled.
        """
        said = parse(self.read("enrolment") or "")
        token = (self.read("token") or "").strip()
        if not said.get("url") or not token:
            raise EnrolmentError(
                f"this machine is not enrolled (nothing in {self.directory}); "
                "get a token from `watchdesk enrol-token create` and run `watchdesk-agent enrol TOKEN`"
            )
        interval = float(said.get("interval", "10"))
        return Enrolment(said.get("device", ""), said["url"], interval, token, self.read("ca.pem") or "")

    def enrol(self, enrolment: Enrolment) -> None:
        """Keep who this machine is; the token last, for it makes the enrolment complete."""
        text = f"device = {enrolment.device}\nurl = {enrolment.url}\ninterval = {enrolment.interval:g}\n"
        self.write("ca.pem", enrolment.ca)
        if enrolment.diagnosis_key:
            self.write("diagnosis.key", enrolment.diagnosis_key + "\n")
        else:
            _unlink(self.path("diagnosis.key"))  # of a collector before this one
        self.write("enrolment", text)
        self.write("token", enrolment.token + "\n")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def parse(text: str) -> dict[str, str]:
    """Return the `key = value` lines that the agent itself wrote."""
    pairs = (line.partition("=") for line in text.split("\n") if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_file(path: str) -> str | None:
    """Return a small file's text, or None if there is none.

    Raises:
        StateError: it is there and cannot be read.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}; use sudo or another --state") from error
    try:
        return os.read(file, 1 << 20).decode("utf-8", "replace")
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(file)


def write_file(path: str, text: str, *, sync: bool = True) -> None:
    """Replace a file, whole or not at all, with mode 0600.

    Raises:
        OSError: the old file, if any, is as it was.
    """
    beside = path + ".new"
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        rest = text.encode()
        while rest:
            rest = rest[os.write(file, rest) :]
        if sync:
            os.fsync(file)
    finally:
        os.close(file)
    os.replace(beside, path)
    if sync:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make names in a directory durable, where the system can."""
    if WINDOWS:
        return
    file = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _try_lock(file: int) -> bool:
    if WINDOWS:
        return _try_lock_windows(file)
    import fcntl  # not on Windows

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _try_lock_windows(file: int) -> bool:
    msvcrt = __import__("msvcrt")
    try:
        os.lseek(file, 1 << 20, os.SEEK_SET)  # beyond the process id: a locked range cannot be read by others
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        os.lseek(file, 0, os.SEEK_SET)
    return True
