"""Which metrics somebody sends: agents, network gear through its profiles, the collector itself, or who sends now."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from rules import packs
from rules.files import parse
from rules.promql.source import parse as parse_expression
from rules.source import looked_at

# Families of the agent's probes; `*` where the kernel, the hardware or the driver gives the names.
_AGENT: Final = (
    "node_arp_entries", "node_bonding_*", "node_boot_time_seconds", "node_context_switches_total",
    "node_cooling_device_*_state", "node_cpu_*", "node_disk_*", "node_dmi_info", "node_edac_*", "node_entropy_*",
    "node_filefd_*", "node_filesystem_*", "node_forks_total", "node_hwmon_*", "node_intr_total", "node_load1",
    "node_load5", "node_load15", "node_md_*", "node_memory_*_bytes", "node_memory_HugePages_*", "node_netstat_*",
    "node_network_*", "node_nf_conntrack_*", "node_nvme_info", "node_os_*", "node_power_supply_*",
    "node_pressure_*", "node_processes_*", "node_procs_*", "node_reboot_required", "node_schedstat_*",
    "node_selinux_*", "node_sockstat_*", "node_softnet_*", "node_systemd_*", "node_thermal_zone_temp",
    "node_time_*", "node_udp_queues", "node_uname_info", "node_vmstat_*", "node_xfs_*", "node_zfs_*",
    "node_timex_*", "smartctl_device*", "watchdesk_*",
)  # fmt: skip
_COLLECTOR: Final = ("up", "ALERTS", "ALERTS_FOR_STATE", "probe_*")
_METRIC: Final = re.compile(r"\bmetric: ([a-zA-Z_:][a-zA-Z0-9_:]*)")
_PROFILES: Final = Path(__file__).parent / "snmp" / "profiles"


class Known(Mapping[str, int]):
    """The metrics that there can be; the value is how many series there are now, as `now` tells, else 0."""

    def __init__(self, now: Mapping[str, int] | None = None) -> None:
        self._now = now or {}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._now or name in self._names or bool(self._globs.fullmatch(name)))

    def __getitem__(self, name: str) -> int:
        if name not in self:
            raise KeyError(name)
        return self._now.get(name, 0)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names | self._now.keys())

    def __len__(self) -> int:
        return len(self._names | self._now.keys())

    @cached_property
    def _globs(self) -> re.Pattern[str]:
        return re.compile("|".join(fnmatch.translate(glob) for glob in (*_AGENT, *_COLLECTOR)))

    @cached_property
    def _names(self) -> frozenset[str]:
        """What the profiles of network gear make, and what the shipped rules read or record."""
        profiles = (path.read_text(encoding="utf-8") for path in _PROFILES.glob("*.yml"))
        names = {name for text in profiles for name in _METRIC.findall(text)}
        for file, text in packs.load().items():
            for group in parse(text, file):
                for rule in group.rules:
                    names |= looked_at(parse_expression(rule.expr).tree)[0]
                    names |= {rule.name} if rule.kind == "record" else set()
        return frozenset(names)
