"""`watchdesk backtest`: which incidents would these rules have made of these samples?"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

import click

from collector import remembered
from collector.backtest import Around, Backtest, Event
from collector.cli.context import Context, pass_context, show_json, show_table, when
from collector.errors import BacktestError
from collector.register.book import load
from rules import packs
from rules.backtest import Samples, read
from rules.durations import parse_duration
from ticketing.incident import Incident, to_json

_UNIT_TESTS: Final = re.compile(r"^(tests|rule_files):", re.MULTILINE)
_GROUPS: Final = re.compile(r"^groups:", re.MULTILINE)
_path = click.Path(path_type=Path)


def register(group: click.Group) -> None:
    """Add the command."""
    group.add_command(backtest)


def _seconds(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--rules", "rules", multiple=True, type=_path, help="A rule file, or a folder of them; may be repeated.")
@click.argument("more_rules", nargs=-1, type=_path)
@click.option("--samples", type=click.Path(allow_dash=True, path_type=Path), help="OpenMetrics text, or - for stdin.")
@click.option("--since", callback=_seconds, help="Instead of --samples, the collector's own history: 7d.")
@click.option("--register", "register_file", type=_path, help="Customers, sites and devices (YAML).")
@click.option("--thresholds", type=_path, help="A table of thresholds, as DATA/thresholds.yml.")
@click.option("--baselines", type=_path, help="A list of baselines, as DATA/baselines.yml.")
@click.option("--step", callback=_seconds, help="Evaluate each so often; by default when samples come.")
@click.option(
    "--liveness/--no-liveness",
    default=None,
    help="Make `up` of devices that do not send it, as the collector does; by default with the shipped rules.",
)
@click.option("--events", is_flag=True, help="Show each change instead of the incidents at the end.")
@click.option("--hidden", is_flag=True, help="Those too that were held back until they were over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def backtest(
    context: Context,
    rules: tuple[Path, ...],
    more_rules: tuple[Path, ...],
    samples: Path | None,
    since: float | None,
    register_file: Path | None,
    thresholds: Path | None,
    baselines: Path | None,
    step: float | None,
    liveness: bool | None,
    events: bool,
    hidden: bool,
    as_json: bool,
) -> None:
    """Show the incidents that rules would have made of recorded samples, in the time of the samples.

    Without --rules the shipped packs are used. Samples are OpenMetrics text, each with its timestamp, or Prometheus'
    text with timestamps in milliseconds.
    """
    if (samples is None) == (since is None):
        raise click.UsageError("Give either --samples FILE or --since DURATION.")
    files = _rules([*rules, *more_rules]) if rules or more_rules else packs.load()
    if since is not None:  # what the collector itself has
        thresholds = thresholds or _own(context, context.config.rules.thresholds)
        baselines = baselines or _own(context, context.config.rules.baselines)
    around = Around(
        book=load(_text(register_file), str(register_file)) if register_file else None,
        thresholds=(_text(thresholds), str(thresholds)) if thresholds else None,
        baselines=(_text(baselines), str(baselines)) if baselines else None,
        liveness=not (rules or more_rules) if liveness is None else liveness,
    )
    found = _samples(samples) if samples else _history(context, files, since or 0.0)
    run = Backtest(files, found, around, step=step)
    run.run()
    for problem in run.problems():
        click.echo(f"watchdesk: {problem}", err=True)
    if events:
        _show_events(list(run.events()), as_json=as_json)
    else:
        _show_incidents(run.incidents(hidden=hidden), as_json=as_json)


def _own(context: Context, name: str) -> Path | None:
    path = context.data / name
    return path if path.exists() else None


def _rules(paths: list[Path]) -> dict[str, str]:
    """Return the rule files, and those in the folders but for unit tests, by path."""
    files: dict[str, str] = {}
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.suffix in {".yml", ".yaml"}) if path.is_dir() else []
        found = {str(p): _text(p) for p in inside or [path] if not path.is_dir() or inside}
        tests = [p for p, text in found.items() if path.is_dir() and _UNIT_TESTS.search(text)]
        files |= {p: text for p, text in found.items() if p not in tests or _GROUPS.search(text)}
        if path.is_dir() and not files:
            raise BacktestError(f"{path} holds no rule files (*.yml).")
    return files


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BacktestError(f"{path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BacktestError(f"{path}: not UTF-8.") from error


def _history(context: Context, files: dict[str, str], since: float) -> Samples:
    now = time.time()
    wanted = remembered.metrics(files)
    return remembered.samples(context.data / "history", context.register.devices(), wanted, now - since, now)


def _samples(path: Path) -> Samples:
    if str(path) == "-":
        return _read(sys.stdin.buffer, "stdin")
    try:
        with path.open("rb") as stream:
            return _read(stream, str(path))
    except OSError as error:
        raise BacktestError(f"{path}: {error.strerror}.") from error


def _read(stream: BinaryIO, name: str) -> Samples:
    samples = read(stream, name)
    if len(samples) and not samples.whole:
        click.echo(f"watchdesk: {name} ends without # EOF; it may have been cut short.", err=True)
    return samples


def _show_incidents(found: list[Incident], *, as_json: bool) -> None:
    if as_json:
        for incident in found:
            show_json(to_json(incident))
        return
    rows = (
        (
            i.number,
            f"P{i.priority}",
            i.severity,
            i.state,
            _device(i),
            i.summary(),
            i.count,
            when(i.opened_at),
            when(i.recovered_at),
            when(i.resolved_at),
            f"INC-{i.parent}" if i.parent else "",
        )
        for i in found
    )
    head = ("NUMBER", "PRIO", "SEVERITY", "STATE", "DEVICE", "SUMMARY", "COUNT", "OPENED", "RECOVERED", "RESOLVED")
    show_table((*head, "PARENT"), rows)


def _show_events(found: list[Event], *, as_json: bool) -> None:
    if as_json:
        for event in found:
            show_json(event.to_json())
        return
    rows = (
        (
            when(e.at),
            e.incident.number,
            e.event,
            e.reason,
            e.incident.severity,
            _device(e.incident),
            e.incident.summary(),
        )
        for e in found
    )
    show_table(("TIME", "NUMBER", "EVENT", "WHY", "SEVERITY", "DEVICE", "SUMMARY"), rows)


def _device(incident: Incident) -> str:
    return ".".join(part for part in (incident.device, incident.site, incident.customer) if part) or "-"
