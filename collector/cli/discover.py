"""`watchdesk discover`: what a sweep would send, and a sweep by hand."""

from __future__ import annotations

import asyncio

import click

from collector.cli.context import Context, show_table
from collector.discovery.makers import maker
from collector.discovery.ports import ports
from collector.discovery.said import Problem, Seen, Swept
from collector.discovery.sweeps import areas, helper
from collector.discovery.task import Task, plan, words
from collector.errors import RegisterError


def register(group: click.Group) -> None:
    """Add the command."""
    group.add_command(discover)


@click.command()
@click.argument("sites", nargs=-1)
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would be sent; send nothing.")
@click.option("--rate", type=click.FloatRange(1, 1000), help="Packets a second; by default as configured.")
@click.pass_obj
def discover(context: Context, sites: tuple[str, ...], only_plan: bool, rate: float | None) -> None:
    """Look once for the machines on the networks of SITES (SITE.CUSTOMER), as the register names them.

    Without SITES, for those of `discovery.sites`. This machine must be connected to them, and it takes CAP_NET_RAW.
    """
    settings = context.config.discovery
    wanted = list(sites) or settings.sites
    named = areas(context.register, wanted)
    if not named:
        raise RegisterError(
            "No network is named: give SITE.CUSTOMER (or `discovery: {sites: [SITE.CUSTOMER]}` in the configuration), "
            "and `networks:` of the site in the file for `watchdesk devices import`."
        )
    pace = rate or settings.rate
    for line in words(plan(named, ports()), pace):
        click.echo(line)
    if only_plan:
        tried = ", ".join(map(str, settings.ports)) or "none"
        click.echo(f"by the collector, once to each machine found that is not in the register: TCP ports {tried},")
        click.echo("and a question for its name to this machine's name server; listening sends nothing")
    else:
        asyncio.run(_sweep(Task(named, pace, 0, settings.listen, [], settings.scapy)))


async def _sweep(task: Task) -> None:
    found: dict[tuple[str, str], Seen] = {}
    async with helper(task) as (said, _):
        async for what in said:
            if isinstance(what, Seen):
                found[what.address, what.mac] = what
            elif isinstance(what, Problem):
                click.echo(what.text, err=True)
            elif isinstance(what, Swept):
                click.echo(f"{what.packets} packets in {what.seconds:.1f} s; {what.answered} addresses answered")
    rows = ((one.site, one.address, one.mac, maker(one.mac), one.how, " ".join(one.names)) for one in found.values())
    show_table(("SITE", "ADDRESS", "MAC", "MAKER", "HOW", "NAMES"), sorted(rows))
