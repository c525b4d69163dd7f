"""The peers' remote write, measured as they are installed: Prometheus and VictoriaMetrics, on loopback, no rules."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cramjam
import psutil

from agent.wire import read_series
from tests.bench import load
from tests.e2e.desk import free_port

HOSTS: Final = 1_000
SERIES: Final = 100
ROUNDS: Final = 30
TOGETHER: Final = 10  # hosts in a request: a thousand samples, as a Prometheus sends them
CONNECTIONS: Final = 8


def remote_write_rate(program: str) -> tuple[float | None, int, str, str]:
    """Return (samples a core-second, samples, name with version, why there is none)."""
    if shutil.which(program) is None:
        return None, 0, program, f"{program} is not installed"
    with tempfile.TemporaryDirectory() as folder, _running(program, Path(folder)) as (process, port, path):
        bodies = list(_bodies())
        post(port, path, bodies[0])  # the series are made
        time.sleep(1)
        before, count = _spent(process), 0
        for bodies_of_round in bodies[1:]:
            post(port, path, bodies_of_round)
            count += HOSTS * SERIES
        time.sleep(2)  # what it puts off is its work, too
        return count / (_spent(process) - before), count, _version(program), ""


def _spent(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _version(program: str) -> str:
    for option in ("--version", "-version"):
        done = subprocess.run([program, option], capture_output=True, text=True, check=False)
        words = (done.stdout + done.stderr).split()
        found = next((word for word in words if word[:1].isdigit() or word.startswith("victoria-metrics-")), "")
        if found:
            return f"{program} {found.rstrip(',')}"
    return program


@contextmanager
def _running(program: str, folder: Path) -> Iterator[tuple[psutil.Process, int, str]]:
    port = free_port()
    if program == "prometheus":
        (folder / "prometheus.yml").write_text("global: {}\n")
        words = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            "--web.enable-remote-write-receiver",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        path = "/api/v1/write"
    else:
        words = [f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-loggerLevel=ERROR"]
        path = "/api/v1/write"
    server = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        load.pin_process(server.pid, 0)
        yield psutil.Process(server.pid), port, path
    finally:
        server.terminate()
        server.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            time.sleep(1)
            return


def post(port: int, path: str, bodies: list[bytes], token: str = "") -> None:
    """Send bodies on some connections, each as fast as it is answered.

    Raises:
        RuntimeError: an answer was not 204.
    """
    failed: list[bytes] = []

    def run(mine: list[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            for body in mine:
                head = (
                    f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                    "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
                    f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                connection.sendall(head.encode() + body)
                answer = connection.recv(65536)
                if not answer.startswith(b"HTTP/1.1 204"):
                    failed.append(answer)

    threads = [threading.Thread(target=run, args=(bodies[n::CONNECTIONS],)) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(failed[0].decode(errors="replace"))


def _bodies() -> Iterator[list[bytes]]:
    """Yield the requests of each round: every host's series once, the values those of the other benches."""
    made = load.kinds(SERIES)
    texts = [kind.schema.decode().split("\n") for kind in made]
    labels = [[_labels(text, host) for text in texts[host % len(made)]] for host in range(HOSTS)]
    now = int(time.time() * 1000) - 1000 * (ROUNDS + 2)
    for turn in range(ROUNDS + 1):
        stamp = b"\x10" + _varint(now + 1000 * turn)
        requests = []
        for first in range(0, HOSTS, TOGETHER):
            parts = []
            for host in range(first, first + TOGETHER):
                rows = made[host % len(made)].rows
                values = struct.unpack(f"<{SERIES}d", rows[(turn + host) % len(rows)])
                parts += [
                    _field(1, own + _field(2, b"\x09" + struct.pack("<d", value) + stamp))
                    for own, value in zip(labels[host], values, strict=True)
                ]
            requests.append(bytes(cramjam.snappy.compress_raw(b"".join(parts))))
        yield requests


def _labels(text: str, host: int) -> bytes:
    name, own = read_series(text)
    whole = {**own, "__name__": name, "instance": f"host{host}", "job": "agent"}
    return b"".join(_field(1, _field(1, key.encode()) + _field(2, whole[key].encode())) for key in sorted(whole))


def _field(tag: int, data: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
