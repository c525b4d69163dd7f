"""The table of tracked connections: how full it is, and what it could not take."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
# name, column of /proc/net/stat/nf_conntrack
COLUMNS = (
    ("found", 2),
    ("invalid", 4),
    ("ignore", 5),
    ("insert", 8),
    ("insert_failed", 9),
    ("drop", 10),
    ("early_drop", 11),
    ("search_restart", 16),
)


@probe("conntrack", blocks=False)
def conntrack(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/sys/net/netfilter, /proc/net/stat/nf_conntrack (summed over the processors).

    Metrics:
        node_nf_conntrack_entries (gauge): Number of currently allocated flow entries for connection tracking.
        node_nf_conntrack_entries_limit (gauge): Maximum size of connection tracking table.
        node_nf_conntrack_stat_found (gauge): Number of searched entries which were successful.
        node_nf_conntrack_stat_invalid (gauge): Number of packets seen which can not be tracked.
        node_nf_conntrack_stat_ignore (gauge): Number of packets which are already connected to a conntrack entry.
        node_nf_conntrack_stat_insert (gauge): Number of entries inserted into the list.
        node_nf_conntrack_stat_insert_failed (gauge): Number of entries for which list insertion failed.
        node_nf_conntrack_stat_drop (gauge): Number of packets dropped due to conntrack failure.
        node_nf_conntrack_stat_early_drop (gauge): Number of dropped conntrack entries to make room for new ones.
        node_nf_conntrack_stat_search_restart (gauge): Number of lookups which had to be restarted due to resizes.
    """
    yield "node_nf_conntrack_entries", float(host.read_proc("sys/net/netfilter/nf_conntrack_count"))
    yield "node_nf_conntrack_entries_limit", float(host.read_proc("sys/net/netfilter/nf_conntrack_max"))
    rows = [line.split() for line in host.read_proc("net/stat/nf_conntrack").splitlines()[1:]]
    for name, column in COLUMNS:
        total = sum(int(row[column], 16) for row in rows if len(row) > column)
        yield "node_nf_conntrack_stat_" + name, float(total)
