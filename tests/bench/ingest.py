"""What a collector takes on one core: durable batches of a hundred values, evaluated by the default rules."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from agent import wire
from tests.bench.figure import Figure
from tests.e2e.desk import Desk

COLUMNS = 100
CONNECTIONS = 50
SECONDS = 8.0
SERIES = [f'bench_values{{n="{number}"}}' for number in range(COLUMNS)]


def run() -> Iterator[Figure]:
    """Measure without and with TLS."""
    yield _measure("ingest.values_per_core_second", tls=False)
    yield _measure("ingest.values_per_core_second_tls", tls=True)


def _measure(name: str, *, tls: bool) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.configure(f"agents:\n  tls: {str(tls).lower()}\n")
        try:
            process = psutil.Process(desk.serve().pid)
            token = (desk.agent("bench").state / "token").read_text().strip()
            loader = multiprocessing.Process(target=_load, args=(desk.port + 1, token, tls, str(desk.data)))
            loader.start()
            time.sleep(2.0)  # until connections stand and schemas are known
            before, cpu = _taken(desk), sum(process.cpu_times()[:2])
            time.sleep(SECONDS - 3.0)
            values, spent = _taken(desk) - before, sum(process.cpu_times()[:2]) - cpu
            loader.join()
            return Figure(name, values / spent, "1/s", n=int(values))
        finally:
            desk.end()


def _taken(desk: Desk) -> float:
    lines = desk.scrape("/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("watchdesk_ingest_values_total"))


def _load(port: int, token: str, tls: bool, data: str) -> None:
    """Push from some connections at once, each as fast as it is answered."""
    os.nice(0)
    context = ssl.create_default_context(cafile=f"{data}/pki/ca.pem") if tls else None
    asyncio.run(_all(port, token, context))


async def _all(port: int, token: str, context: ssl.SSLContext | None) -> None:
    await asyncio.gather(*(_one(port, token, context, epoch) for epoch in range(1, CONNECTIONS + 1)))


async def _one(port: int, token: str, context: ssl.SSLContext | None, epoch: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    schema = wire.encode_schema(SERIES)
    number = wire.schema_id(schema)
    frames = wire.encode(wire.Kind.SCHEMA, epoch, 0, schema)
    end = time.monotonic() + SECONDS
    row = [[float(column) for column in range(COLUMNS)]]
    head = f"POST /v1/push HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: "
    while time.monotonic() < end:
        # seq 0: fifty spools of one device would be told apart by their epochs, and only a few of those are kept
        body = frames + wire.encode(wire.Kind.ROWS, epoch, 0, wire.encode_rows(number, [time.time()], row))
        frames = b""
        writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 204"):
            raise RuntimeError(answer.decode())
    writer.close()
