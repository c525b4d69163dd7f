"""`watchdesk serve` and `watchdesk up`: the collector alone, and everything on this machine."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec

from collector.cli.context import Context, pass_context
from collector.collector import Collector
from collector.config import Config, with_ports
from collector.errors import CollectorError
from collector.notify import notify
from collector.tuning import calm_collector
from collector.up import Up


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(serve)
    group.add_command(up)


_port = click.option(
    "--port", type=click.IntRange(1, 65534), help="Where the pages are; agents report on the port after it."
)


@click.command()
@_port
@click.option(
    "--ingest", type=click.IntRange(0, 32), help="How many processes receive beside the main one; 0: none, it does."
)
@pass_context
def serve(context: Context, port: int | None, ingest: int | None) -> None:
    """Run the collector until it is told to stop (SIGTERM, Ctrl-C). SIGHUP looks at the rule files anew."""
    _log_to_stderr(logging.INFO)

    async def work(stop: asyncio.Event) -> None:
        config = _config(context, port)
        if ingest is not None:
            agents = msgspec.structs.replace(config.agents, processes=ingest)
            config = msgspec.structs.replace(config, agents=agents)
        collector = Collector(context.data, config)
        await collector.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, collector.reload_rules)
        click.echo(f"Watchdesk is at {collector.runtime.web}, agents report to {collector.runtime.agents}", err=True)
        notify("READY=1")
        await stop.wait()
        notify("STOPPING=1")
        await collector.stop()

    _run(work)


@click.command()
@_port
@pass_context
def up(context: Context, port: int | None) -> None:
    """Start Watchdesk on this machine: the collector, and an agent that watches this machine.

    The first start makes the database, the CA and an administrator, whose password is shown once.
    """
    _log_to_stderr(logging.WARNING)

    async def work(stop: asyncio.Event) -> None:
        started = Up(context, _config(context, port), say=click.echo)
        try:
            await started.start()
            await stop.wait()
        finally:
            await started.stop()

    _run(work)


def _config(context: Context, port: int | None) -> Config:
    return with_ports(context.config, port) if port else context.config


def _run(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run until SIGTERM or SIGINT sets the event."""

    broken: list[str] = []

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def end(failure: threading.ExceptHookArgs) -> None:
            """End when one of the threads does: half a collector looks well and is not."""
            threading.__excepthook__(failure)
            broken.append(failure.thread.name if failure.thread else "a thread")
            loop.call_soon_threadsafe(stop.set)

        threading.excepthook = end
        await work(stop)

    calm_collector()
    if sys.platform == "win32":
        asyncio.run(main())
    else:
        import uvloop

        uvloop.run(main())
    if broken:
        raise CollectorError(f"{broken[0]} failed, see above; all that was acknowledged is in the log.")


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
