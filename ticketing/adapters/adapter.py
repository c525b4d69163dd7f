"""What every adapter takes, gives and raises: the interface by which others are added."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from ticketing.errors import SettingsError
from ticketing.evidence import Evidence
from ticketing.incident import Incident, TimelineEntry


@dataclass(frozen=True, slots=True)
class Message:
    """What one recipient is to be told about one incident. The same delivery has the same `key` on every try.

    `opening` is the incident as it was opened: what is made of it stays the same through the whole conversation.
    `entries` are what is told now, oldest first; their first is the opening where `sequence` is 0.
    """

    key: str
    thread: str  # a UUID for the incident, the same for all recipients and for ever
    sequence: int  # of the first entry told: 0 for the opening
    opening: Incident
    incident: Incident  # as it is now
    entries: tuple[TimelineEntry, ...]
    evidence: Evidence
    at: float  # of this try, Unix seconds
    attempt: int = 1
    uncertain: bool = False  # an earlier try may have arrived: look for the key before you create anything
    reference: str = ""  # what the recipient called this incident before
    language: str = "en"
    timezone: str = "UTC"
    domain: str = "watchdesk.invalid"
    url: str = ""  # of the incident's page

    @property
    def events(self) -> list[str]:
        """The actions that are told."""
        return [entry.action for entry in self.entries]


class Transport(Protocol):
    """Delivers to one recipient. It is used by one thread at a time."""

    def deliver(self, message: Message) -> str:
        """Deliver, within a minute; return what the recipient calls the incident, or "".

        Raises:
            TransportError: it did not arrive, or nobody knows; the error says whether to try again.
        """


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an adapter must know of a recipient: the `settings` in the configuration."""

    def open(self, folder: Path) -> Transport:
        """Return what delivers; files are relative to the folder.

        Raises:
            SettingsError: a file cannot be read, or the settings contradict each other.
        """
        raise NotImplementedError


def secret(folder: Path, name: str, path: str) -> str:
    """Return what a `*_file` of the settings holds; from the environment where the name is `$NAME`.

    Raises:
        SettingsError: it cannot be read, or is empty.
    """
    if name.startswith("$"):
        text = os.environ.get(name[1:], "")
    else:
        try:
            text = (folder / name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{folder / name} cannot be read ({error})", path) from None
    if not text:
        raise SettingsError(f"{name} is empty", path)
    return text
