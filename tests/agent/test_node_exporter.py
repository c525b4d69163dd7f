"""Metric by metric against Debian's prometheus-node-exporter, on this machine and on the recorded one."""

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import probes
from agent.exposition import describe, metrics
from agent.probes.host import Host
from tests.agent.helpers import eventually
from tests.agent.machines import unpack
from tests.agent.readings import Elsewhere, Series, key, ours
from tests.agent.systemd import PYTHON, booted, inside, needs_systemd, systemctl

BINARY = shutil.which("prometheus-node-exporter")

pytestmark = pytest.mark.skipif(BINARY is None, reason="prometheus-node-exporter is missing: make servers")

# What node_exporter reads and the agent does not (yet).
NOT_OURS = tuple(
    str.split(
        "node_exporter_ node_scrape_ node_textfile_ node_processes_threads_state node_xfs_ node_btrfs_ node_zfs_ "
        "node_nfs node_rapl_ node_ipvs_ node_infiniband_"
    )
)
# What goes both ways, or by more between node_exporter's reading and ours than between our two around it.
RESTLESS = tuple(
    str.split(
        "node_procs_running node_procs_blocked node_sockstat_ node_netstat_Tcp_CurrEstab node_filefd_ node_memory_ "
        "node_filesystem_ node_processes_ node_network_ node_disk_io_now node_udp_queues node_nf_conntrack_entries "
        "node_hwmon_ node_thermal_ node_cpu_scaling_frequency_hertz node_entropy_available_bits node_power_supply_ "
        "node_arp_entries node_load node_timex_"
    )
)


@contextmanager
def exporter(*options: str, within: Sequence[str] = ()) -> Iterator[str]:
    """A node_exporter, started by the words of `within`; yields its URL."""
    assert BINARY is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    url = f"http://{address}/metrics"
    command = [*within, BINARY, f"--web.listen-address={address}", "--collector.processes", *options]
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


def compared(found: dict[Series, float]) -> dict[Series, float]:
    return {
        series: value
        for series, value in found.items()
        if series[0].startswith("node_") and not series[0].startswith(NOT_OURS)
    }


@pytest.mark.parametrize("name", ["server", "old", "new"])
def test_the_recorded_machines(tmp_path: Path, name: str) -> None:
    unpack(name, tmp_path)
    host = Host(root=f"{tmp_path}/root", proc=f"{tmp_path}/proc", sys=f"{tmp_path}/sys")
    with exporter(
        f"--path.procfs={tmp_path}/proc",
        f"--path.sysfs={tmp_path}/sys",
        f"--path.rootfs={tmp_path}/root",
        f"--path.udev.data={tmp_path}/root/run/udev/data",
        "--no-collector.netdev.netlink",
    ) as url:
        mine, (told, types) = compared(ours(host)), theirs(url)
    # It makes a processor 1 of the server up, with all zeros, for there are 0 and 2.
    phantom = {("node_cpu_seconds_total", "1"), ("node_cpu_guest_seconds_total", "1")} if name == "server" else set()
    # What it reads of its own interfaces by netlink only.
    alone = ("node_network_receive_nohandler_total",) if name == "new" else ()
    peers = {
        series: value
        for series, value in compared(told).items()
        if (series[0], dict(series[1]).get("cpu")) not in phantom
    }
    assert {series for series in mine if not series[0].startswith(alone or "-")} == peers.keys()
    assert types_that_differ({series[0] for series in mine}, types) == {}
    live = ("node_time_seconds", "node_filesystem_", "node_timex_")
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
    host = Host()
    with exporter() as url:
        wrong = disagreeing(url, lambda: ours(host))
        for _ in range(5):
            if not wrong:
                break
            again = disagreeing(url, lambda: ours(host))
            wrong = {series: again[series] for series in wrong.keys() & again.keys()}
        _, types = theirs(url)
    assert wrong == {}
    assert types_that_differ({series[0] for series in ours(host)}, types) == {}


def disagreeing(url: str, read: Callable[[], dict[Series, float]]) -> dict[Series, tuple[float | None, ...]]:
    """Return (before, theirs, after) of what one side has alone, or tells differently."""
    before = compared(read())
    peers = compared(theirs(url)[0])
    after = compared(read())
    assert len(peers) > 250
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


def types_that_differ(names: set[str], types: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return (our type, theirs) of the metrics of which both tell, and not the same."""
    told = [metric for probe in probes.discover().values() for metric in metrics(probe.read.__doc__ or "")]
    ours = {name: describe(name, told)[0] for name in names & types.keys()}
    return {name: (kind, types[name]) for name, kind in ours.items() if kind != types[name]}


SERVICE = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep %s\n"
ONCE = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=%s\n"
UNITS = {
    "web.service": SERVICE % 1_000,
    "a@b\\x2dc.service": SERVICE % 1_000,
    "wants.service": SERVICE.replace("[Service]", "Wants=missing.service\n[Service]") % 1_000,
    "notify.service": SERVICE % 1_000 + "Type=notify\nTimeoutStartSec=1000\n",
    "one.service": ONCE % "/bin/true",
    "bad.service": ONCE % "/bin/false",
    "tick.timer": "[Unit]\nDefaultDependencies=no\n[Timer]\nOnActiveSec=0.1\nUnit=one.service\n",
    "never.timer": "[Unit]\nDefaultDependencies=no\n[Timer]\nOnActiveSec=1000\nUnit=one.service\n",
    "echo.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/echo.sock\nAccept=yes\n",
    "web.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/web.sock\n",
    "my.target": "[Unit]\nDefaultDependencies=no\n",
    "my.slice": "[Unit]\nDefaultDependencies=no\n",
}
# Names that the table of mounts escapes, one mounted over another, one read-only through a bind, one of no size.
MOUNTS = r"""
mkdir /odd && cd /odd
for name in plain 'with space' 'tab	tab' 'back\slash' 'quote"q' 'hash#h' 'uni-é中' 'oct\040x' 'new
line'; do
    mkdir "$name" && mount -t tmpfs -o size=1m,nr_inodes=100 "dev $name" "/odd/$name"
done
mkdir bound over zero shut
mount --bind /odd/plain bound && mount -o remount,ro,bind bound
mount -t tmpfs -o size=3m first over && mount -t tmpfs -o size=4m second over && mount -t tmpfs -o size=4m second over
mount -t tmpfs -o size=0,nr_inodes=0 none zero
mount -t tmpfs -o mode=000,ro shut shut
"""


@needs_systemd()
def test_a_systemd_with_odd_mounts(tmp_path: Path) -> None:
    """All that it has by default, and its systemd collector with restarts, in namespaces of our own."""
    with booted(tmp_path, UNITS) as root:
        subprocess.run(inside(root, "sh", "-ec", MOUNTS), check=True)
        agent = Elsewhere(inside(root, PYTHON, "-I", "-S"), "/src/tests/agent/readings.py")
        try:
            agent.read()  # so that it is told of what comes now
            systemctl(root, "start", "--no-block", *UNITS)
            eventually(lambda: "activating" in systemctl(root, "is-active", "notify.service"), 60)
            eventually(lambda: "failed" in systemctl(root, "is-active", "bad.service"), 60)
            subprocess.run(inside(root, "mount", "-t", "tmpfs", "later", "/odd/over"), check=True)
            options = ("--collector.systemd", "--collector.systemd.enable-restarts-metrics")
            with exporter(*options, within=inside(root)) as url:
                # There is no /sys in it, where the agent finds these.
                unseen = {"node_network_receive_nohandler_total"}
                wrong = disagreeing(url, agent.read)
                until = time.monotonic() + 60
                while {name for name, _ in wrong} - unseen and time.monotonic() < until:  # systemd tells of its units
                    wrong = disagreeing(url, agent.read)
                _, types = theirs(url)
            mine = compared(agent.read())
        finally:
            agent.close()
    assert [(series, told) for series, told in wrong.items() if series[0] not in unseen] == []
    assert types_that_differ({series[0] for series in mine}, types) == {}
    points = {dict(labels)["mountpoint"] for name, labels in mine if name == "node_filesystem_readonly"}
    assert {"/odd/with space", "/odd/tab\ttab", '/odd/quote"q', "/odd/uni-é中", "/odd/over", "/odd/bound"} <= points
    states = {dict(labels)["name"] for name, labels in mine if name == "node_systemd_unit_state"}
    assert {"bad.service", "a@b\\x2dc.service", "echo.socket"} <= states
