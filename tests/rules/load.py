"""What rule benchmarks run on: fleets of devices with node_exporter's series, and twenty typical rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from rules.fleet import Fleet
from rules.layouts import Layout, Series

INTERVAL = 10.0
START = 1_700_000_000.0

RULES: tuple[tuple[str, str], ...] = (
    ("InstanceDown", "up == 0"),
    ("CpuHigh", '100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100 > 85'),
    ("MemoryHigh", "(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) * 100 > 90"),
    ("SwapLow", "node_memory_SwapFree_bytes / (node_memory_SwapTotal_bytes > 0) < 0.5"),
    ("DiskHigh", "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1 and node_filesystem_readonly == 0"),
    ("DiskFills", "predict_linear(node_filesystem_avail_bytes[10m], 86400) < 0"),
    ("InodesLow", "node_filesystem_files_free / node_filesystem_files * 100 < 5"),
    ("DiskBusy", "rate(node_disk_io_time_seconds_total[5m]) > 0.95"),
    ("DiskSlow", "rate(node_disk_read_time_seconds_total[5m]) / rate(node_disk_reads_completed_total[5m]) > 0.02"),
    ("NetErrors", "increase(node_network_receive_errs_total[5m]) > 100"),
    ("NetBusy", "rate(node_network_receive_bytes_total[5m]) * 8 / node_network_speed_bytes > 0.9"),
    ("LoadHigh", 'node_load1 / on(instance) count by (instance) (node_cpu_seconds_total{mode="idle"}) > 1.5'),
    ("ClockOff", "abs(watchdesk_clock_offset_seconds) > 60"),
    ("Rebooted", "time() - node_boot_time_seconds < 600"),
    ("Restarted", "changes(node_boot_time_seconds[10m]) > 0"),
    ("FilesOpen", "node_filefd_allocated / node_filefd_maximum > 0.9"),
    ("Steal", 'avg by (instance) (rate(node_cpu_seconds_total{mode="steal"}[10m])) * 100 > 10'),
    ("OomKill", "increase(node_vmstat_oom_kill[10m]) > 0"),
    ("LoadTrend", "avg_over_time(node_load1[10m]) > 100"),
    ("SiteDown", "sum by (site) (up) / count by (site) (up) < 0.5"),
)


def rule_file(interval: str = "1s") -> str:
    """Return the twenty rules as a Prometheus rule file."""
    lines = ["groups:", "- name: bench", f"  interval: {interval}", "  rules:"]
    for name, expr in RULES:
        lines += [f"  - alert: {name}", f"    expr: '{expr.replace(chr(39), chr(34))}'", "    for: 5m"]
    return "\n".join(lines) + "\n"


_CPU = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_PER_DISK = ("io_time_seconds_total", "read_time_seconds_total", "reads_completed_total", "write_time_seconds_total",
             "writes_completed_total")  # fmt: skip
_PER_NET = ("receive_bytes_total", "receive_errs_total", "receive_packets_total", "speed_bytes",
            "transmit_bytes_total", "transmit_errs_total", "transmit_packets_total", "up")  # fmt: skip
_PER_FS = ("avail_bytes", "device_error", "files", "files_free", "readonly", "size_bytes")
_ALONE = ("up", "node_boot_time_seconds", "node_filefd_allocated", "node_filefd_maximum", "node_load1", "node_load5",
          "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", "node_memory_SwapFree_bytes",
          "node_memory_SwapTotal_bytes", "node_vmstat_oom_kill", "watchdesk_clock_offset_seconds",
          "watchdesk_device_excused", "watchdesk_updates_pending")  # fmt: skip
# What a healthy device shows: (part of the name or mode, value at the start, rise a second, scatter).
_HEALTHY: tuple[tuple[str, float, float, float], ...] = (
    ("up", 1, 0, 0),
    ("boot_time", START - 1e6, 0, 0),
    ("idle", 1e5, 0.9, 0.1),
    ("node_cpu", 1e3, 0.01, 0.005),
    ("errs", 3, 0, 0),
    ("oom", 0, 0, 0),
    ("io_time", 500, 0.1, 0.05),
    ("_time_seconds", 50, 0.01, 0.002),
    ("completed", 1e6, 10, 5),
    ("packets", 1e6, 100, 9),
    ("bytes_total", 1e9, 1e4, 99),
    ("speed", 1.25e8, 0, 0),
    ("size", 1e11, 0, 0),
    ("avail", 6e10, 0, 1e6),
    ("files_free", 6e6, 0, 9),
    ("files", 1e7, 0, 0),
    ("maximum", 1e5, 0, 0),
    ("allocated", 1e3, 0, 9),
    ("Total", 1.6e10, 0, 0),
    ("Available", 8e9, 0, 1e7),
    ("Free", 1.5e10, 0, 0),
    ("load", 0.5, 0, 0.3),
    ("", 0, 0, 0),
)


def schema(count: int) -> Series:
    """Return so many series of a device; the twenty rules find theirs among the first hundred."""
    series: list[tuple[str, dict[str, str]]] = [(name, {}) for name in _ALONE]
    series += [(f"node_filesystem_{name}", {"mountpoint": "/", "fstype": "ext4"}) for name in _PER_FS]
    for core in range(4):
        series += [("node_cpu_seconds_total", {"cpu": str(core), "mode": mode}) for mode in _CPU]
    for disk in ("sda", "sdb"):
        series += [(f"node_disk_{name}", {"device": disk}) for name in _PER_DISK]
    for card in ("eth0", "eth1"):
        series += [(f"node_network_{name}", {"device": card}) for name in _PER_NET]
    series += [(f"node_filesystem_{name}", {"mountpoint": "/data", "fstype": "xfs"}) for name in _PER_FS]
    series += [("watchdesk_filler", {"number": str(number)}) for number in range(max(0, count - len(series)))]
    return series[:count]


def health(name: str, labels: Mapping[str, str]) -> tuple[float, float, float]:
    text = name + labels.get("mode", "")
    return next((value, rise, scatter) for part, value, rise, scatter in _HEALTHY if part in text)


class Load:
    """A fleet under load: each device sends a row every INTERVAL, spread evenly."""

    def __init__(self, fleet: Fleet, devices: int, series: int) -> None:
        self.fleet = fleet
        self.now = START
        self._series = schema(series)
        self._rng = np.random.default_rng(1)
        self.layouts: list[Layout] = [self.join(number) for number in range(devices)]
        self._base, self._rise, self._scatter = np.array([health(*each) for each in self._series]).T

    def join(self, number: int) -> Layout:
        """Add a device."""
        labels = {
            "instance": f"host{number}.site{number % 500}.customer{number % 50}",
            "job": "agent",
            "customer": f"customer{number % 50}",
            "site": f"site{number % 500}",
            "class": ("server", "desktop")[number % 2],
        }
        self.fleet.add_device(number, labels)
        return self.fleet.layout(number, 1, self._series)

    def rows(self, layouts: list[Layout]) -> Iterator[tuple[Layout, np.ndarray, np.ndarray]]:
        """Yield a row of each of these devices, at times within the last second."""
        elapsed = self.now - START
        noise = self._rng.random((len(layouts), 1))
        spread = self._rng.random((len(layouts), len(self._series)))
        values = self._base + self._rise * elapsed + self._scatter * spread
        for layout, row, late in zip(layouts, values, noise[:, 0].tolist(), strict=True):
            yield layout, np.array([self.now - late]), row[np.newaxis, :]

    def second(self) -> None:
        """Let a second pass."""
        self.now += 1
        turn = int(self.now - START) % int(INTERVAL)
        for layout, times, values in self.rows(self.layouts[turn :: int(INTERVAL)]):
            self.fleet.append(layout, times, values)
