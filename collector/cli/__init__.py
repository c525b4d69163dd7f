"""`watchdesk`: a command group; the other files add its commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agent import __version__
from collector.cli.lazy import Lazy
from collector.errors import CollectorError
from rules.errors import RuleError
from ticketing.errors import TicketingError

DEFAULT_DATA = ".watchdesk"


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="WATCHDESK_DATA",
    default=DEFAULT_DATA,
    show_default=True,
    help="The folder where everything is kept.",
)
@click.version_option(__version__, prog_name="watchdesk")
@click.pass_context
def watchdesk(context: click.Context, data: Path) -> None:
    """Watch the machines of your customers, and have their faults as tickets.

    `watchdesk up` starts everything on this machine; `watchdesk drill disk-full` shows what happens then.
    """
    from collector.cli.context import Context

    context.obj = Context(data)


def main() -> None:
    """Run the command; an expected failure is one sentence on stderr and exit status 1."""
    try:
        watchdesk(prog_name="watchdesk")
    except (CollectorError, RuleError, TicketingError) as error:
        click.echo(f"watchdesk: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # `watchdesk incidents | head`
        sys.stderr.close()
        sys.exit(1)
