"""A real Prometheus over given samples: blocks made by promtool, one server, asked over HTTP."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Sample = tuple[Mapping[str, str], Sequence[float], Sequence[float]]
Answer = dict[frozenset[tuple[str, str]], float]

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None, reason="Prometheus is not installed"
)


@dataclass(frozen=True)
class Refused:
    """Prometheus' error: `parsing` tells whether it came before the evaluation."""

    message: str
    parsing: bool


class Prometheus:
    """The server; `ask` returns what it answers."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"

    def ask(self, expr: str, at: float) -> Answer | float | str | Refused:
        """Return the value of an expression at a moment."""
        data = self._get("query", {"query": expr, "time": f"{at:.3f}"})
        if isinstance(data, Refused):
            return data
        if data["resultType"] == "scalar":
            return float(data["result"][1])
        if data["resultType"] == "string":
            return str(data["result"][1])
        assert data["resultType"] == "vector", data
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in data["result"]}

    def ask_range(self, expr: str, start: float, end: float, step: float) -> dict[frozenset[tuple[str, str]], Any]:
        """Return the values of an expression at steps, by labels: a list of (time, value)."""
        data = self._get(
            "query_range", {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": str(step)}
        )
        assert not isinstance(data, Refused), data
        return {
            frozenset(each["metric"].items()): [(float(at), float(value)) for at, value in each["values"]]
            for each in data["result"]
        }

    def ready(self) -> bool:
        """Whether the server answers."""
        try:
            with urllib.request.urlopen(f"{self._root}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:  # not listening yet, or 503
            return False

    def _get(self, what: str, arguments: Mapping[str, str]) -> Any:
        body = urllib.parse.urlencode(arguments).encode()
        try:
            with urllib.request.urlopen(f"{self._root}/api/v1/{what}", body, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                reply = json.load(error)
            return Refused(reply["error"], reply["errorType"] == "bad_data")


@contextmanager
def serve(samples: Sequence[Sample], folder: Path, *, step: str = "1m") -> Iterator[Prometheus]:
    """Run a server over the samples; `step` is its evaluation interval."""
    text = folder / "samples.om"
    text.write_text(openmetrics(samples), encoding="utf-8")
    data = folder / "data"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text), str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{evaluation_interval: {step}}}\n")
    port = free_port()
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.time=100y",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        prometheus = Prometheus(port)
        deadline = time.monotonic() + 60
        while not prometheus.ready():
            assert server.poll() is None, "Prometheus has ended"
            assert time.monotonic() < deadline, "Prometheus does not answer"
            time.sleep(0.05)
        yield prometheus
    finally:
        server.terminate()
        server.wait(30)


def openmetrics(samples: Sequence[Sample]) -> str:
    """Return samples in the text format that promtool reads."""
    lines = []
    for labels, times, values in sorted(samples, key=lambda each: each[0]["__name__"]):
        own = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items() if name != "__name__")
        for at, value in zip(times, values, strict=True):
            number = "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf") if math.isinf(value) else value
            lines.append(f"{labels['__name__']}{{{own}}} {number} {at:.3f}")
    return "\n".join([*lines, "# EOF", ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
