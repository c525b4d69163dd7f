"""Metric by metric against Debian's prometheus-node-exporter, on this machine and on the recorded one."""

import math
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import probes, wire
from agent.probes import NoData
from agent.probes.host import Host
from tests.agent.helpers import eventually
from tests.agent.machines import unpack

BINARY = shutil.which("prometheus-node-exporter")
Series = tuple[str, frozenset[tuple[str, str]]]

if BINARY is None and os.environ.get("CI") == "true":
    raise RuntimeError("CI needs prometheus-node-exporter: make servers")
pytestmark = pytest.mark.skipif(BINARY is None, reason="prometheus-node-exporter is missing: make servers")

# What node_exporter reads and the agent does not (yet): adjtimex(2) needs ctypes, 1 MB of memory.
NOT_OURS = tuple(
    str.split(
        "node_exporter_ node_scrape_ node_textfile_ node_timex_ node_processes_threads_state node_systemd_ node_xfs_ "
        "node_btrfs_ node_zfs_ node_nfs node_rapl_ node_ipvs_ node_infiniband_"
    )
)
# What goes both ways, or by more between node_exporter's reading and ours than between our two around it.
RESTLESS = tuple(
    str.split(
        "node_procs_running node_procs_blocked node_sockstat_ node_netstat_Tcp_CurrEstab node_filefd_ node_memory_ "
        "node_filesystem_ node_processes_ node_network_ node_disk_io_now node_udp_queues node_nf_conntrack_entries "
        "node_hwmon_ node_thermal_ node_cpu_scaling_frequency_hertz node_entropy_available_bits node_power_supply_ "
        "node_arp_entries node_load"
    )
)


@contextmanager
def exporter(*options: str) -> Iterator[str]:
    """A node_exporter; yields its URL."""
    assert BINARY is not None
    port = 20_000 + os.getpid() % 10_000
    url = f"http://127.0.0.1:{port}/metrics"
    command = [BINARY, f"--web.listen-address=127.0.0.1:{port}", "--collector.processes", *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except OSError:
                return False
            return True

        eventually(answers)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def theirs(url: str) -> tuple[dict[Series, float], dict[str, str]]:
    """Return (values, type by metric)."""
    values: dict[Series, float] = {}
    types: dict[str, str] = {}
    with urllib.request.urlopen(url, timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                types[name] = kind
            elif line.startswith("node_"):
                series, _, value = line.rpartition(" ")
                values[key(series)] = float(value)
    return values, types


def key(series: str) -> Series:
    name, labels = wire.read_series(series)
    return name, frozenset(labels.items())


def ours(host: Host) -> dict[Series, float]:
    values: dict[Series, float] = {}
    for probe in probes.discover().values():
        try:
            values |= {key(series): value for series, value in probe.read(host) if not math.isnan(value)}
        except NoData:
            continue
    return values


def compared(found: dict[Series, float]) -> dict[Series, float]:
    return {
        series: value
        for series, value in found.items()
        if series[0].startswith("node_") and not series[0].startswith(NOT_OURS)
    }


def test_the_recorded_machine(tmp_path: Path) -> None:
    unpack("server", tmp_path)
    host = Host(root=f"{tmp_path}/root", proc=f"{tmp_path}/proc", sys=f"{tmp_path}/sys")
    with exporter(
        f"--path.procfs={tmp_path}/proc",
        f"--path.sysfs={tmp_path}/sys",
        f"--path.rootfs={tmp_path}/root",
        f"--path.udev.data={tmp_path}/root/run/udev/data",
        "--no-collector.netdev.netlink",
    ) as url:
        mine, (peers, _) = compared(ours(host)), theirs(url)
    # It makes a processor 1 up, with all zeros, for there are 0 and 2.
    phantom = {("node_cpu_seconds_total", "1"), ("node_cpu_guest_seconds_total", "1")}
    peers = {
        series: value
        for series, value in compared(peers).items()
        if (series[0], dict(series[1]).get("cpu")) not in phantom
    }
    assert mine.keys() == peers.keys()
    live = ("node_time_seconds", "node_filesystem_")
    differing = {
        series: (mine[series], value)
        for series, value in peers.items()
        if mine[series] != pytest.approx(value, rel=1e-12) and not series[0].startswith(live)
    }
    assert differing == {}


def test_this_machine() -> None:
    """A counter lies between our readings before and after; what may go both ways is only held to be near.

    The machine is at work meanwhile: what disagrees is looked at again, and is wrong if it always does.
    """
    with exporter() as url:
        wrong = disagreeing(url)
        for _ in range(5):
            if not wrong:
                break
            again = disagreeing(url)
            wrong = {series: again[series] for series in wrong.keys() & again.keys()}
    assert wrong == {}


def disagreeing(url: str) -> dict[Series, tuple[float | None, ...]]:
    """Return (before, theirs, after) of what one side has alone, or tells differently."""
    host = Host()
    before = compared(ours(host))
    peers = compared(theirs(url)[0])
    after = compared(ours(host))
    assert len(peers) > 300
    return {
        series: (before.get(series), peers.get(series), after.get(series))
        for series in before.keys() | peers.keys() | after.keys()
        if not agrees(series[0], before.get(series), peers.get(series), after.get(series))
    }


def agrees(name: str, before: float | None, value: float | None, after: float | None) -> bool:
    if name == "node_processes_state" and None in (before, value, after):
        return True  # no process in that state just then
    if before is None or value is None or after is None:
        return False
    least, most = sorted((before, after))
    if name.startswith(RESTLESS):
        in_bytes = name.endswith("_bytes") or name == "node_udp_queues"
        return abs(value - before) <= 0.25 * abs(before) + 64 * 1024 * 1024 * in_bytes + 20
    return least - 1e-9 * abs(least) <= value <= most + 1e-9 * abs(most)


def test_types_are_the_same() -> None:
    from agent.exposition import describe, metrics

    told = {name: metrics(probe.read.__doc__ or "") for name, probe in probes.discover().items()}
    with exporter() as url:
        _, types = theirs(url)
    wrong: dict[str, str] = {}
    for name, probe in probes.discover().items():
        try:
            names = {series.partition("{")[0] for series, _ in probe.read(Host())}
        except NoData:
            continue
        wrong |= {
            metric: describe(metric, told[name])[0]
            for metric in names & types.keys()
            if describe(metric, told[name])[0] != types[metric]
        }
    assert wrong == {}
