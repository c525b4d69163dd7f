"""A command group that loads a command when it is asked for: all of them together take longer than most of them run."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "serve": "serve",
    "up": "serve",
    "drill": "drill",
    "incidents": "incidents",
    "maintenance": "maintenance",
    "silence": "maintenance",
    "outbox": "outbox",
    "events": "events",
    "inventory": "events",
    "status": "health",
    "doctor": "health",
    "diagnose": "diagnose",
    "audit": "audit",
    "replay": "replay",
    "devices": "devices",
    "discover": "discover",
    "snmp": "snmp",
    "enrol-token": "tokens",
    "remote-write-token": "writers",
    "users": "users",
    "rules": "rulebook",
    "thresholds": "thresholds",
    "backtest": "backtest",
    "backup": "backup",
    "restore": "backup",
    "config": "configuration",
    "completion": "completion",
}
"""A command and the module of this folder whose `register` adds it."""


class Lazy(click.Group):
    """The group of COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, as they are told."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, loaded now."""
        if cmd_name in COMMANDS:
            import_module(f"collector.cli.{COMMANDS[cmd_name]}").register(self)
        return super().get_command(ctx, cmd_name)
