"""The keys of agent.conf that belong to what the agent reads: their names, and what values they take."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_VALUE = 2_000
# The parts of the inventory, each of which can be switched off by privacy.PART = off; then it is never collected.
PARTS = (
    "hardware", "serials", "os", "software", "patches", "users", "shares", "disks", "addresses", "monitors",
    "peripherals",
)  # fmt: skip
EVENTS = ("log", "kernel", "unit", "service", "hotplug", "login", "check", "security", "agent", "inventory")
KINDS = ("http", "tcp", "icmp", "nagios")


def _text(value: str) -> str:
    if len(value) > MAX_VALUE:
        raise ValueError(f"longer than {MAX_VALUE} characters")
    return value


def _switch(value: str) -> str:
    if value not in ("on", "off"):
        raise ValueError(f"{value} is neither on nor off")
    return value


def _paths(value: str) -> str:
    for path in value.split(","):
        if not path.strip().startswith("/") and path.strip()[1:2] != ":":
            raise ValueError(f"{path.strip()} is not a whole path")
    return _text(value)


def _ports(value: str) -> str:
    for port in value.split(","):
        if port.strip() != "none" and not (port.strip().isdigit() and 0 < int(port) < 65_536):
            raise ValueError(f"{port.strip()} is no port, and not none")
    return value


def _check(value: str) -> str:
    kind, _, rest = value.partition(" ")
    if kind not in KINDS or not rest.strip():
        raise ValueError(f"{value} does not begin with one of {', '.join(KINDS)}, then what to check")
    if kind == "nagios" and not (rest.strip().startswith("/") or rest.strip()[1:2] == ":"):
        raise ValueError(f"{rest.strip()} does not begin with the whole path of a plugin")
    return _text(value)


def _exporter(value: str) -> str:
    if not value.startswith(("http://127.0.0.1:", "http://[::1]:")):
        raise ValueError(f"{value} is not an address such as http://127.0.0.1:9187/metrics")
    return _text(value)


def _seconds(value: str) -> str:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 86_400:
        raise ValueError(f"{value} is not a number of seconds from 1 to 86400")
    return value


EXACT: dict[str, Callable[[str], str]] = {
    "filesystem.exclude_mounts": _text,
    "filesystem.exclude_types": _text,
    "heavy.delay": _seconds,
    "watch": _switch,
    "watch.processes": _text,
    "certificates.files": _paths,
    "certificates.ports": _ports,
    "textfile.directory": _paths,
    "checks.user": _text,
    "reach.dns": _text,
    "reach.gateway": _switch,
    "reach.internet": _text,
}
PREFIXES: dict[str, Callable[[str], str]] = {
    "privacy.events.": _switch,
    "privacy.": _switch,
    "backup.": _paths,
    "exporter.": _exporter,
    "check.": _check,
}


def option(key: str, value: str) -> bool:
    """Whether there is such a key.

    Raises:
        ValueError: there is, and its value is none.
    """
    if key in EXACT:
        EXACT[key](value)
        return True
    prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
    name = key[len(prefix) :]
    if not prefix or not name:
        return False
    base, dot, last = name.rpartition(".")
    if prefix in ("check.", "exporter.") and dot and last in ("interval", "timeout"):
        _seconds(value)
        return bool(base)
    if prefix.startswith("privacy.") and name not in (EVENTS if "events" in prefix else PARTS):
        return False
    if not name.replace("-", "_").replace(".", "_").isidentifier() or len(name) > 64:
        raise ValueError(f"{name} is not a name of letters, digits, - and _")
    PREFIXES[prefix](value)
    return True
