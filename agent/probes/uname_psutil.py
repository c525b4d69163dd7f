"""The running system, where uname(2) is not all or not there."""

from __future__ import annotations

import sys

from agent.probes import probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("uname")
def uname(host: Host) -> Iterator[tuple[str, float]]:
    """Name, release and version of the system and its edition.

    Metrics:
        node_uname_info (gauge): Labeled system information as provided by the uname system call.
        node_os_info (gauge): A metric with a constant '1' value labeled by what the system is.
    """
    known = host.memory.get("uname")
    if not isinstance(known, list):  # once: on Windows asking takes long
        known = host.memory["uname"] = list(_read())
    yield from known


def _read() -> Iterator[tuple[str, float]]:
    import platform  # heavy

    told = platform.uname()
    label = labels(
        domainname="(none)",
        machine=told.machine,
        nodename=told.node,
        release=told.release,
        sysname=told.system,
        version=told.version,
    )
    yield "node_uname_info" + label, 1.0
    if sys.platform == "darwin":
        version = platform.mac_ver()[0]
        name, identity, pretty = "macOS", "macos", f"macOS {version}"
    else:
        edition = getattr(platform, "win32_edition", lambda: None)() or ""
        version = told.version
        name, identity, pretty = told.system, told.system.lower(), f"{told.system} {told.release} {edition}".strip()
    yield "node_os_info" + labels(id=identity, name=name, pretty_name=pretty, version=version, version_id=version), 1.0
