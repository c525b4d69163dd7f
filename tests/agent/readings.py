"""All that the probes read, as (name, labels) → value; as a program elsewhere, once for each line it gets."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from agent import probes, wire
from agent.probes import NoData
from agent.probes.host import Host

Series = tuple[str, frozenset[tuple[str, str]]]


def key(series: str) -> Series:
    """Return a series in Prometheus notation as what tells it from others."""
    name, labels = wire.read_series(series)
    return name, frozenset(labels.items())


def ours(host: Host) -> dict[Series, float]:
    """Return what this machine's probes read."""
    values: dict[Series, float] = {}
    for probe in probes.discover().values():
        try:
            values |= {key(series): value for series, value in probe.read(host) if not math.isnan(value)}
        except NoData:
            continue
    return values


class Elsewhere:
    """Reads where the words start a program; with one memory from first to last, as an agent has it."""

    def __init__(self, words: Sequence[str], file: str) -> None:
        self._process = subprocess.Popen([*words, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> dict[Series, float]:
        """Return what is read there now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return {(name, frozenset(map(tuple, labels))): value for name, labels, value in told}

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    here = Host()
    for _ in sys.stdin:
        print(json.dumps([(name, list(labels), value) for (name, labels), value in ours(here).items()]), flush=True)
