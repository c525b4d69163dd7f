"""A real Prometheus on loopback, for a test."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus; `url` has no slash at its end."""

    url: str

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return (labels, value) of each element of the instant query's answer.

        Raises:
            HTTPError: Prometheus refused the expression.
        """
        result = self._get("/api/v1/query", query=expr)["data"]["result"]
        if result and not isinstance(result[0], dict):  # a scalar: [time, value]
            return [({}, float(result[1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def targets_down(self) -> list[str]:
        """Return the last error of each target that is not up; "" means that it was not scraped yet."""
        active = self._get("/api/v1/targets")["data"]["activeTargets"]
        return [target["lastError"] for target in active if target["health"] != "up"]

    def _get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"{self.url}{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def running(config: str, folder: Path, port: int = 0) -> Iterator[Prometheus]:
    """Run /usr/bin/prometheus with a configuration, its data under `folder`, until the block ends."""
    program = shutil.which("prometheus")
    assert program is not None, "prometheus is not installed: apt install prometheus"
    file = folder / "prometheus.yml"
    file.write_text(config)
    port = port or free_port()
    command = [program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=warn"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        wait_until(lambda: _ready(server.url, process))
        yield server
    finally:
        process.terminate()
        process.wait(30)


def wait_until(met: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, and fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "prometheus ended; see prometheus.log"
    try:
        with urlopen(f"{url}/-/ready", timeout=5) as answer:
            return cast("bool", answer.status == 200)
    except (URLError, ConnectionError):
        return False
