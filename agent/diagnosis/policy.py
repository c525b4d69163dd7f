"""What the customer allows: a file on the machine that only root or an administrator may write.

    machine = "server"            # or "desktop"; without it the machine is looked at
    health = "allow"              # allow, ask or deny, for each privacy class
    names = "ask"
    content = "deny"
    budget = 60                   # diagnoses an hour
    company = "Example IT"        # who is named when people are asked
    answer_seconds = 120          # how long they have; no answer is a no
    targets = ["*.acme.example", "10.0.0.0/8"]    # hosts to speak to, beside those that the machine knows anyway

    [diagnoses]
    "net.capture" = "deny"        # of one diagnosis, whatever its class

    [[window]]                    # times at which a class has another decision
    class = "content"
    decision = "allow"
    days = ["sat", "sun"]         # all without it
    from = "22:00"
    to = "06:00"

Where the file is wrong, or somebody else may have written it, everything but health is denied.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import stat
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.diagnosis.catalogue import CLASSES, Privacy
from agent.state import default_directory

Decision = Literal["allow", "ask", "deny"]
DECISIONS = ("allow", "ask", "deny")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_FILE = 256 << 10
SYSTEM_FILES = {
    "win32": "%PROGRAMDATA%\\watchdesk-agent\\policy.toml",
    "darwin": "/Library/Application Support/watchdesk-agent/policy.toml",
}
SYSTEM_FILE = "/etc/watchdesk-agent/policy.toml"


class PolicyError(ValueError):
    """The file says something that it cannot say, or is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the week at which a class has another decision; `to` before `start` ends on the next day."""

    privacy: Privacy
    decision: Decision
    days: tuple[str, ...]
    start: int  # minutes since midnight
    to: int

    def holds(self, now: time.struct_time) -> bool:
        """Whether it is that time, by the machine's own clock and zone."""
        minute = 60 * now.tm_hour + now.tm_min
        if self.start < self.to:
            return DAYS[now.tm_wday] in self.days and self.start <= minute < self.to
        if minute >= self.start:
            return DAYS[now.tm_wday] in self.days
        return minute < self.to and DAYS[now.tm_wday - 1] in self.days


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed here; `problem` says why it is not what the file says."""

    classes: Mapping[str, Decision]
    machine: str = "server"
    diagnoses: Mapping[str, Decision] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    budget: int = 60
    company: str = ""
    answer_seconds: int = 120
    targets: tuple[str, ...] = ()
    actions: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def decide(self, name: str, privacy: Privacy, now: float) -> Decision:
        """Return what holds for a diagnosis that needs this class now."""
        if name in self.diagnoses:
            return self.diagnoses[name]
        local = time.localtime(now)
        for window in self.windows:
            if window.privacy == privacy and window.holds(local):
                return window.decision
        return self.classes[privacy]

    def lets_speak_to(self, host: str) -> bool:
        """Whether a host is among the targets."""
        host = host.strip("[]").lower()
        return any(_matches(pattern.lower(), host) for pattern in self.targets)


def _matches(pattern: str, host: str) -> bool:
    try:
        network = ipaddress.ip_network(pattern, strict=False)
        return ipaddress.ip_address(host) in network
    except ValueError:
        return fnmatch.fnmatchcase(host, pattern)


def defaults(machine: str, *, problem: str = "") -> Policy:
    """Return what holds without a file; with a problem, what holds then."""
    if problem:
        return Policy({"health": "allow", "names": "deny", "content": "deny"}, machine, problem=problem)
    names: Decision = "ask" if machine == "desktop" else "allow"
    return Policy({"health": "allow", "names": names, "content": "deny"}, machine)


def path_for(state: str, platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> str:
    """Return where the policy is; an agent whose state is not at the system's place has its own beside that."""
    if os.path.abspath(state) != default_directory(environ, platform, root=True):
        return os.path.join(state, "policy.toml")
    named = SYSTEM_FILES.get(platform, SYSTEM_FILE)
    return named.replace("%PROGRAMDATA%", environ.get("PROGRAMDATA", "C:\\ProgramData"))


def load(path: str, machine: str) -> Policy:
    """Return the policy of a file, or what holds without one."""
    try:
        text = _trusted(path)
        return defaults(machine) if text is None else parse(text, machine)
    except (PolicyError, OSError) as error:
        return defaults(machine, problem=f"{path}: {error}")


def _trusted(path: str) -> str | None:
    """Return the text, once nobody but root (or, of a private agent, its owner) can have written it."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    try:
        if sys.platform != "win32":
            owners = {0} if path == SYSTEM_FILES.get(sys.platform, SYSTEM_FILE) else {0, os.geteuid()}
            check_owner(os.fstat(file), owners, "the file")
            check_owner(os.stat(os.path.dirname(path)), owners, "its folder")
        else:
            from agent.diagnosis.policy_windows import check_owner_windows

            check_owner_windows(path)
        data = os.read(file, MAX_FILE + 1)
    finally:
        os.close(file)
    if len(data) > MAX_FILE:
        raise PolicyError(f"longer than {MAX_FILE} bytes")
    return data.decode("utf-8", "replace")


def check_owner(found: os.stat_result, owners: set[int], what: str) -> None:
    """See to it that nobody else can write it.

    Raises:
        PolicyError: somebody can.
    """
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise PolicyError(f"{what} is neither a file nor a folder")
    if found.st_uid not in owners:
        raise PolicyError(f"{what} belongs to user {found.st_uid}; it must be root's (chown root)")
    if found.st_mode & 0o022:
        raise PolicyError(f"{what} can be written by others than its owner (chmod go-w)")


def parse(text: str, machine: str) -> Policy:
    """Return what a policy says.

    Raises:
        PolicyError: it says what it cannot say.
    """
    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(str(error)[:200]) from None
    unknown = sorted(set(said) - {*_READERS, *CLASSES, "machine"})
    if unknown:
        raise PolicyError(f"unknown key {unknown[0][:60]}; there are: {', '.join(sorted([*_READERS, *CLASSES]))}")
    machine = _word("machine", said.get("machine", machine), ("server", "desktop"))
    classes = {**defaults(machine).classes}
    for name in CLASSES:
        if name in said:
            classes[name] = _decision(name, said[name])
    members = {_MEMBERS.get(key, key): _READERS[key](key, said[key]) for key in _READERS if key in said}
    return Policy(classes, machine, **members)


def _word(key: str, value: object, words: tuple[str, ...]) -> Any:
    if value not in words:
        raise PolicyError(f"{key} is none of {', '.join(words)}")
    return value


def _decision(key: str, value: object) -> Decision:
    decision: Decision = _word(key, value, DECISIONS)
    return decision


def _decisions(key: str, value: object) -> dict[str, Decision]:
    return {name: _decision(f"{key}.{name}", one) for name, one in _table(key, value).items()}


def _table(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{key} is no table")
    return value


def _texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise PolicyError(f"{key} is no list of texts")
    return tuple(value)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 100 or not value.isprintable():
        raise PolicyError(f"{key} is no text of at most 100 characters")
    return value


def _whole(least: int, most: int) -> Any:
    def read(key: str, value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise PolicyError(f"{key} is not a whole number from {least} to {most}")
        return value

    return read


def _windows(key: str, value: object) -> tuple[Window, ...]:
    if not isinstance(value, list):
        raise PolicyError(f"{key} is written [[{key}]]")
    return tuple(_window(f"{key}[{number}]", _table(key, one)) for number, one in enumerate(value))


def _window(key: str, said: Mapping[str, Any]) -> Window:
    unknown = sorted(set(said) - {"class", "decision", "days", "from", "to"})
    if unknown or "class" not in said or "decision" not in said:
        raise PolicyError(f"{key} has class, decision, days, from and to; not {unknown[0][:40] if unknown else 'less'}")
    days = _texts(f"{key}.days", said.get("days", list(DAYS)))
    for day in days:
        _word(f"{key}.days", day, DAYS)
    start, to = (_minutes(f"{key}.{name}", said.get(name, "00:00")) for name in ("from", "to"))
    privacy: Privacy = _word(f"{key}.class", said["class"], CLASSES)
    return Window(privacy, _decision(f"{key}.decision", said["decision"]), days, start, to)


def _minutes(key: str, value: object) -> int:
    hours, colon, minutes = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not (hours + minutes).isdigit() or int(hours) > 23 or int(minutes) > 59:
        raise PolicyError(f"{key} is no time such as 22:00")
    return 60 * int(hours) + int(minutes)


_MEMBERS = {"window": "windows"}
_READERS: dict[str, Any] = {
    "diagnoses": _decisions,
    "window": _windows,
    "budget": _whole(0, 10_000),
    "company": _text,
    "answer_seconds": _whole(1, 3_600),
    "targets": _texts,
    "actions": _table,
}
