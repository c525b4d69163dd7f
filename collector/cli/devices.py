"""`watchdesk devices`: what is in the register."""

from __future__ import annotations

import dataclasses
import time

import click

from collector.cli.context import Context, show_json, show_table, when
from collector.errors import RegisterError


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
    found = context.register.devices(retired=retired)
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
    device = context.register.device_by_instance(instance)
    if device is None:
        raise RegisterError(f"There is no device {instance} in the register.")
    context.register.retire(device.id, time.time())
