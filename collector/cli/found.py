"""What a diagnosis found, as people read it on a terminal: values by name, lists of objects as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from collector.cli.context import show_table
from ticketing.clean import line

MAX_ROWS: Final = 15
MAX_CELL: Final = 60


def show_found(data: Mapping[str, Any]) -> None:
    """Print the data of a result; what is more than a screen can hold is counted, `--json` has it."""
    single = {name: value for name, value in data.items() if not _is_table(value)}
    if single:
        click.echo()
        for name, value in single.items():
            click.echo(f"{line(name)}: {_cell(value)}")
    for name, rows in data.items():
        if _is_table(rows):
            _show_rows(name, rows)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _show_rows(name: str, rows: list[Mapping[str, Any]]) -> None:
    columns = tuple(column for column in rows[0] if any(row.get(column) not in (None, "", []) for row in rows))
    click.echo(f"\n{line(name)}:")
    show_table(
        tuple(line(column).upper() for column in columns),
        (tuple(map(_cell, map(row.get, columns))) for row in rows[:MAX_ROWS]),
    )
    if len(rows) > MAX_ROWS:
        click.echo(f"… and {len(rows) - MAX_ROWS} more; --json has them all.")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(_cell, value))
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {_cell(one)}" for name, one in value.items())
    text = line("" if value is None else f"{value:g}" if isinstance(value, float) else str(value))
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
