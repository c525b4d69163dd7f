"""Looks at a collector's folder, configuration and surroundings for what is wrong, and says what to do."""

from __future__ import annotations

import http.client
import shutil
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import yaml
from cryptography import x509
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from collector.config import FILE_NAME, Config, load
from collector.errors import ConfigError
from collector.log import Reader
from collector.log.segments import segments
from collector.rulefiles import RuleFiles
from collector.runtime import Runtime
from ticketing.database import connect

Level = Literal["ok", "warning", "error"]

LOW_BYTES: Final = 2 << 30
FULL_BYTES: Final = 200 << 20
EXPIRES_SOON: Final = 30 * 86400.0
BEHIND_SECONDS: Final = 5.0
TIMEOUT: Final = 5.0
_EARLIEST: Final = 1_735_689_600.0  # 2025: no clock that is right tells an earlier time


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is; `advice` is what to do if it is not well."""

    check: str
    level: Level
    text: str
    advice: str = ""


def examine(data: Path, now: float) -> list[Finding]:
    """Return what was found; each check stands alone, so that one fault hides no other."""
    try:
        config = load(data / FILE_NAME)
    except ConfigError as error:
        advice = f"Correct {FILE_NAME}; `watchdesk config` shows every key. What follows takes the defaults."
        found, config = [Finding("configuration", "error", str(error), advice)], Config()
    else:
        found = [Finding("configuration", "ok", "read")]
    checks: list[Callable[[Path, Config, float], Iterator[Finding]]] = [
        _folder, _disk, _clock, _database, _certificates, _rules, _ports,
    ]  # fmt: skip
    for check in checks:
        found += check(data, config, now)
    return found


def _folder(data: Path, _config: Config, _now: float) -> Iterator[Finding]:
    if not data.is_dir():
        yield Finding("folder", "error", f"{data} is not there", "Start `watchdesk up` or `serve`, or give --data.")
        return
    open_to_others = [path for path in (data, data / "pki", data / "pki" / "ca.key") if _open_to_others(path)]
    for path in open_to_others:
        advice = f"chmod {'700' if path.is_dir() else '600'} {path}"
        yield Finding("folder", "error", f"{path} can be read by other users of this machine", advice)
    if not open_to_others:
        yield Finding("folder", "ok", f"{data} is for its owner alone")


def _open_to_others(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP))


def _disk(data: Path, _config: Config, _now: float) -> Iterator[Finding]:
    if not data.is_dir():
        return
    free = shutil.disk_usage(data).free
    level: Level = "error" if free < FULL_BYTES else "warning" if free < LOW_BYTES else "ok"
    advice = "Make room on that disk, or lower log.max_bytes and history.days; nothing is acknowledged when it is full."
    yield Finding("disk", level, f"{free >> 20} MiB are free for {data}", "" if level == "ok" else advice)


def _clock(data: Path, _config: Config, now: float) -> Iterator[Finding]:
    advice = "Set the clock, and let NTP keep it (timedatectl set-ntp true)."
    last = _newest(data / "log")
    if now < _EARLIEST:
        yield Finding("clock", "error", f"the clock says {datetime.fromtimestamp(now, UTC):%Y-%m-%d}", advice)
    elif last - now > BEHIND_SECONDS:
        text = f"the clock is {last - now:.0f} s behind the last record of the log: rules wait until it has caught up"
        yield Finding("clock", "error", text, advice)
    else:
        yield Finding("clock", "ok", "not behind the log")


def _newest(log: Path) -> float:
    """Return when the last sound record came; 0 if there is none."""
    found = segments(log) if log.is_dir() else []
    for segment in reversed(found):
        reader, last = Reader(log, segment.first), 0.0
        while batch := reader.read(1 << 62):
            last = batch[-1].received
        if last:
            return last
    return 0.0


def _database(data: Path, config: Config, _now: float) -> Iterator[Finding]:
    try:
        url = config.database_url(data)
        if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
            yield Finding("database", "warning", "it was not made yet", "Start the collector once.")
            return
        engine = connect(url, busy_seconds=TIMEOUT)
        with engine.connect() as connection:
            version = connection.scalar(text("SELECT version_num FROM alembic_version"))
        engine.dispose()
    except ConfigError as error:
        yield Finding("database", "error", str(error), "Write the database's URL into that file.")
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        yield Finding(
            "database", "error", f"it cannot be used: {reason}", "See that it runs, and that the URL is right."
        )
    else:
        yield Finding("database", "ok", f"it answers, version {version}")


def _certificates(data: Path, _config: Config, now: float) -> Iterator[Finding]:
    for name in ("ca.pem", "server.pem"):
        path = data / "pki" / name
        if not path.exists():
            continue
        try:
            left = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp() - now
        except ValueError:
            yield Finding("certificates", "error", f"{path} is no certificate", "Restore it from a backup.")
            continue
        level: Level = "error" if left <= 0 else "warning" if left < EXPIRES_SOON else "ok"
        word = f"{name} expires in {left / 86400:.0f} days" if left > 0 else f"{name} expired"
        advice = "Restart the collector: it makes a new one." if name == "server.pem" else "All agents must enrol anew."
        yield Finding("certificates", level, word, "" if level == "ok" else advice)


def _rules(data: Path, config: Config, _now: float) -> Iterator[Finding]:
    try:
        files = RuleFiles(config.rules, data, {})
        files.changed()
    except (OSError, yaml.YAMLError) as error:
        yield Finding("rules", "error", str(error), "Correct the file.")
        return
    if files.problem:
        advice = "Correct it: `watchdesk rules check FILE`. The rules that held before go on."
        yield Finding("rules", "error", files.problem, advice)
    else:
        yield Finding("rules", "ok", f"{len(files.current)} files")


def _ports(data: Path, _config: Config, _now: float) -> Iterator[Finding]:
    running = Runtime.read(data)
    if running is None:
        yield Finding("collector", "warning", "it does not run here", "Start it with `watchdesk serve`.")
        return
    for name, url in (("pages", running.web), ("agents", running.agents)):
        problem = _answers(url, data / "pki" / "ca.pem")
        advice = f"See the log of process {running.pid}; is a firewall or another program in the way?"
        found = Finding("collector", "ok", f"{name}: {url} is ready")
        yield Finding("collector", "error", f"{name}: {url}: {problem}", advice) if problem else found


def _answers(url: str, ca: Path) -> str:
    """Return why a port is not ready; empty if it is."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    connection: http.client.HTTPConnection
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(ca))
            connection = http.client.HTTPSConnection(host, port, context=context, timeout=TIMEOUT)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        connection.request("GET", "/-/ready")
        answer = connection.getresponse()
        body = answer.read(300).decode(errors="replace").strip()
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if answer.status == 200 else f"{answer.status} {body}"
