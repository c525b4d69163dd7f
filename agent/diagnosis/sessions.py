"""Who sits at this machine, and how a window can be shown to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from agent.probes.host import read_attribute

SESSIONS = "/run/systemd/sessions"
WANTED = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "LANG", "LANGUAGE",
          "LC_ALL", "LC_MESSAGES", "XDG_CURRENT_DESKTOP", "HOME")  # fmt: skip
MAX_ENVIRONMENT = 256 << 10


class Person(NamedTuple):
    """Somebody in a session of their own at this machine."""

    uid: int
    name: str
    session: str


def present(root: str = "") -> list[Person]:
    """Return who sits here now: the active local sessions of people that logind knows, or the owner of the console."""
    if sys.platform == "darwin":
        uid = os.stat("/dev/console").st_uid
        return [Person(uid, _name(uid), "console")] if uid else []
    folder = root + SESSIONS
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = [_person(folder, name) for name in names if "." not in name]
    return [person for person in found if person is not None]


def _person(folder: str, session: str) -> Person | None:
    fields = _fields(read_attribute(f"{folder}/{session}") or "")
    is_here = fields.get("ACTIVE") == "1" and fields.get("REMOTE", "0") == "0"
    if not is_here or fields.get("CLASS", "user") != "user" or not fields.get("UID", "").isdigit():
        return None
    return Person(int(fields["UID"]), fields.get("USER", fields["UID"]), session)


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def is_over(person: Person, root: str = "") -> bool:
    """Whether the session of somebody has ended."""
    return bool(person.session) and person not in present(root)


def _name(uid: int) -> str:
    if sys.platform == "win32":
        return str(uid)
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def screen_of(uid: int, proc: str = "/proc") -> dict[str, str]:
    """Return the environment with which a window is shown to somebody, nothing where that cannot be known.

    It is that of a process of theirs that has a screen, which only root and they themselves may read.
    """
    best: dict[str, str] = {}
    for name in os.listdir(proc) if os.path.isdir(proc) else []:
        if name.isdigit() and _owner(f"{proc}/{name}") == uid:
            found = _environment(f"{proc}/{name}/environ")
            has_screen = "DISPLAY" in found or "WAYLAND_DISPLAY" in found
            if has_screen and len(found) > len(best):
                best = found
    return best


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def _environment(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            pairs = file.read(MAX_ENVIRONMENT).decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    known = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {name: known[name] for name in WANTED if name in known}


def language(environ: Mapping[str, str]) -> str:
    """Return the two letters of somebody's language."""
    said = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return (environ.get("LANGUAGE", "").split(":")[0] or said)[:2].lower() or "en"
