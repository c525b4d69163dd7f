"""`watchdesk replay`: evaluate the log again, and show that the same comes out."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from collector.cli.context import Context, pass_context, show_json, show_table, when
from collector.errors import StartError
from collector.pipeline import CONSUMER
from collector.replay import replay


def register(group: click.Group) -> None:
    """Add the command."""
    group.add_command(replay_command)


@click.command("replay")
@click.option("--log", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A copy of the log.")
@click.option("--until", type=click.IntRange(1), help="The last record; by default the last that has had its effect.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def replay_command(context: Context, log: Path | None, until: int | None, as_json: bool) -> None:
    """Evaluate the log again, in memory, and compare: the state bit for bit, and the incidents with the database.

    From nothing, where the log still has its beginning; put down and taken up halfway; and from the snapshot. Nothing
    is changed; a collector may run meanwhile. Exit status 1 if anything differs.
    """
    store, snapshot = context.store, context.data / "state.snapshot"
    last = store.position(CONSUMER) if until is None else until
    try:
        report = replay(
            log or context.data / "log",
            until=last,
            snapshot=snapshot.read_bytes() if snapshot.exists() else None,
            store=store if until is None else None,
        )
    except ValueError as error:
        raise StartError(f"The snapshot {snapshot} cannot be used: {error}.") from error
    if as_json:
        show_json({**dataclasses.asdict(report), "same": report.same})
    else:
        show_table(
            ("EVALUATED", "FROM RECORD", "RECORDS", "STATE (SHA-256)"),
            ((run.name, run.first, run.records, run.digest) for run in report.runs),
        )
        if not report.whole:
            click.echo("The log has lost its beginning (it is kept up to log.max_bytes): incidents are not compared.")
        else:
            click.echo(f"{report.incidents} incidents, as in the database." if report.same else "They differ:")
        for word, found in (("only in the database", report.missing), ("only in the replay", report.surplus)):
            for customer, key, opened in found:
                click.echo(f"  {word}: {customer} {key}, opened {when(opened)}")
        if report.lost_bytes or report.lost_records:
            click.echo(f"Damage passed over: {report.lost_bytes} bytes, {report.lost_records} records.")
    if not report.same:
        sys.exit(1)
