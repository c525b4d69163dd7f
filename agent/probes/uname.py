"""The running kernel."""

from __future__ import annotations

import os

from agent.probes import probe
from agent.probes.host import read_text
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("uname", blocks=False)
def uname(host: Host) -> Iterator[tuple[str, float]]:
    """uname(2).

    Metrics:
        node_uname_info (gauge): Labeled system information as provided by the uname system call.
    """
    known = os.uname()
    domain = read_text(host.proc + "/sys/kernel/domainname").strip()
    label = labels(
        domainname=domain,
        machine=known.machine,
        nodename=known.nodename,
        release=known.release,
        sysname=known.sysname,
        version=known.version,
    )
    yield "node_uname_info" + label, 1.0
