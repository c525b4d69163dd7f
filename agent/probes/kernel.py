"""Limits and pools of the kernel: open files, random numbers, security modules."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import read_number, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("kernel", blocks=False)
def kernel(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/sys/fs/file-nr, /proc/sys/kernel/random, SELinux.

    Metrics:
        node_filefd_allocated (gauge): File descriptor statistics: allocated.
        node_filefd_maximum (gauge): File descriptor statistics: maximum.
        node_entropy_available_bits (gauge): Bits of available entropy.
        node_entropy_pool_size_bits (gauge): Bits of entropy pool.
        node_selinux_enabled (gauge): SELinux is enabled, 1 is true, 0 is false.
        node_selinux_current_mode (gauge): Current SELinux enforcement mode.
        node_selinux_config_mode (gauge): Configured SELinux enforcement mode.
    """
    allocated, _, maximum = host.read_proc("sys/fs/file-nr").split()[:3]
    yield "node_filefd_allocated", float(allocated)
    yield "node_filefd_maximum", float(maximum)
    for file, name in (("entropy_avail", "available"), ("poolsize", "pool_size")):
        bits = read_number(f"{host.proc}/sys/kernel/random/{file}")
        if bits is not None:
            yield f"node_entropy_{name}_bits", bits
    enforced = read_number(host.sys + "/fs/selinux/enforce")
    yield "node_selinux_enabled", float(enforced is not None)
    if enforced is not None:
        yield "node_selinux_current_mode", enforced
        yield "node_selinux_config_mode", _configured(host)


def _configured(host: Host) -> float:
    try:
        lines = read_text(host.root + "/etc/selinux/config").split("\n")
    except NoData:
        return -1.0
    modes = {"enforcing": 1.0, "permissive": 0.0}
    said = [line.partition("=")[2].strip() for line in lines if line.strip().startswith("SELINUX=")]
    return modes.get(said[-1], -1.0) if said else -1.0
