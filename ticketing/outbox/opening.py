"""From the configuration to what delivers: the adapter's own settings, checked."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ticketing.adapters import ADAPTERS
from ticketing.adapters.adapter import Settings, Transport
from ticketing.errors import SettingsError
from ticketing.outbox.settings import Notifications, Recipient, check


def check_all(settings: Notifications) -> None:
    """Check the whole section but for the files that it names.

    Raises:
        SettingsError: with the path of what is wrong.
    """
    check(settings)
    for index, recipient in enumerate(settings.recipients):
        adapter_settings(recipient, index)


def adapter_settings(recipient: Recipient, index: int) -> Settings:
    """Return the adapter's part of a recipient. Raises SettingsError."""
    path = f"$.recipients[{index}]"
    kind = ADAPTERS.get(recipient.kind)
    if kind is None:
        raise SettingsError(f"There is no adapter {recipient.kind}; there are {', '.join(ADAPTERS)}", f"{path}.kind")
    try:
        return msgspec.convert(recipient.settings, kind)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at `$")
        raise SettingsError(said, f"{path}.settings{where.rstrip('`')}") from None


def open_transport(recipient: Recipient, index: int, folder: Path) -> Transport:
    """Return what delivers to a recipient. Raises SettingsError, also for a file that cannot be read."""
    try:
        return adapter_settings(recipient, index).open(folder)
    except SettingsError as error:
        said = re.sub(r" - at `.*`$", "", str(error))
        inside = (
            error.path
            if error.path.startswith("$.recipients")
            else (f"$.recipients[{index}].settings{error.path.removeprefix('$')}")
        )
        raise SettingsError(said, inside) from None
