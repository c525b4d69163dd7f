"""`watchdesk diagnose`: examine a device from the desk, with live progress."""

from __future__ import annotations

import getpass
import sys
import time
from typing import Any, Final

import click
import msgspec

from collector.cli.context import Context, pass_context, show_json, show_table
from collector.cli.found import show_found
from collector.cli.local import ask, tell
from ticketing.clean import line
from ticketing.diagnosis.asked import OVER, State
from ticketing.diagnosis.catalogue import Argument, load
from ticketing.diagnosis.telling import outcome
from ticketing.errors import Refused

POLL_SECONDS: Final = 0.2
_FAILED: Final = 2  # the exit status where nothing was found out


def register(group: click.Group) -> None:
    """Add the command."""
    group.add_command(diagnose)


@click.command()
@click.argument("device", required=False)
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1)
@click.option("--ticket", default="", help="The incident that it is for, such as INC-12: the finding is added to it.")
@click.option("--timeout", type=click.FloatRange(1, 3600), default=900.0, help="Seconds to wait for the result.")
@click.option("--json", "as_json", is_flag=True, help="The whole result as one JSON object.")
@pass_context
def diagnose(
    context: Context,
    device: str | None,
    name: str | None,
    arguments: tuple[str, ...],
    ticket: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Examine DEVICE: NAME is a diagnosis, each of ARGUMENTS is written name=value.

    Without NAME, shows which there are. What may be looked at is decided by the policy on the device; its user may be
    asked first. Ends with 2 if it was refused, denied, or not answered in time.
    """
    if not device or not name:
        _show_catalogue()
        return
    wish = {"device": device, "name": name, "ticket": ticket, "by": f"person:{getpass.getuser()}"}
    asked = tell(context.data, "/local/diagnose", {**wish, "arguments": _pairs(arguments)})
    found = _follow(context, str(asked["id"]), timeout, quiet=as_json)
    if as_json:
        show_json(found)
    elif found["state"] == State.DONE:
        click.echo(line(found["finding"]) or "Nothing was found.")
        if found["data"] is not None:
            show_found(found["data"])
    sys.exit(0 if found["state"] == State.DONE else _FAILED)


def _follow(context: Context, uid: str, timeout: float, *, quiet: bool) -> dict[str, Any]:
    """Show how it gets on until it is over, or the time is."""
    deadline = time.monotonic() + timeout
    shown = ""
    while True:
        found = ask(context.data, "/local/diagnosis", id=uid)
        if found["state"] != shown and not quiet:
            shown = found["state"]
            click.echo(f"{found['device']}: {outcome(shown, found['reason'], 'en')}", err=True)
        if found["state"] in OVER:
            return found
        if time.monotonic() > deadline:
            raise Refused(f"No result within {timeout:.0f} s; it goes on, and is shown on the page of the device.")
        time.sleep(POLL_SECONDS)


def _pairs(words: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier() or key in found:
            raise click.UsageError(f"{word!r} is no argument; each is written name=value, once.")
        found[key] = value
    return found


def _show_catalogue() -> None:
    rows = [
        (one.name, one.privacy, " ".join(_shown(name, argument) for name, argument in one.arguments.items()))
        for one in load().all()
    ]
    show_table(("NAME", "PRIVACY", "ARGUMENTS"), rows)


def _shown(name: str, argument: Argument) -> str:
    if argument.default is msgspec.UNSET:
        return f"{name}=…"
    return f"[{name}={argument.default}]"
