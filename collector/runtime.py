"""Where a running collector is found: told to the other commands by a small file in the data folder."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from collector.config import address

if TYPE_CHECKING:
    from collector.collector import Collector

FILE_NAME = "collector.json"


class Runtime(msgspec.Struct, frozen=True):
    """A collector that runs."""

    pid: int
    web: str  # URL of the pages
    agents: str  # URL for agents: what enrolment tokens carry

    @staticmethod
    def of(collector: Collector, pid: int, web_port: int, agents_port: int) -> Runtime:
        """Return where a collector listens."""
        config = collector.config
        web = _url(config.web.listen, web_port, tls=collector.web_tls)
        agents = config.agents.url or _url(config.agents.listen, agents_port, tls=collector.agents_tls)
        return Runtime(pid, web, agents)

    @staticmethod
    def read(data: Path) -> Runtime | None:
        """Return the collector that runs on a data folder, as far as its file tells."""
        try:
            return msgspec.json.decode((data / FILE_NAME).read_bytes(), type=Runtime)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write(self, data: Path) -> None:
        """Tell the other commands."""
        temporary = data / (FILE_NAME + ".new")
        temporary.write_bytes(msgspec.json.encode(self))
        temporary.replace(data / FILE_NAME)

    @staticmethod
    def remove(data: Path) -> None:
        """Take the file away again."""
        (data / FILE_NAME).unlink(missing_ok=True)


def _url(listen: str, port: int, *, tls: bool) -> str:
    host = address(listen)[0]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - not bound here: an address that nobody can go to is replaced
        host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{host}:{port}"
