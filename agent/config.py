"""The configuration file: `key = value` lines, `#` for remarks. What is unknown or wrong is an error with its line."""

from __future__ import annotations

from agent.errors import ConfigError
from agent.log import LEVELS
from agent.options import EXACT, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
DRILLS = ("disk-full", "cpu", "service-dead", "flapping", "host-down")


class Config:
    """What may be chosen; each attribute is a key of the file (`probe.NAME` and `filesystem.…` have dicts)."""

    __slots__ = (
        "collectors",
        "drill",
        "drill_state",
        "goodbye_ttl",
        "interval",
        "log_level",
        "max_bandwidth",
        "max_cpu",
        "max_memory",
        "nice",
        "on_battery",
        "options",
        "probes",
        "proxy",
        "proxy_password_file",
        "spool_max_age",
        "spool_max_bytes",
        "timeout",
    )

    def __init__(self) -> None:
        self.interval: float | None = None  # None: what the collector said
        self.log_level = "info"
        self.goodbye_ttl = 300.0
        self.nice = 5
        self.max_memory = 96 << 20
        self.max_cpu = 0.1
        self.max_bandwidth = 0  # bytes a second for a backlog; 0: as the collector wishes
        self.on_battery = "slow"
        self.timeout = 15.0
        self.spool_max_bytes = 64 << 20
        self.spool_max_age = 7.0 * 86_400
        self.collectors: list[str] = []  # other addresses of the collector that this machine enrolled at
        self.proxy = ""
        self.proxy_password_file = ""
        self.probes: dict[str, bool] = {}
        self.options: dict[str, str] = {}
        self.drill: str | None = None
        self.drill_state = ""


def parse(text: str, file: str, probes: Iterable[str]) -> Config:
    """Return the configuration; `probes` are the names that may be switched.

    Raises:
        ConfigError: an unknown key, a key given twice, or a value that is none.
    """
    config = Config()
    seen: dict[str, int] = {}
    known = set(probes)
    for number, line in enumerate(text.split("\n"), 1):
        key, value = _split(line, file, number)
        if not key:
            continue
        if key in seen:
            raise ConfigError(file, number, f"{key} is given twice (first in line {seen[key]})")
        seen[key] = number
        try:
            _set(config, key, value, known)
        except ValueError as error:
            raise ConfigError(file, number, str(error)) from None
    if config.drill is not None and not config.drill_state:
        raise ConfigError(file, seen["drill"], "drill needs drill_state = FILE")
    return config


def _split(line: str, file: str, number: int) -> tuple[str, str]:
    line = line.strip()
    if not line or line.startswith("#"):
        return "", ""
    key, equals, value = line.partition("=")
    if not equals or not key.strip():
        raise ConfigError(file, number, f"not `key = value`: {line[:60]}")
    if not value.strip():
        raise ConfigError(file, number, f"{key.strip()} has no value")
    return key.strip(), value.strip()


def _set(config: Config, key: str, value: str, probes: set[str]) -> None:
    if key in READERS:
        setattr(config, key, READERS[key](value))
    elif option(key, value):
        config.options[key] = value
    elif key.startswith("probe."):
        name = key[len("probe.") :]
        if name not in probes:
            raise ValueError(f"no probe {name}; there are: {', '.join(sorted(probes))}")
        config.probes[name] = _switch(value)
    else:
        raise ValueError(
            f"unknown key {key}; there are: {', '.join(sorted(READERS))}, {', '.join(sorted(EXACT))}, probe.NAME, "
            "privacy.PART, privacy.events.TYPE, backup.NAME, check.NAME, exporter.NAME"
        )


def _switch(value: str) -> bool:
    if value not in ("on", "off"):
        raise ValueError(f"{value} is neither on nor off")
    return value == "on"


def _duration(least: float, most: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        number, unit = (value[:-1], UNITS[value[-1]]) if value[-1] in UNITS else (value, 1)
        seconds = _number(number, value, "10, 90s, 5m, 12h or 7d") * unit
        if not least <= seconds <= most:
            raise ValueError(f"{value} is not between {least:g} s and {most:g} s")
        return seconds

    return read


def _size(value: str) -> int:
    number, unit = (value[:-1], SIZES[value[-1].lower()]) if value[-1].lower() in SIZES else (value, 1)
    size = int(_number(number, value, "1048576, 512K, 64M or 1G") * unit)
    if not 1 << 16 <= size <= 1 << 40:
        raise ValueError(f"{value} is not between 64K and 1024G")
    return size


def _number(text: str, value: str, examples: str) -> float:
    """Return a plain decimal number; float() alone would take `nan` and `1_0`."""
    text = text.strip()
    if not text.replace(".", "", 1).isdigit() or not text.isascii():
        raise ValueError(f"{value} is not a value such as {examples}")
    return float(text)


def _percent(value: str) -> float:
    share = _number(value.removesuffix("%"), value, "5 or 10%") / 100
    if not 0.005 <= share <= 1:
        raise ValueError(f"{value} is not between 0.5 % and 100 %")
    return share


def _nice(value: str) -> int:
    if not value.isdigit() or not 0 <= int(value) <= 19:
        raise ValueError(f"{value} is not a whole number from 0 to 19")
    return int(value)


def _addresses(value: str) -> list[str]:
    addresses = value.replace(",", " ").split()
    if not all(address.startswith(("https://", "http://")) for address in addresses) or len(addresses) > 8:
        raise ValueError(f"{value} is not up to 8 addresses such as https://collector.example:8443")
    return addresses


def _one_of(choices: Iterable[str]) -> Callable[[str], str]:
    allowed = tuple(choices)

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value} is none of: {', '.join(allowed)}")
        return value

    return read


READERS: dict[str, Callable[[str], object]] = {
    "interval": _duration(1, 3_600),
    "log_level": _one_of(LEVELS),
    "goodbye_ttl": _duration(0, 30 * 86_400),
    "nice": _nice,
    "max_memory": _size,
    "max_cpu": _percent,
    "max_bandwidth": _size,
    "on_battery": _one_of(("slow", "same")),
    "timeout": _duration(1, 300),
    "spool_max_bytes": _size,
    "spool_max_age": _duration(60, 365 * 86_400),
    "collectors": _addresses,
    "proxy": str,
    "proxy_password_file": str,
    "drill": _one_of(DRILLS),
    "drill_state": str,
}
