"""Memory and swap where there is no /proc, by the names that Linux has for them."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("memory")
def memory(_host: Host) -> Iterator[tuple[str, float]]:
    """What rules ask for; the swap of Windows is its page file.

    Metrics:
        node_memory_* (gauge): Memory information field of the same name.
    """
    import psutil  # where it is used: Linux does without

    memory = psutil.virtual_memory()
    yield "node_memory_MemTotal_bytes", float(memory.total)
    yield "node_memory_MemFree_bytes", float(memory.free)
    yield "node_memory_MemAvailable_bytes", float(memory.available)
    for field, name in (("active", "Active"), ("inactive", "Inactive"), ("wired", "Wired")):
        if hasattr(memory, field):
            yield f"node_memory_{name}_bytes", float(getattr(memory, field))
    try:
        swap = psutil.swap_memory()
    except RuntimeError:  # Windows tells it by a performance counter, and those can be switched off
        return
    yield "node_memory_SwapTotal_bytes", float(swap.total)
    yield "node_memory_SwapFree_bytes", float(swap.free)
