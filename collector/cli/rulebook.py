"""`watchdesk rules`: check and try rule files without a collector."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rules import unittest
from rules.engine import Engine
from rules.errors import RuleFileError
from rules.fleet import Fleet


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(rules)


@click.group()
def rules() -> None:
    """Check rule files, and run their unit tests."""


_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


@rules.command()
@_files
def check(files: tuple[Path, ...]) -> None:
    """Say whether rule files can be loaded; the exit status is 1 if one cannot."""
    faults = [fault for fault in map(_fault, files) if fault]
    for fault in faults:
        click.echo(fault, err=True)
    sys.exit(1 if faults else 0)


def _fault(path: Path) -> str:
    """Return what is wrong with a file, and say so if nothing is."""
    try:
        engine = Engine(Fleet())
        engine.load({str(path): path.read_text(encoding="utf-8")})
    except OSError as error:
        return f"{path}: {error.strerror}"
    except UnicodeDecodeError:
        return f"{path}: not UTF-8"
    except RuleFileError as error:
        return str(error)
    click.echo(f"{path}: {len(engine.rules())} rules, all right")
    return ""


@rules.command()
@_files
def test(files: tuple[Path, ...]) -> None:
    """Run unit tests in promtool's format; the exit status is 1 if one fails."""
    report = unittest.run(files)
    click.echo(str(report))
    sys.exit(report.code)
