"""`watchdesk devices`: what is in the register, what hangs on what, and the register as a file."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from collector.cli.context import Context, show_json, show_table, when
from collector.discovery.approval import approve as approved
from collector.discovery.candidates import Candidates
from collector.errors import RegisterError
from collector.register import OWN, Device, book
from collector.register.sites import slug


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(devices)


@click.group(invoke_without_command=True)
@click.option("--all", "retired", is_flag=True, help="The retired ones, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def devices(click_context: click.Context, retired: bool, as_json: bool) -> None:
    """Show the devices of the register."""
    if click_context.invoked_subcommand:
        return
    context: Context = click_context.obj
    found = [device for device in context.register.devices(retired=retired) if retired or device.origin != OWN]
    if as_json:
        for device in found:
            record = {**dataclasses.asdict(device), "instance": device.instance}
            record["class"] = record.pop("kind")
            show_json(record)
        return
    rows = ((d.id, d.instance, d.kind, d.role, d.os, when(d.enrolled_at), when(d.retired_at)) for d in found)
    show_table(("ID", "INSTANCE", "CLASS", "ROLE", "OS", "ENROLLED", "RETIRED"), rows)


@devices.command()
@click.argument("instance")
@click.pass_obj
def retire(context: Context, instance: str) -> None:
    """Take a device out of the register (host.site.customer): its token is refused from now on."""
    context.register.retire(_found(context, instance).id, time.time())


@devices.command()
@click.argument("name")
@click.option("--customer", required=True)
@click.option("--site", required=True)
@click.option("--class", "kind", type=click.Choice(book.CLASSES), default="network", show_default=True)
@click.option("--role", default="")
@click.option("--address", required=True, help="The IP address or host name at which it is polled.")
@click.option("--port", type=click.IntRange(1, 65535), default=161, show_default=True, help="Of its SNMP agent.")
@click.option("--tcp", multiple=True, type=click.IntRange(1, 65535), help="A TCP port to watch, or several.")
@click.option("--no-snmp", is_flag=True, help="Only see whether it can be reached.")
@click.pass_obj
def add(context: Context, /, name: str, customer: str, site: str, **how: Any) -> None:
    """Put a device without an agent into the register: a switch, a UPS, a printer. It is polled at its address."""
    instance = f"{slug(name)}.{slug(site)}.{slug(customer)}"
    if context.register.device_by_instance(instance) is not None:
        raise RegisterError(f"There is a device {instance} in the register already.")
    polling = {"port": how["port"], "tcp": list(how["tcp"]), "snmp": not how["no_snmp"]}
    entry = {"class": how["kind"], "role": how["role"], "address": how["address"], "polling": polling}
    text = msgspec.json.encode({"devices": {instance: entry}}).decode()
    context.register.take_over(book.load(text, "the options"), time.time())
    click.echo(instance)


@devices.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def take_over(context: Context, file: Path) -> None:
    """Bring what a YAML file says of sites and devices into the register: parents, services, people, contacts.

    What is not there yet is made; what the file does not name stays. All of the file, or nothing.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RegisterError(f"{file} cannot be read: {error}.") from error
    content = book.load(text, str(file))
    context.register.take_over(content, time.time())
    click.echo(f"{len(content.devices)} devices and {len(content.sites)} sites are in the register as {file} says.")


@devices.command()
@click.pass_obj
def export(context: Context) -> None:
    """Print all sites and devices as the YAML file that `import` takes."""
    click.echo(context.register.export(), nl=False)


@devices.command("map")
@click.option("--customer", help="Only this customer's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def show_map(context: Context, customer: str | None, as_json: bool) -> None:
    """Show what hangs on what, on which port, and how that is known."""
    found = {one.instance: one for one in context.register.devices() if customer in (None, one.customer)}
    above = {name: context.register.parent(one.id) for name, one in found.items()}
    if as_json:
        for name, one in found.items():
            parent = above[name]
            show_json({"device": name, "class": one.kind, **(dataclasses.asdict(parent) if parent else {})})
        return
    children: dict[str, list[str]] = {}
    for name, parent in above.items():
        children.setdefault(parent.parent if parent and parent.parent in found else "", []).append(name)
    waiting = [(name, 0) for name in reversed(children.get("", []))]
    while waiting:
        name, depth = waiting.pop()
        parent = above[name]
        how = f"  {parent.port} ({parent.how}: {parent.evidence})" if parent and depth else ""
        click.echo(f"{'  ' * depth}{name}{how}")
        waiting += [(child, depth + 1) for child in reversed(children.get(name, []))]


@devices.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def candidates(click_context: click.Context, as_json: bool) -> None:
    """Show the machines that were seen on a site's networks and are not in the register."""
    if click_context.invoked_subcommand:
        return
    found = Candidates(click_context.obj.database).all()
    if as_json:
        for one in found:
            show_json(dataclasses.asdict(one))
        return
    show_table(
        ("ID", "STATE", "SITE", "ADDRESS", "MAC", "MAKER", "NAMES", "PORTS", "WHERE", "LAST SEEN"),
        (
            (
                *(c.id, c.state, f"{c.site}.{c.customer}", c.address, c.mac, c.maker),
                *(" ".join(c.names), " ".join(map(str, c.ports)), c.where, when(c.last_seen)),
            )
            for c in found
        ),
    )


@candidates.command()
@click.argument("number", type=int)
@click.argument("name")
@click.option("--class", "kind", type=click.Choice(book.CLASSES), default="network", show_default=True)
@click.pass_obj
def approve(context: Context, number: int, name: str, kind: str) -> None:
    """Put a candidate into the register under NAME; it is polled at its address."""
    click.echo(approved(Candidates(context.database), context.register, number, name, kind, time.time()))


@candidates.command()
@click.argument("number", type=int)
@click.argument("decision", type=click.Choice(["denied", "ignored", "new"]))
@click.pass_obj
def mark(context: Context, number: int, decision: str) -> None:
    """Mark a candidate as denied (it does not belong there) or ignored, or as new again."""
    Candidates(context.database).decide(number, decision)


@devices.command("set-parent")
@click.argument("instance")
@click.argument("parent", required=False)
@click.option("--port", default="", help="Where on the parent it is plugged in, such as Gi0/3.")
@click.pass_obj
def set_parent(context: Context, instance: str, parent: str | None, port: str) -> None:
    """Say what a device hangs on, such as its switch; without PARENT, that it hangs on nothing.

    What a person says here, nothing that is found out by itself changes again.
    """
    above = None if parent is None else _found(context, parent).id
    context.register.set_parent(_found(context, instance).id, above, port=port, now=time.time())


@devices.command()
@click.argument("instance")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_obj
def show(context: Context, instance: str, as_json: bool) -> None:
    """Show all that the register knows of a device."""
    device = _found(context, instance)
    facts, sites = context.register.facts()
    known = facts[device.id]
    parent = context.register.parent(device.id)
    site = next((site for site in sites if (site.customer, site.site) == (device.customer, device.site)), None)
    record: dict[str, object] = {"id": device.id, **msgspec.to_builtins(known)}
    record["class"] = record.pop("klass")
    record |= {"os": device.os, "enrolled_at": device.enrolled_at}
    record["parent"] = None if parent is None else dataclasses.asdict(parent)
    record["children"] = sorted(other.instance for other in facts.values() if other.parent == known.instance)
    record["people_at_site"] = 0 if site is None else site.people
    record["contact"] = None if site is None else msgspec.to_builtins(site.contact)
    if as_json:
        show_json(record)
        return
    show_table(("WHAT", ""), ((name, _shown(value)) for name, value in record.items()))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text}" for name, text in value.items() if text not in {"", None})
    if isinstance(value, list | tuple):
        return "; ".join(_shown(one) for one in value)
    return "" if value is None else str(value)


def _found(context: Context, instance: str) -> Device:
    device = context.register.device_by_instance(instance)
    if device is None:
        raise RegisterError(f"There is no device {instance} in the register.")
    return device
