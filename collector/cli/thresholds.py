"""`watchdesk thresholds`: the table of thresholds that differ by customer, class or device."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from collector.cli.context import Context, pass_context, show_json, show_table
from collector.errors import RegisterError
from rules.fields import LABEL_NAME
from rules.template import gofmt
from rules.thresholds import TARGETS, Line, Table, changed, dump, parse

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FOR: Final = ("device", "role", "site", "class", "customer")


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(thresholds)


@click.group()
def thresholds() -> None:
    """Show and change the thresholds that differ by customer, class, site, role or device.

    They are in thresholds.yml in the data folder; a running collector takes a change over within seconds.
    """


def _whose(command: _Command) -> _Command:
    """Add the options that say for whom a threshold is."""
    for name in reversed(_FOR):
        text = "host.site.customer." if name == "device" else ""
        command = click.option(f"--{name}", name.replace("class", "klass"), help=text or f"Only for this {name}.")(
            command
        )
    return click.option("--severity", default="", help="Of the rule: warning, critical …; for all by default.")(command)


@thresholds.command("list")
@click.option("--device", help="Those that hold for this device (host.site.customer), each once.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def list_(context: Context, device: str | None, as_json: bool) -> None:
    """Show the lines of the table, the most specific first."""
    table = _table(context)
    if device:
        _show_device(context, table, device, as_json=as_json)
        return
    if as_json:
        for line in table:
            show_json({"name": line.name, "severity": line.severity, "value": line.value, **line.fits})
        return
    rows = ((x.name, x.severity, gofmt.number(x.value), *(x.fits.get(name, "") for name in _FOR)) for x in table)
    show_table(("NAME", "SEVERITY", "VALUE", *(name.upper() for name in _FOR)), rows)


def _show_device(context: Context, table: Table, instance: str, *, as_json: bool) -> None:
    device = context.register.device_by_instance(instance)
    if device is None:
        raise RegisterError(f"There is no device {instance} in the register.")
    found = sorted(table.of(device.labels()).items())
    if as_json:
        for (name, severity), value in found:
            show_json({"name": name, "severity": severity, "value": value, "device": instance})
        return
    show_table(("NAME", "SEVERITY", "VALUE"), ((name, severity, gofmt.number(v)) for (name, severity), v in found))


@thresholds.command("set")
@click.argument("name")
@click.argument("value", type=float)
@_whose
@pass_context
def set_(context: Context, /, name: str, value: float, severity: str, **whose: str | None) -> None:
    """Let VALUE hold for the devices that the options name; without options, for all."""
    if not LABEL_NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} is no name; letters, digits and underscores are.")
    if math.isnan(value):
        raise click.BadParameter("the value must be a number.")
    line = Line(name, severity, value, _fits(whose), 0)
    _write(context, changed(_table(context), line, line))


@thresholds.command()
@click.argument("name")
@_whose
@pass_context
def unset(context: Context, /, name: str, severity: str, **whose: str | None) -> None:
    """Take the line away that is for just the devices that the options name."""
    before = list(_table(context))
    after = changed(before, None, Line(name, severity, 0.0, _fits(whose), 0))
    if len(after) == len(before):
        raise RegisterError(
            f"There is no such line for {name}; `watchdesk thresholds list` shows those that there are."
        )
    _write(context, after)


def _fits(whose: dict[str, str | None]) -> dict[str, str]:
    given = {name.replace("klass", "class"): text for name, text in whose.items() if text}
    return {name: given[name] for name in TARGETS if name in given}


def _path(context: Context) -> Path:
    return context.data / context.config.rules.thresholds


def _table(context: Context) -> Table:
    path = _path(context)
    return parse(path.read_text(encoding="utf-8") if path.exists() else "", str(path))


def _write(context: Context, lines: list[Line]) -> None:
    """Put the table in place whole."""
    path = _path(context)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(dump(lines), encoding="utf-8")
    temporary.replace(path)
