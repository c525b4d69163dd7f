"""How fast and how large the rules are: ticks of the whole fleet, growth, backtests, and a real Prometheus beside."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import psutil

from rules import packs
from rules.backtest import backtest, read
from rules.engine import Engine
from rules.fleet import Fleet
from tests.bench.figure import Figure
from tests.rules.load import INTERVAL, Load, rule_file
from tests.rules.promql.prometheus import free_port
from tests.rules.recording import as_text, recording

_WARM = 700
_TICKS = 100
_GROWTH = (1_000, 10_000, 100_000)
_SCRAPED = 1_000


def run() -> Iterator[Figure]:
    """Measure; the largest fleets in processes of their own, so that the memory is theirs."""
    yield from _apart("tick", 10_000, 100, _WARM)
    for devices in _GROWTH:
        yield from _apart("growth", devices, 20, 60)
    yield from _backtest()
    yield _against_prometheus()


def _apart(what: str, devices: int, series: int, warm: int) -> Iterator[Figure]:
    command = [sys.executable, "-m", "tests.bench.rules", what, str(devices), str(series), str(warm)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        yield Figure(f"rules.{what}_p50_ms", None, "ms", why=done.stderr.strip().splitlines()[-1])
        return
    for line in done.stdout.splitlines():
        name, value, unit, count = line.split()
        yield Figure(name, float(value), unit, n=int(count))


def _ticks(devices: int, series: int, warm: int, files: dict[str, str]) -> tuple[np.ndarray, Load, float]:
    """Return the durations of ticks in ms, a second of data before each, and the seconds that a join takes."""
    fleet = Fleet()
    engine = Engine(fleet)
    engine.load(files)
    load = Load(fleet, devices, series)
    for second in range(warm):
        load.second()
        if second % 10 == 9:
            engine.tick(load.now)
    durations = []
    for _ in range(_TICKS):
        load.second()
        before = time.perf_counter()
        engine.tick(load.now)
        durations.append((time.perf_counter() - before) * 1000)
    before = time.perf_counter()
    for number in range(devices, devices + 50):
        layout = load.join(number)
        for _, times, values in load.rows([layout]):
            fleet.append(layout, times, values)
    joined = (time.perf_counter() - before) / 50
    return np.array(durations), load, joined


def _tick(devices: int, series: int, warm: int) -> None:
    """Print the figures of a fleet with the default packs."""
    durations, load, joined = _ticks(devices, series, warm, packs.load())
    before = time.perf_counter()
    for number in range(50):
        load.fleet.remove_device(number)
    left = (time.perf_counter() - before) / 50
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    now = psutil.Process().memory_info().rss / 2**20
    print("rules.tick_p50_ms", np.percentile(durations, 50), "ms", len(durations))
    print("rules.tick_p99_ms", np.percentile(durations, 99), "ms", len(durations))
    print("rules.memory_mib", now, "MiB", 1)
    print("rules.memory_peak_mib", peak, "MiB", 1)
    print("rules.windows_mib", load.fleet.windows.nbytes() / 2**20, "MiB", 1)
    print("rules.device_join_ms", joined * 1000, "ms", 50)
    print("rules.device_leave_ms", left * 1000, "ms", 50)


def _growth(devices: int, series: int, warm: int) -> None:
    """Print the tick of the twenty rules at one size of the fleet."""
    durations, _, _ = _ticks(devices, series, warm, {"bench.yml": rule_file()})
    print(f"rules.growth_tick_p50_ms_{devices}x{series}", np.percentile(durations, 50), "ms", len(durations))


def _backtest() -> Iterator[Figure]:
    """Play recordings through the twenty rules: a row of every series at each time, and an evaluation for each row.

    The first figure is a thousand devices of a hundred series for forty minutes, without reading the text. `_small` is
    a tenth of the devices (a rule then costs more than what it looks at), `_wide` many more for a short time (then the
    fleet's setting up costs most), `_read` reading alone.
    """
    for name, devices, rows in (("", 1_000, 240), ("_small", 100, 400), ("_wide", 5_000, 20)):
        samples = recording(devices, 100, rows)
        before = time.process_time()
        for _ in backtest({"bench.yml": rule_file()}, samples):
            pass
        took = time.process_time() - before
        yield Figure(f"rules.backtest{name}_samples_per_second", len(samples) / took, "1/s", n=rows)
    text = as_text(recording(100, 100, 60))
    before = time.process_time()
    count = len(read(io.BytesIO(text)))
    yield Figure("rules.backtest_read_samples_per_second", count / (time.process_time() - before), "1/s", n=count)


# -- beside Prometheus -------------------------------------------------------------------------------------------


class _Metrics(BaseHTTPRequestHandler):
    """Serves a fleet to the Prometheus that scrapes it."""

    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        pass


def _against_prometheus() -> Figure:
    """Compare the CPU of an evaluation: the same rules over the same series, every second, fed every ten."""
    name, unit = "rules.vs_prometheus_cpu", "x"
    if shutil.which("prometheus") is None:
        return Figure(name, None, unit, why="Prometheus is not installed")
    fleet = Fleet()
    engine = Engine(fleet)
    load = Load(fleet, _SCRAPED, 100)
    engine.load({"bench.yml": rule_file()})
    for _ in range(_WARM):
        load.second()
    engine.tick(load.now)
    ours = _our_cpu(load, engine)
    with tempfile.TemporaryDirectory() as folder:
        theirs, count = _their_cpu(load, Path(folder))
    return Figure(name, theirs / ours, unit, n=count, peer=f"prometheus {_version()}")


def _our_cpu(load: Load, engine: Engine) -> float:
    """Return the CPU seconds of one evaluation of one rule."""
    took = 0.0
    for _ in range(_TICKS):
        load.second()
        before = time.process_time()
        engine.tick(load.now)
        took += time.process_time() - before
    return took / _TICKS / 20


def _their_cpu(load: Load, folder: Path) -> tuple[float, int]:
    """Return the CPU seconds that rules add, for each evaluation of one rule, and how many evaluations there were."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    target = f"127.0.0.1:{server.server_address[1]}"
    (folder / "rules.yml").write_text(rule_file())
    scrape = f"scrape_configs: [{{job_name: f, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}]"
    glob = f"global: {{scrape_interval: {INTERVAL:.0f}s, scrape_timeout: 9s, evaluation_interval: 1s}}"
    (folder / "prometheus.yml").write_text(f"{glob}\n{scrape}\n")
    arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    arguments += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle", "--log.level=error"]
    environment = {**os.environ, "GOMAXPROCS": "1"}
    process = subprocess.Popen(["prometheus", *arguments], env=environment, stderr=subprocess.DEVNULL)
    try:
        feed = threading.Thread(target=_feed, args=(load, process), daemon=True)
        feed.start()
        time.sleep(45)  # some windows' worth of scrapes
        idle = _cpu(process, 40)
        (folder / "prometheus.yml").write_text(f"{glob}\nrule_files: [{folder}/rules.yml]\n{scrape}\n")
        urllib.request.urlopen(f"http://127.0.0.1:{port}/-/reload", b"", timeout=10).close()
        time.sleep(5)
        before = _evaluations(port)
        busy = _cpu(process, 40)
        count = _evaluations(port) - before
        return (busy - idle) / count, int(count)
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()


def _feed(load: Load, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        for _ in range(int(INTERVAL)):
            load.second()
        _Metrics.text = b"".join(load.fleet.exposition())
        time.sleep(INTERVAL)


def _cpu(process: subprocess.Popen[bytes], seconds: float) -> float:
    peer = psutil.Process(process.pid)
    before = sum(peer.cpu_times()[:2])
    time.sleep(seconds)
    return float(sum(peer.cpu_times()[:2]) - before)


def _evaluations(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("prometheus_rule_evaluations_total"))


def _version() -> str:
    done = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).split()[2]


if __name__ == "__main__":
    {"tick": _tick, "growth": _growth}[sys.argv[1]](*map(int, sys.argv[2:]))
