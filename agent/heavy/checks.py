"""Checks that the configuration names: HTTP, TCP and ICMP, Nagios plugins, exporters on this machine.

check.NAME = http https://intranet/health
check.NAME = tcp mail.example:25
check.NAME = icmp 192.0.2.1
check.NAME = nagios /usr/lib/nagios/plugins/check_load -w 5 -c 10
check.NAME.interval = 60
exporter.NAME = http://127.0.0.1:9187/metrics
"""

from __future__ import annotations

import shlex
import time

from agent.events import Event
from agent.exposed import samples, series_of
from agent.heavy import asking
from agent.heavy.perfdata import perfdata, split_output
from agent.heavy.tools import NOT_FOUND, TIMED_OUT, Again, mapping, number
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

    Result = tuple[int, str, list[tuple[str, float]]]  # state, text, series

INTERVAL = 60.0
TIMEOUT = 10.0
MAX_TIMEOUT = 30.0
MAX_CHECKS = 50
OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = ("ok", "warning", "critical", "unknown")
LEVELS = ("info", "warning", "error", "warning")
USER = "nobody"
MAX_SERIES = 1_000  # of an exporter
MAX_TEXT = 64_000
OF_ITSELF = ("go_", "process_", "promhttp_", "python_")  # what an exporter tells of itself and not of what it watches


class Check:
    """What one line of the configuration asks for."""

    __slots__ = ("interval", "name", "timeout", "what")

    def __init__(self, name: str, what: str, interval: float, timeout: float) -> None:
        self.name = name
        self.what = what
        self.interval = interval
        self.timeout = timeout


def read(task: Task) -> Iterator[Found]:
    """Run the checks that are due; the others' values of last time are told again.

    Metrics:
        watchdesk_check_state (gauge): 0 ok, 1 warning, 2 critical, 3 unknown.
        watchdesk_check_duration_seconds (gauge): How long the check took.
        watchdesk_check_perfdata (gauge): A value of a plugin, in base units.
        watchdesk_check_perfdata_warning (gauge): The plugin's own threshold for a warning.
        watchdesk_check_perfdata_critical (gauge): The plugin's own threshold for critical.
        probe_success (gauge): Displays whether or not the probe was a success
        probe_duration_seconds (gauge): Returns how long the probe took to complete in seconds
        probe_http_status_code (gauge): Response HTTP status code
        probe_ssl_earliest_cert_expiry (gauge): Returns last SSL chain expiry in timestamp seconds
        watchdesk_check_loss_ratio (gauge): Share of the ICMP requests that were not answered.
        watchdesk_exporter_up (gauge): Whether the exporter answered.
        * (untyped): Metric of an exporter.
    """
    known = mapping(task.memory.get("checks"))
    kept: dict[str, object] = {}
    wanted = {"check." + one.name: one for one in listed(task, "check.")}
    wanted |= {"exporter." + one.name: one for one in listed(task, "exporter.")}
    for key, check in wanted.items():
        before = mapping(known.get(key))
        due = number(before.get("due")) or 0.0
        # After a jump of the clock nothing may be due in a year.
        if task.now < due <= task.now + check.interval:
            kept[key] = before
            continue
        state, text, series = run(task, key, check)
        if number(before.get("state", OK)) != state:
            level = LEVELS[state]
            yield Event("check", check.name, level, f"{WORDS[state]}: {text}", {"state": WORDS[state]}, task.now)
        kept[key] = {"due": round(task.now + check.interval), "state": state, "series": dict(series)}
    for entry in kept.values():
        for name, value in mapping(mapping(entry).get("series")).items():
            yield name, number(value) or 0.0
    task.memory["checks"] = {key: small(mapping(entry)) for key, entry in kept.items()}
    yield Again(min((one.interval for one in wanted.values()), default=INTERVAL))


def small(entry: dict[str, object]) -> dict[str, object]:
    """Return what is worth remembering: the memory goes over a command line."""
    series = mapping(entry.get("series"))
    return {**entry, "series": series if len(series) <= 20 else {}}


def listed(task: Task, prefix: str) -> list[Check]:
    """Return the checks of the configuration."""
    found = []
    for key, what in task.options.items():
        name = key[len(prefix) :]
        if not key.startswith(prefix) or name.rpartition(".")[2] in ("interval", "timeout"):
            continue
        interval = number(task.options.get(key + ".interval")) or INTERVAL
        timeout = number(task.options.get(key + ".timeout")) or TIMEOUT
        found.append(Check(name, what, interval, min(timeout, MAX_TIMEOUT)))
    return found[:MAX_CHECKS]


def run(task: Task, key: str, check: Check) -> Result:
    """Run one, and return what it found with its state and duration."""
    started = time.monotonic()
    if key.startswith("exporter."):
        state, text, series = exporter(check)
        series.append(("watchdesk_exporter_up" + labels(exporter=check.name), float(state == OK)))
        return state, text, series
    kind, _, what = check.what.partition(" ")
    runs = {"http": http, "tcp": tcp, "icmp": icmp, "nagios": nagios}
    state, text, series = runs[kind](task, check, what.strip())
    took = round(time.monotonic() - started, 4)
    label = labels(check=check.name)
    series.append(("watchdesk_check_state" + label, float(state)))
    series.append(("watchdesk_check_duration_seconds" + label, took))
    if kind != "nagios":
        series.append(("probe_success" + label, float(state == OK)))
        series.append(("probe_duration_seconds" + label, took))
    return state, text, series


def http(_task: Task, check: Check, url: str) -> Result:
    """Answered with 2xx or 3xx, over TLS with a certificate that holds, is good."""
    label = labels(check=check.name)
    try:
        answer = asking.get(url, check.timeout)
    except (OSError, ValueError) as error:
        return CRITICAL, str(error)[:500], []
    series = [("probe_http_status_code" + label, float(answer.status))]
    if answer.not_after is not None:
        series.append(("probe_ssl_earliest_cert_expiry" + label, answer.not_after))
    return (OK if 200 <= answer.status < 400 else CRITICAL), f"{url} answered {answer.status}", series


def tcp(_task: Task, check: Check, where: str) -> Result:
    """A connection is good."""
    host, _, port = where.rpartition(":")
    try:
        asking.connect(host.strip("[]"), int(port), check.timeout)
    except (OSError, ValueError) as error:
        return CRITICAL, f"{where}: {error}"[:500], []
    return OK, f"{where} takes connections", []


def icmp(task: Task, check: Check, where: str) -> Result:
    """One answer of three is good."""
    told = asking.ping(task.command, where, check.timeout)
    if told is None:
        return UNKNOWN, "there is no ping on this machine", []
    loss, seconds = told
    label = labels(check=check.name)
    series = [("watchdesk_check_loss_ratio" + label, loss)]
    if seconds is not None:
        series.append(("probe_icmp_duration_seconds" + label, seconds))
    return (CRITICAL if loss >= 1 else OK), f"{where}: {100 * loss:.0f} % lost", series


def nagios(task: Task, check: Check, command: str) -> Result:
    """The exit code is the state; what follows the bar is numbers."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return UNKNOWN, f"the command cannot be read: {error}", []
    told = task.command(words, timeout=check.timeout, user=task.options.get("checks.user", USER), limit=MAX_TEXT)
    if told.code == NOT_FOUND:
        return UNKNOWN, f"there is no {words[0]}, or no user to run it as", []
    if told.code == TIMED_OUT:
        return UNKNOWN, f"no answer within {check.timeout:g} s", []
    said, data = split_output(told.text)
    series = []
    for value in perfdata(data):
        label = labels(check=check.name, label=value.label, **({"unit": value.unit} if value.unit else {}))
        series.append(("watchdesk_check_perfdata" + label, value.value))
        for name, limit in (("warning", value.warning), ("critical", value.critical)):
            if limit is not None:
                series.append((f"watchdesk_check_perfdata_{name}{label}", limit))
    return (told.code if OK <= told.code <= UNKNOWN else UNKNOWN), said.partition("\n")[0][:1_000], series


def exporter(check: Check) -> Result:
    """Its series, with a label that names it; bounded, and without what it tells of itself."""
    series: list[tuple[str, float]] = []
    try:
        answer = asking.get(check.what, check.timeout)
        if answer.status != 200:
            return CRITICAL, f"{check.what} answered {answer.status}", []
        for name, told, value in samples(answer.body.decode("utf-8", "replace"), MAX_SERIES):
            if not name.startswith(OF_ITSELF):
                series.append((series_of(name, {**told, "exporter": check.name}), value))
    except (OSError, ValueError) as error:
        return CRITICAL, f"{check.what}: {error}"[:500], series
    return OK, f"{len(series)} series", series
