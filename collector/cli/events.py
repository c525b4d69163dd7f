"""`watchdesk events` and `watchdesk inventory`: what happened on the devices, and what they consist of."""

from __future__ import annotations

import re
import time

import click
import msgspec

from collector.cli.context import Context, pass_context, show_json, show_table, when
from collector.errors import RegisterError
from collector.events.show import parts_of
from collector.events.store import KEPT_INVENTORIES, MAX_PAGE, EventStore, Wanted
from collector.register import Device
from ticketing import clean
from ticketing.scope import Scope
from ticketing.web.devices import EVENT_TYPES

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(events)
    group.add_command(inventory)


class Since(click.ParamType[float]):
    """How long ago, such as 90s, 15m, 24h or 7d; in seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        found = re.fullmatch(r"(\d{1,6})([smhdw])", str(value))
        if not found:
            self.fail(f"{value!r} is no duration; it is written as 90s, 15m, 24h or 7d.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


@click.command()
@click.option("--customer", help="Only this customer's.")
@click.option("--device", help="Only this device's (host.site.customer).")
@click.option("--type", "types", multiple=True, type=click.Choice(EVENT_TYPES), help="Only of this type; repeatable.")
@click.option(
    "--level", "levels", multiple=True, type=click.Choice(("critical", "error", "warning", "info")), help="Repeatable."
)
@click.option("--text", default="", help="Only those whose text or source has this in it.")
@click.option("--since", type=Since(), help="Only of the last while: 90s, 15m, 24h, 7d.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=100, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def events(
    context: Context,
    customer: str | None,
    device: str | None,
    types: tuple[str, ...],
    levels: tuple[str, ...],
    text: str,
    since: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what happened on the devices, the newest first."""
    wanted = Wanted(
        device=_device(context, device).id if device else None,
        since=None if since is None else time.time() - since,
        types=types,
        levels=levels,
        text=text,
    )
    found = EventStore(context.database).events(Scope(customer), wanted, limit)
    names = {one.id: one.instance for one in context.register.devices(retired=True)}
    if as_json:
        for one in found:
            record = msgspec.to_builtins(one)
            show_json({**record, "device": names.get(one.device, ""), "device_id": one.device})
        return
    rows = (
        (when(one.at), names.get(one.device, ""), one.type, one.source, one.level, clean.line(one.text))
        for one in found
    )
    show_table(("TIME", "DEVICE", "TYPE", "SOURCE", "LEVEL", "TEXT"), rows)


@click.command()
@click.argument("device")
@click.option("--history", is_flag=True, help=f"Also what it consisted of before, the last {KEPT_INVENTORIES} times.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def inventory(context: Context, device: str, history: bool, as_json: bool) -> None:
    """Show what a device (host.site.customer) consists of. What changed is in `watchdesk events --type inventory`."""
    known = _device(context, device)
    found = EventStore(context.database).inventories(
        Scope(known.customer), known.id, KEPT_INVENTORIES if history else 1
    )
    if as_json:
        for one in found:
            show_json({"device": known.instance, "at": one.at, "parts": one.parts})
        return
    if not found:
        click.echo(f"{known.instance} has told no inventory.", err=True)
    for one in found:
        click.echo(f"{known.instance} since {when(one.at)}")
        for part in parts_of(one.parts):
            click.echo(f"  {part.name}")
            for line in part.things:
                click.echo(f"    {clean.line(line)}")


def _device(context: Context, instance: str) -> Device:
    """Return the newest device of that name, a retired one too."""
    found = [one for one in context.register.devices(retired=True) if one.instance == instance]
    if not found:
        raise RegisterError(f"There is no device {instance} in the register.")
    return max(found, key=lambda one: one.id)
