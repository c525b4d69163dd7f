"""Debian's snmpd on a loopback port, with a community and a user for every protocol of SNMPv3."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from collector.snmp.ciphers import AUTHS, PRIVS
from collector.snmp.usm import User

COMMUNITY: Final = "watched"
_AUTHS: Final = {"SHA224": "SHA-224", "SHA256": "SHA-256", "SHA384": "SHA-384", "SHA512": "SHA-512"}
_PRIVS: Final = {"AES192": "AES-192", "AES256": "AES-256", "AES192C": "AES-192C", "AES256C": "AES-256C"}
_SETTINGS: Final = """\
rocommunity {community} 127.0.0.0/8
sysLocation Rack 12
sysName sw-1
sysContact noc@example.net
engineID {engine}
"""


def users() -> list[User]:
    """Return a user for each pair of protocols, for each authentication alone, and one without any."""
    found = [User("plain")]
    for auth in AUTHS:
        found.append(User(f"u-{auth}", auth, "authpass123"))
        found += [User(f"u-{auth}-{priv}", auth, "authpass123", priv, "privpass123") for priv in PRIVS]
    return found


@contextmanager
def snmpd(folder: Path, *, extra: str = "") -> Iterator[int]:
    """Run snmpd until the end of the block; its UDP port."""
    program = shutil.which("snmpd") or "/usr/sbin/snmpd"
    if not Path(program).exists():
        pytest.skip("snmpd is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "snmpd.log").unlink(missing_ok=True)
    lines = [_SETTINGS.format(community=COMMUNITY, engine=f"e-{folder.name[-20:]}"), extra]
    for user in users():
        auth, priv = _AUTHS.get(user.auth, user.auth), _PRIVS.get(user.priv, user.priv)
        words = [auth, user.auth_password, priv, user.priv_password]
        lines.append(f"createUser {user.name} {' '.join(word for word in words if word)}\n")
        lines.append(f"rouser {user.name} {'priv' if priv else 'auth' if auth else 'noauth'}\n")
    (folder / "snmpd.conf").write_text("".join(lines))
    command = [program, "-f", "-Lf", str(folder / "snmpd.log"), "-C", "-c", str(folder / "snmpd.conf")]
    with subprocess.Popen(
        [*command, f"udp:127.0.0.1:{port}"],
        env={"SNMP_PERSISTENT_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MIBS": ""},
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            _wait(folder / "snmpd.log", process)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _wait(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not (log.exists() and "NET-SNMP version" in log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"snmpd did not start: {log.read_text() if log.exists() else 'no log'}")
        time.sleep(0.02)
