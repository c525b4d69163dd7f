"""`watchdesk snmp`: credentials, profiles, and SNMP by hand."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

import click

from collector.cli.context import Context, show_json, show_table, when
from collector.register.sites import slug
from collector.snmp import byhand
from collector.snmp.byhand import Target
from collector.snmp.ciphers import AUTHS, PRIVS
from collector.snmp.credential import VERSIONS, fitting, speaker
from collector.snmp.errors import CredentialError
from collector.snmp.known import Known
from collector.snmp.profile import FOLDER, Profiles
from collector.snmp.usm import User
from collector.snmp.vault import Vault

Value = TypeVar("Value")


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(snmp)


@click.group()
def snmp() -> None:
    """Poll network gear: credentials, profiles, and questions by hand."""


@dataclass(frozen=True, slots=True)
class _Options:
    """How a device is spoken with, as the options say."""

    version: str
    community: str
    user: str
    auth: str
    auth_password: str
    priv: str
    priv_password: str
    context: str
    port: int
    timeout: float

    @property
    def secret(self) -> bytes | User:
        if self.version != "3":
            return self.community.encode()
        auth_password = self.auth_password or (_ask("Authentication password") if self.auth else "")
        priv_password = self.priv_password or (_ask("Privacy password") if self.priv else "")
        return User(self.user, self.auth, auth_password, self.priv, priv_password, self.context)


def _ask(what: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(click.prompt(what, hide_input=True))


def _spoken(command: Any) -> Any:
    """Add the options that say how to speak with a device; the command gets them as `options`."""

    def wrapped(**arguments: Any) -> Any:
        names = _Options.__dataclass_fields__
        options = _Options(**{name: arguments.pop(name) for name in names})
        return command(options=options, **arguments)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(
        (
            click.option("-v", "version", type=click.Choice(VERSIONS), default="2c", show_default=True),
            click.option("-c", "--community", envvar="WATCHDESK_COMMUNITY", default="public", show_default=True),
            click.option("-u", "--user", default="", help="SNMPv3: the user."),
            click.option("-a", "--auth", type=click.Choice(["", *AUTHS]), default="", help="SNMPv3: how he is known."),
            click.option("--auth-password", envvar="WATCHDESK_AUTH_PASSWORD", default="", help="Else asked for."),
            click.option("-x", "--priv", type=click.Choice(["", *PRIVS]), default="", help="SNMPv3: the cipher."),
            click.option("--priv-password", envvar="WATCHDESK_PRIV_PASSWORD", default="", help="Else asked for."),
            click.option("--context", default="", help="SNMPv3: the context."),
            click.option("--port", type=click.IntRange(1, 65535), default=161, show_default=True),
            click.option("--timeout", type=click.FloatRange(0.1, 60), default=2.0, show_default=True),
        )
    ):
        wrapped = option(wrapped)
    return wrapped


def _target(host: str, options: _Options) -> Target:
    return Target(host, options.port, speaker(options.version, options.secret, SystemRandom()), options.timeout)


def _run(work: Coroutine[Any, Any, Value]) -> Value:
    return asyncio.run(work)


def _profiles(context: Context) -> Profiles:
    return Profiles.load(FOLDER, context.data / context.config.snmp.profiles)


@snmp.command()
@click.argument("host")
@click.argument("oids", nargs=-1, required=True)
@_spoken
def get(host: str, oids: tuple[str, ...], options: _Options) -> None:
    """Ask HOST for single objects, such as 1.3.6.1.2.1.1.1.0 or sysDescr.0."""
    for line in _run(byhand.get(_target(host, options), oids)):
        click.echo(line)


@snmp.command()
@click.argument("host")
@click.argument("oid", default="1.3.6.1.2.1")
@click.option("--snmprec", is_flag=True, help="As a recording that profiles can be tried on (snmpsim's form).")
@_spoken
def walk(host: str, oid: str, snmprec: bool, options: _Options) -> None:
    """Show all that HOST has below an OID."""
    lines, problem = _run(byhand.walk(_target(host, options), oid, recording=snmprec))
    for line in lines:
        click.echo(line)
    if problem:
        click.echo(f"watchdesk: {problem}", err=True)
        sys.exit(1)


@snmp.command()
@click.argument("where")
@_spoken
@click.pass_obj
def test(context: Context, where: str, options: _Options) -> None:
    """Say whether a device answers, what it is, and how fast: a host, or a device of the register.

    For a device of the register (host.site.customer) its credentials are tried, each once.
    """
    device = None
    if where.count(".") == 2 and (context.data / "watchdesk.yml").parent.exists():
        device = next((one for one in context.register.polled() if one.device.instance == where), None)
    if device is None:
        facts = _run(byhand.test([("as given", _target(where, options))], _profiles(context)))
    else:
        own = device.device
        fit = fitting(Vault(context.database, context.data).all(), own.customer, own.site, device.polling.credential)
        if not fit:
            raise CredentialError(f"{own.customer} has no credential that fits {where}.")
        targets = [
            (one.name, Target(device.address, device.polling.port, one.speaker(SystemRandom()), options.timeout))
            for one in fit
        ]
        facts = _run(byhand.test(targets, _profiles(context)))
    show_table(("WHAT", ""), facts.items())
    sys.exit(0 if "answers" in facts else 1)


@snmp.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def devices(context: Context, as_json: bool) -> None:
    """Show the devices that are polled: what they are, and what is wrong."""
    known = Known(context.database, context.data).all()
    rows = []
    for one in context.register.polled():
        row = known.get(one.device.id)
        profile, name, problem = (row.profile, row.name, row.problem) if row else ("", "", "")
        if as_json:
            record = {"instance": one.device.instance, "address": one.address, "profile": profile, "sysName": name}
            show_json({**record, "problem": problem, "at": row.at if row else None})
        rows.append((one.device.instance, one.address, profile, name, problem, when(row.at if row else None)))
    if not as_json:
        show_table(("INSTANCE", "ADDRESS", "PROFILE", "SYSNAME", "PROBLEM", "SINCE"), rows)


@snmp.group()
def profile() -> None:
    """The families of devices that are known."""


@profile.command("list")
@click.pass_obj
def list_profiles(context: Context) -> None:
    """Show the profiles."""
    found = _profiles(context).by_name.values()
    rows = ((one.name, one.title, one.klass, " ".join(one.inherits), " ".join(one.match.objects)) for one in found)
    show_table(("NAME", "TITLE", "CLASS", "INHERITS", "SYSOBJECTID"), rows)


@profile.command("test")
@click.argument("source")
@click.option("--profile", "name", default="", help="This profile; by default the one that fits the device.")
@_spoken
@click.pass_obj
def test_profile(context: Context, source: str, name: str, options: _Options) -> None:
    """Show the series that a device gives: SOURCE is a host, or the file of a recording (.snmprec)."""
    profiles = _profiles(context)
    if Path(source).is_file():
        found = byhand.read_recording(Path(source), profiles, name)
    else:
        found = _run(byhand.try_profile(_target(source, options), profiles, name))
    click.echo(f"# profile {found.profile}: {found.title}; {len(found.series)} series", err=True)
    for line in found.series:
        click.echo(line)
    if found.problem:
        click.echo(f"watchdesk: {found.problem}", err=True)
        sys.exit(1)


@snmp.group(invoke_without_command=True)
@click.pass_context
def credentials(click_context: click.Context) -> None:
    """Show the credentials of all customers, without what is secret."""
    if click_context.invoked_subcommand:
        return
    context: Context = click_context.obj
    rows = (
        (one.name, one.customer, one.site or "(all)", one.version, _shown(one.secret))
        for one in Vault(context.database, context.data).all()
    )
    show_table(("NAME", "CUSTOMER", "SITE", "VERSION", "WHAT"), rows)


def _shown(secret: bytes | User) -> str:
    return " ".join(filter(None, (secret.name, secret.auth, secret.priv))) if isinstance(secret, User) else "community"


@credentials.command()
@click.argument("name")
@click.option("--customer", required=True)
@click.option("--site", default="", help="For this site alone.")
@_spoken
@click.pass_obj
def add(context: Context, name: str, customer: str, site: str, options: _Options) -> None:
    """Keep a community (-v 2c -c …) or a user (-v 3 -u … -a … -x …); encrypted with the key in the data folder."""
    vault = Vault(context.database, context.data)
    vault.add(name, customer, site, options.version, options.secret, now=time.time())


@credentials.command()
@click.argument("name")
@click.option("--customer", required=True)
@click.pass_obj
def remove(context: Context, name: str, customer: str) -> None:
    """Forget a credential."""
    Vault(context.database, context.data).remove(name, slug(customer))
