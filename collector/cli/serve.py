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
from collector.logs import Format, log_to_stderr
from collector.notify import keep_alive, notify
from collector.tuning import calm_collector
from collector.up import Up

_LOG = logging.getLogger(__name__)


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
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar="WATCHDESK_LOG_FORMAT",
    default="text",
    show_default=True,
    help="What the lines on stderr look like.",
)
@pass_context
def serve(context: Context, port: int | None, ingest: int | None, log_format: Format) -> None:
    """Run the collector until it is told to stop (SIGTERM, Ctrl-C). SIGHUP looks at the rule files anew."""
    log_to_stderr(logging.INFO, log_format)

    async def work(stop: asyncio.Event) -> None:
        config = _config(context, port)
        if ingest is not None:
            agents = msgspec.structs.replace(config.agents, processes=ingest)
            config = msgspec.structs.replace(config, agents=agents)
        collector = Collector(context.data, config, log_format=log_format)
        await collector.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, collector.reload_rules)
        _LOG.info("Watchdesk is at %s, agents report to %s", collector.runtime.web, collector.runtime.agents)
        notify("READY=1")
        alive = asyncio.create_task(keep_alive(notify))
        await stop.wait()
        alive.cancel()
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
    log_to_stderr(logging.WARNING)

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
