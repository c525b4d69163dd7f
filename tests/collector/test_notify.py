"""What systemd is told."""

import socket
from pathlib import Path

from collector.notify import notify


def test_systemd_is_told_where_it_listens(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        notify("READY=1", {"NOTIFY_SOCKET": str(path)})
        assert listening.recv(100) == b"READY=1"


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
