"""When certificates expire: of files, and of what listens on this machine."""

from __future__ import annotations

import glob
import os
import socket
import ssl

from agent.heavy.der import certificates
from agent.probes import NoData
from agent.probes.host import read_text
from agent.probes.series import labels
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

METRIC = "watchdesk_certificate_not_after_timestamp_seconds"
FILES = (
    "/etc/letsencrypt/live/*/cert.pem, /etc/nginx/ssl/*.crt, /etc/nginx/ssl/*.pem, /etc/nginx/certs/*.crt, "
    "/etc/apache2/ssl/*.crt, /etc/httpd/ssl/*.crt, /etc/pki/tls/certs/localhost.crt, /etc/haproxy/certs/*.pem, "
    "/etc/postfix/*.pem, /etc/dovecot/private/*.pem, /etc/postgresql/*/*/server.crt, /etc/kubernetes/pki/*.crt, "
    "/etc/openvpn/server/*.crt, /etc/cockpit/ws-certs.d/*.cert, /etc/pve/local/pve-ssl.pem"
)
PORTS = (443, 465, 636, 853, 989, 990, 993, 995, 2376, 3269, 4443, 5061, 5986, 6443, 8006, 8443, 9443, 10250)
MAX_FILES = 200
MAX_SIZE = 1 << 20
LISTENING = "0A"
SECONDS = 2.0


def read(task: Task) -> Iterator[Found]:
    """Files of certificates.files, and the listening ports on which TLS is usual, or those of certificates.ports.

    Metrics:
        watchdesk_certificate_not_after_timestamp_seconds (gauge): When the certificate expires.
    """
    found: dict[str, float] = {}
    for pattern in task.words("certificates.files", FILES):
        for path in sorted(glob.glob(task.host.root + pattern))[:MAX_FILES]:
            for one in certificates(_content(path)):
                _note(found, one.subject, path[len(task.host.root) :], one.not_after)
    for port in _ports(task):
        for one in certificates(_ask(port)):
            _note(found, one.subject, f"{port}/tcp", one.not_after)
    if not found:
        raise NoData("certificates")
    yield from found.items()


def _note(found: dict[str, float], subject: str, source: str, not_after: float) -> None:
    """A file may hold several of a name; the first to expire counts."""
    series = METRIC + labels(source=clean(source, 256), subject=clean(subject, 256))
    found[series] = min(found.get(series, not_after), not_after)


def _content(path: str) -> bytes:
    try:
        if os.path.getsize(path) > MAX_SIZE:
            return b""
        with open(path, "rb") as file:
            return file.read(MAX_SIZE)
    except OSError:
        return b""


def _ports(task: Task) -> list[int]:
    chosen = task.words("certificates.ports")
    if "none" in chosen:
        return []
    wanted = {int(port) for port in chosen} or set(PORTS)
    listening: set[int] = set()
    for file in ("net/tcp", "net/tcp6"):
        try:
            listening |= listening_ports(read_text(f"{task.host.proc}/{file}"))
        except (NoData, OSError):
            continue
    return sorted(wanted & listening)


def listening_ports(table: str) -> set[int]:
    """Return the ports that /proc/net/tcp shows as listening."""
    rows = (line.split(None, 4) for line in table.splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == LISTENING}


def _ask(port: int) -> bytes:
    """Return the certificate that is shown on a port of this machine; it is looked at, not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for address in ("127.0.0.1", "::1"):
        try:
            with (
                socket.create_connection((address, port), timeout=SECONDS) as plain,
                context.wrap_socket(plain) as secured,
            ):
                return secured.getpeercert(binary_form=True) or b""
        except (OSError, ValueError):
            continue
    return b""
