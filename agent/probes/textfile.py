"""Metrics that other programs leave in files: node_exporter's textfile directory."""

from __future__ import annotations

import os

from agent.exposed import samples, series_of
from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_text
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

DIRECTORY = "/var/lib/prometheus/node-exporter"  # Debian's
MAX_FILES = 100
MAX_SERIES = 1_000  # of a file
# What the agent sends itself must not be told twice, by a file that another agent's helper keeps.
OWN = ("watchdesk_", "node_textfile_")


@probe("textfile")
def textfile(host: Host) -> Iterator[tuple[str, float]]:
    """*.prom of textfile.directory.

    Metrics:
        node_textfile_mtime_seconds (gauge): Unixtime mtime of textfiles successfully read.
        node_textfile_scrape_error (gauge): 1 if there was an error opening or reading a file, 0 otherwise
        * (untyped): Metric read from the textfile directory.
    """
    folder = host.root + host.options.get("textfile.directory", DIRECTORY)
    names = [name for name in list_directory(folder) if name.endswith(".prom")]
    if not names:
        raise NoData(folder)
    failed = False
    for name in names[:MAX_FILES]:
        path = f"{folder}/{name}"
        try:
            changed = os.stat(path).st_mtime
            found = _content(host, path, changed)
        except (OSError, ValueError, NoData):
            failed = True
            continue
        yield from found
        yield "node_textfile_mtime_seconds" + labels(file=path[len(host.root) :]), changed
    yield "node_textfile_scrape_error", float(failed)


def _content(host: Host, path: str, changed: float) -> list[tuple[str, float]]:
    known = host.memory.get("textfile." + path)
    if isinstance(known, tuple) and known[0] == changed:
        kept: list[tuple[str, float]] = known[1]
        return kept
    found = [
        (series_of(name, told), value)
        for name, told, value in samples(read_text(path), MAX_SERIES)
        if not name.startswith(OWN)
    ]
    host.memory["textfile." + path] = (changed, found)
    return found
