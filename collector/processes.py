"""The ingest processes of `serve --ingest N`: what they are told, and the socket where they bring what is no push."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from collector.ingest.worker import Task
from collector.ingest.workers import Workers
from collector.log import Log
from collector.log.partitions import folder, partitions

if TYPE_CHECKING:
    from collector.collector import Collector


def main_socket(data: Path) -> socket.socket:
    """Return the socket on which the main process listens for the others."""
    path = data / "main.socket"
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(512)
    return listening


def workers(collector: Collector, listening: socket.socket) -> Workers | None:
    """Return the processes that share the agents' socket, if there are to be any, or if earlier ones left records."""
    count, directory = collector.config.agents.processes, collector.log.directory
    left = [number for number in partitions(directory) if number >= count]
    if not count and not left:
        return None
    merged = collector.pipeline.state.merged

    def task(partition: int, floor: int) -> Task:
        return _task(collector, listening.fileno(), partition, floor)

    made = Workers(count, task, directory, collector.data / "heads", merged)
    for number in left:
        made.publish_left(number, Log(folder(directory, number), floor=merged.get(number, 1)).head)
    return made


def _task(collector: Collector, listening: int, partition: int, floor: int) -> Task:
    agents, data = collector.config.agents, collector.data.absolute()
    return Task(
        partition=partition,
        listening=listening,
        log=str(data / "log"),
        heads=str(data / "heads"),
        main=str(data / "main.socket"),
        database=collector.config.database_url(collector.data),
        certificate=str(collector.pki.server.absolute()) if collector.agents_tls else "",
        ca=str(collector.pki.ca.absolute()),
        floor=floor,
        segment_bytes=collector.config.log.segment_bytes,
        interval=agents.interval,
        linger=agents.linger,
        max_connections=agents.max_connections,
        backlog_bytes=agents.limits.backlog_bytes / max(1, agents.processes),
        limits={
            "device_values": agents.limits.device_values,
            "customer_values": agents.limits.customer_values,
            "device_series": agents.limits.device_series,
            "customer_series": agents.limits.customer_series,
        },
        schemas={str(schema): columns for schema, columns in collector.intake.schemas.items()},
        log_format=collector.log_format,
    )
