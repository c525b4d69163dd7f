"""From the labels of a series to a device and the series' text in the log."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agent import wire
from collector.errors import RegisterError
from collector.register.sites import slug

_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([^/:]+)):\d{1,5}")


class Refused(ValueError):
    """A series that is never taken; the text says why."""


class Series(NamedTuple):
    """A series as the log names it: the name of its device, and its metric and labels in Prometheus notation."""

    device: str
    text: str


def read(labels: list[tuple[bytes, bytes]], writer: str) -> Series:
    """Return the series with these labels; one without an `instance` is of a device with the writer's name.

    The label `instance` stays: the register's own takes its place, and what the sender wrote is `exported_instance`.

    Raises:
        Refused: the labels break the rules of a remote write, or the limits of the log.
    """
    try:
        named = [(name.decode(), value.decode()) for name, value in labels]
    except UnicodeDecodeError as error:
        raise Refused("a label is not UTF-8") from error
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise Refused("a label is there twice")
    own = {name: value for name, value in named if value}
    metric = own.pop("__name__", "")
    text = wire.format_series(metric, dict(sorted(own.items())))
    try:
        wire.read_series(text)
    except wire.WireError as error:
        raise Refused(f"{metric[:100]!r}: {error.message}") from error
    try:
        return Series(device_name(own.get("instance", "") or writer), text)
    except RegisterError as error:
        raise Refused(f"the instance {own['instance'][:100]!r} has no letter and no digit") from error


def device_name(instance: str) -> str:
    """Return the name of the device behind an `instance`: its host, as the register writes names.

    Raises:
        RegisterError: nothing is left of it.
    """
    found = _PORT.fullmatch(instance)
    return slug((found[1] or found[2]) if found else instance)
