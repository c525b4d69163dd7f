"""Counters of IP, ICMP, TCP and UDP."""

from __future__ import annotations

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
WANTED = frozenset(
    "Ip_Forwarding Ip6_InOctets Ip6_OutOctets IpExt_InOctets IpExt_OutOctets Icmp_InMsgs Icmp_OutMsgs Icmp6_InMsgs "
    "Icmp6_OutMsgs TcpExt_TCPSynRetrans TcpExt_TCPTimeouts Tcp_ActiveOpens Tcp_InSegs Tcp_OutSegs Tcp_OutRsts "
    "Tcp_PassiveOpens Tcp_RetransSegs Tcp_CurrEstab Udp_InDatagrams Udp_OutDatagrams Udp_NoPorts Udp_RcvbufErrors "
    "Udp_SndbufErrors Udp6_InDatagrams Udp6_OutDatagrams Udp6_NoPorts Udp6_RcvbufErrors Udp6_SndbufErrors".split()
)


@probe("netstat", blocks=False)
def netstat(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/net/netstat, /proc/net/snmp, /proc/net/snmp6: what node_exporter takes by default.

    Metrics:
        node_netstat_* (untyped): Statistic of the protocol.
    """
    for file in ("net/netstat", "net/snmp"):
        lines = host.read_proc(file).split("\n")
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            protocol = names.partition(":")[0]
            for name, value in zip(names.split()[1:], values.split()[1:], strict=False):
                key = f"{protocol}_{name}"
                if key in WANTED or _is_wanted(key):
                    yield "node_netstat_" + key, float(value)
    try:
        text = host.read_proc("net/snmp6")
    except NoData:
        return
    for line in text.split("\n"):
        protocol, six, rest = line.partition("6")
        name, _, value = rest.partition(" ")
        key = f"{protocol}6_{name.strip()}"
        if six and (key in WANTED or _is_wanted(key)):
            yield "node_netstat_" + key, float(value)


def _is_wanted(key: str) -> bool:
    return key.endswith(("_InErrors", "_InErrs")) or key.startswith(("TcpExt_Listen", "TcpExt_Syncookies"))
