"""What the commands share: the data folder and what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import click
from sqlalchemy import Engine

from collector.config import FILE_NAME, Config, load
from collector.database import open_database
from collector.errors import StartError
from collector.register import Register
from ticketing.accounts import Accounts
from ticketing.outbox.routing import Router
from ticketing.store import Store


@dataclass
class Context:
    """The data folder of a command; everything in it is opened when it is first needed."""

    data: Path

    @cached_property
    def config(self) -> Config:
        """The configuration in force."""
        return load(self.data / FILE_NAME)

    @cached_property
    def database(self) -> Engine:
        """The database.

        Raises:
            StartError: nothing was ever started on this data folder, or the database cannot be used.
        """
        url = self.config.database_url(self.data)
        if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
            raise StartError(f"There is no Watchdesk in {self.data}; start one with `watchdesk up`, or give --data.")
        return open_database(url)

    @cached_property
    def register(self) -> Register:
        """The register."""
        return Register(self.database)

    @cached_property
    def store(self) -> Store:
        """The incidents."""
        return Store(self.database, router=Router(self.config.notifications), seal=self._seal)

    def _seal(self, end: bytes) -> str:
        from collector.diagnosis.keys import signing_key  # most commands seal nothing

        return signing_key(self.data).sign(end)

    @cached_property
    def accounts(self) -> Accounts:
        """The people who may log in."""
        return Accounts(self.database)


pass_context = click.make_pass_decorator(Context)


def show_json(record: Mapping[str, object]) -> None:
    """Print one object as a line of JSON."""
    click.echo(json.dumps(record, ensure_ascii=False))


def show_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print rows in columns as wide as their widest cell."""
    cells = [head, *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(time: float | None) -> str:
    """Return a time as people read it, in the local zone; empty for none."""
    return "" if time is None else datetime.fromtimestamp(time, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
