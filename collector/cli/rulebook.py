"""`watchdesk rules`: check and try rule files without a collector, and ask a collector why an alert fires."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from collector.cli.context import Context, pass_context
from collector.cli.local import ask
from collector.errors import NotRunningError
from collector.knownmetrics import Known
from rules import unittest
from rules.check import Checked, Finding
from rules.check import check as check_rules

FAILED, LINT = 1, 3  # promtool's exit codes


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(rules)


@click.group()
def rules() -> None:
    """Check rule files, run their unit tests, and ask why an alert fires or does not."""


_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


@rules.command()
@_files
@click.option("--cost", is_flag=True, help="Show what each rule needs.")
@click.option("--lint-fatal", is_flag=True, help="Fail (exit status 3) where two rules are alike.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def check(context: Context, files: tuple[Path, ...], cost: bool, lint_fatal: bool, as_json: bool) -> None:
    """Say what is wrong with rule files, what they read that nobody sends, and what they cost.

    The exit status is 1 if one of them cannot be loaded, else 0. If a collector runs on the data folder, what it has
    counts as sent, and the cost is that of its series.
    """
    texts, unread = _texts(files)
    found = check_rules(texts, Known(_running(context)))
    found = Checked((*unread, *found.findings), found.costs, found.groups, found.rules)
    if as_json:
        click.echo(found.to_json())
    else:
        _show(found, cost=cost)
    alike = any(finding.level == "warning" and finding.alike for finding in found.findings)
    sys.exit(FAILED if not found.ok else LINT if alike and lint_fatal else 0)


def _texts(files: tuple[Path, ...]) -> tuple[dict[str, str], list[Finding]]:
    """Return the files that can be read, and what is wrong with the others; a folder stands for the *.yml in it."""
    texts: dict[str, str] = {}
    unread: list[Finding] = []
    for path in files:
        inside = sorted(p for p in path.iterdir() if p.suffix in {".yml", ".yaml"}) if path.is_dir() else [path]
        for file in inside:
            try:
                texts[str(file)] = file.read_text(encoding="utf-8")
            except OSError as error:
                unread.append(Finding("error", str(file), 0, str(error.strerror)))
            except UnicodeDecodeError:
                unread.append(Finding("error", str(file), 0, "not UTF-8"))
    return texts, unread


def _running(context: Context) -> dict[str, int]:
    """Return the metrics of the collector that runs on the data folder; none if none does."""
    try:
        answer: dict[str, int] = ask(context.data, "/local/metrics")["metrics"]
    except NotRunningError:
        return {}
    return answer


def _show(found: Checked, *, cost: bool) -> None:
    for finding in found.findings:
        click.echo(str(finding), err=finding.level == "error")
    if cost:
        for each in found.costs:
            click.echo(f"{each.file}:{each.line}: {each}")
    click.echo(f"{found.rules} rules in {found.groups} groups" if found.ok else "refused", err=not found.ok)


@rules.command()
@_files
def test(files: tuple[Path, ...]) -> None:
    """Run unit tests in promtool's format; the exit status is 1 if one fails."""
    report = unittest.run(files)
    click.echo(str(report))
    sys.exit(report.code)


@rules.command()
@click.argument("alert")
@click.option("--device", required=True, help="host.site.customer, or the beginning of it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def explain(context: Context, alert: str, device: str, as_json: bool) -> None:
    """Tell why ALERT fires for a device or does not: each part of its expression with its value now.

    It asks the collector that runs on the data folder.
    """
    answer = ask(context.data, "/local/explain", alert=alert, device=device)
    if as_json:
        click.echo(json.dumps(answer["explanations"], ensure_ascii=False))
    else:
        click.echo(f"{answer['device']}\n\n{answer['text']}")
