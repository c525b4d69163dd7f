"""`watchdesk maintenance` and `watchdesk silence`: times in which no ticket is opened."""

from __future__ import annotations

import datetime
import getpass
import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec

from collector.cli.context import Context, show_json, show_table, when
from collector.errors import RegisterError
from rules.durations import parse_duration
from ticketing import maintenance, silences


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(windows)
    group.add_command(silence)


@click.group("maintenance", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def windows(click_context: click.Context, as_json: bool) -> None:
    """Show the maintenance windows that are not over."""
    if click_context.invoked_subcommand:
        return
    context: Context = click_context.obj
    with context.database.connect() as connection:
        found = maintenance.current(connection, time.time())
    if as_json:
        for window in found:
            show_json(msgspec.to_builtins(window))
        return
    rows = (
        (w.id, _for(w.customer, w.site, w.device, w.rule), *_next(w), w.repeats, w.timezone, w.owner, w.comment)
        for w in found
    )
    show_table(("ID", "FOR", "FROM", "TO", "REPEATS", "ZONE", "OWNER", "COMMENT"), rows)


@windows.command("add")
@click.option("--customer", required=True, help="For this customer.")
@click.option("--site", default="", help="Only at this site.")
@click.option("--device", default="", help="Only for this device (its host name).")
@click.option("--rule", default="", help="Only for this rule (its alertname).")
@click.option("--start", default="", help="YYYY-MM-DD HH:MM in the zone; by default now.")
@click.option("--for", "length", required=True, help="How long, such as 2h or 90m.")
@click.option("--repeat", default="", help="weekly:mon,thu or monthly:15 or monthly:2tue or monthly:-1sun.")
@click.option("--until", default="", help="YYYY-MM-DD: when it is repeated no more.")
@click.option("--zone", default="", help="By default that of the site, else UTC.")
@click.option("--comment", default="")
@click.pass_obj
def add_window(
    context: Context,
    customer: str,
    site: str,
    device: str,
    rule: str,
    start: str,
    length: str,
    repeat: str,
    until: str,
    zone: str,
    comment: str,
) -> None:
    """Open no ticket for a while, once or repeatedly; what still burns then opens, spread over five minutes."""
    zone = zone or _zone(context, customer, site)
    now = time.time()
    window = maintenance.Window(
        id=0,
        customer=customer,
        starts_at=_moment(start, zone) if start else now,
        seconds=_seconds(length),
        site=site,
        device=device,
        rule=rule,
        repeats=repeat,
        timezone=zone,
        ends_at=_moment(until, zone) if until else None,
        comment=comment,
        owner=getpass.getuser(),
        created_at=now,
    )
    with context.database.begin() as connection:
        click.echo(f"maintenance window {maintenance.add(connection, window).id}")


@windows.command("cancel")
@click.argument("number", type=int)
@click.pass_obj
def cancel_window(context: Context, number: int) -> None:
    """End a window now, or before it begins."""
    with context.database.begin() as connection:
        if not maintenance.cancel(connection, number, None, time.time()):
            raise RegisterError(f"There is no maintenance window {number} that could be cancelled.")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def silence(click_context: click.Context, as_json: bool) -> None:
    """Show the silences that are not over."""
    if click_context.invoked_subcommand:
        return
    context: Context = click_context.obj
    with context.database.connect() as connection:
        found = silences.current(connection, time.time())
    if as_json:
        for one in found:
            show_json(msgspec.to_builtins(one))
        return
    rows = (
        (
            *(s.id, s.customer or "all", " ".join(map(str, s.matchers))),
            *(when(s.starts_at), when(s.ends_at), s.owner, s.comment),
        )
        for s in found
    )
    show_table(("ID", "CUSTOMER", "MATCHERS", "FROM", "TO", "OWNER", "COMMENT"), rows)


@silence.command("add")
@click.argument("matchers", nargs=-1, required=True)
@click.option("--customer", default="", help="Only this customer's alerts; by default all.")
@click.option("--for", "length", required=True, help="How long, such as 2h or 3d.")
@click.option("--owner", default="", help="Who is asked when it is forgotten; by default you.")
@click.option("--comment", default="")
@click.pass_obj
def add_silence(
    context: Context, matchers: tuple[str, ...], customer: str, length: str, owner: str, comment: str
) -> None:
    """Open no ticket for alerts whose labels match all of MATCHERS, such as alertname=DiskFull instance=~db.*"""
    now = time.time()
    new = silences.Silence(
        id=0,
        customer=customer,
        matchers=tuple(map(silences.matcher, matchers)),
        starts_at=now,
        ends_at=now + _seconds(length),
        comment=comment,
        owner=owner or getpass.getuser(),
        created_at=now,
    )
    with context.database.begin() as connection:
        click.echo(f"silence {silences.add(connection, new).id}")


@silence.command("end")
@click.argument("number", type=int)
@click.pass_obj
def end_silence(context: Context, number: int) -> None:
    """End a silence now."""
    with context.database.begin() as connection:
        if not silences.cancel(connection, number, None, time.time()):
            raise RegisterError(f"There is no silence {number} that could be ended.")


def _for(customer: str, site: str, device: str, rule: str) -> str:
    return "/".join(part for part in (customer, site, device) if part) + (f" {rule}" if rule else "")


def _next(window: maintenance.Window) -> tuple[str, str]:
    stretches = maintenance.upcoming(window, time.time(), 1)
    return (when(stretches[0][0]), when(stretches[0][1])) if stretches else ("", "")


def _zone(context: Context, customer: str, site: str) -> str:
    _, sites = context.register.facts()
    mine = [one.timezone for one in sites if one.customer == customer and site in {"", one.site} and one.timezone]
    return mine[0] if mine else "UTC"


def _moment(text: str, zone: str) -> float:
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        raise RegisterError(f"{text!r} in {zone!r} is no time; it is written 2026-03-01 22:00.") from error


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise RegisterError(f"{text!r} is no length of time; it is written 90m or 2h30m.") from error
