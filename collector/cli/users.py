"""`watchdesk users`: who may log in."""

from __future__ import annotations

import click


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(users)
