"""Linux probes on a recorded machine, to the letter; and on what a hostile or an old machine may show."""

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from agent import probes, wire
from agent.batch import Layout
from agent.exposition import describe, exposition, metrics, number
from agent.log import Log
from agent.probes import NoData, disk, filesystem, hwmon, timex
from agent.probes.host import MAX_FILE, Host
from agent.runner import Runner
from tests.agent.helpers import NOW, Clock
from tests.agent.machines import FIXTURES, unpack

FOUND = probes.discover("linux")
LIVE = ("uname", "systemd", "timex")  # ask the running kernel, the running systemd


def statvfs(path: str) -> os.statvfs_result:
    """A disk of 100 blocks, 40 free, 30 for users; one server does not answer any more."""
    if path.endswith("/gone"):
        raise OSError(116, "Stale file handle")
    return os.statvfs_result((4096, 1024, 100, 40, 30, 1000, 900, 900, 0, 255))


def machine(folder: Path, options: Mapping[str, str] | None = None) -> Host:
    return Host(
        root=str(folder / "root"),
        proc=str(folder / "proc"),
        sys=str(folder / "sys"),
        clock=Clock(NOW),
        statvfs=statvfs,
        options=options,
    )


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone that is the same everywhere."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def server(tmp_path: Path, utc: None) -> Host:
    return machine(unpack("server", tmp_path))


def read(name: str, host: Host) -> dict[str, float]:
    return {series: value for series, value in FOUND[name].read(host) if not math.isnan(value)}


def test_the_recorded_server_reads_as_expected(server: Host) -> None:
    """What is expected here was held against node_exporter on the same files, see test_node_exporter.py."""
    readings = {series: value for name in FOUND if name not in LIVE for series, value in read(name, server).items()}
    text = exposition(readings, [probe.read.__doc__ or "" for probe in FOUND.values()])
    expected = FIXTURES / "server.expected"
    if os.environ.get("WATCHDESK_REWRITE"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize("name", [name for name in FOUND if name not in LIVE])
def test_a_second_reading_of_the_same_is_the_same(server: Host, name: str) -> None:
    """What probes remember from one reading to the next must not change what they tell."""
    first = read(name, server)
    for _ in range(15):
        assert read(name, server) == first


@pytest.mark.parametrize("name", [name for name in FOUND if name not in (*LIVE, "time")])
def test_an_empty_machine_has_no_data(tmp_path: Path, name: str) -> None:
    (tmp_path / "proc").mkdir()
    with pytest.raises(NoData):
        read(name, machine(tmp_path))


def test_every_metric_that_is_read_is_documented(server: Host) -> None:
    for name in FOUND.keys() - {"systemd"}:
        told = metrics(FOUND[name].read.__doc__ or "")
        for series in read(name, server):
            kind, text = describe(series.partition("{")[0], told)
            assert text != "No help.", (name, series)
            assert kind == "counter" or not series.partition("{")[0].endswith("_total"), series


def test_every_series_is_in_prometheus_notation(server: Host) -> None:
    for name in FOUND.keys() - {"systemd"}:
        for series in read(name, server):
            wire.read_series(series)


def change(host: Host, path: str, text: str | bytes) -> None:
    file = Path(getattr(host, path.partition("/")[0])) / path.partition("/")[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_label_of_bytes_is_told_as_node_exporter_does(server: Host) -> None:
    change(server, "sys/class/power_supply/BAT0/model_name", b"LNV-45N1\xc0\x8a\n")
    assert any('model_name="LNV-45N1\ufffd"' in series for series in read("power", server))


def test_a_property_that_is_no_number_costs_the_others_nothing(server: Host) -> None:
    before = read("network", server)
    for file in ("mtu", "speed", "ifindex"):
        change(server, f"sys/class/net/eth0/{file}", "rubbish\n")
    server.memory.clear()
    gone = before.keys() - read("network", server).keys()
    names = ("node_network_mtu_bytes", "node_network_speed_bytes", "node_network_iface_id")
    assert gone == {name + '{device="eth0"}' for name in names}


def test_the_clock_as_the_kernel_keeps_it() -> None:
    """Of adjtimex(2): nanoseconds or microseconds by a bit of the status, and no data where asking is forbidden."""
    words = [0, 1_500, 65_536, 16, 32, 0x2001, 7, 1, 2, 3, 4, 10_000, 5, 6, 8, 9, 10, 11, 12, 13, 37]
    told = dict(timex.readings(0, timex.TIMEX.pack(*words)))
    assert told["node_timex_offset_seconds"] == 1.5e-6
    assert told["node_timex_frequency_adjustment_ratio"] == 1.000001
    assert told["node_timex_sync_status"] == 1
    assert told["node_timex_tai_offset_seconds"] == 37
    words[5] = 1
    told = dict(timex.readings(timex.TIME_ERROR, timex.TIMEX.pack(*words)))
    assert told["node_timex_offset_seconds"] == 1.5e-3
    assert told["node_timex_sync_status"] == 0
    with pytest.raises(NoData):
        dict(timex.readings(-1, bytes(timex.TIMEX.size)))


def test_idle_time_that_falls_a_little_does_not_fall_here(server: Host) -> None:
    idle = 'node_cpu_seconds_total{cpu="0",mode="idle"}'
    iowait = 'node_cpu_seconds_total{cpu="0",mode="iowait"}'
    for line, expected in (
        ("cpu0 0 0 0 1000 500 0 0 0 0 0\n", (10.0, 5.0)),
        ("cpu0 0 0 0 990 400 0 0 0 0 0\n", (10.0, 5.0)),
        ("cpu0 0 0 0 1010 510 0 0 0 0 0\n", (10.1, 5.1)),
        ("cpu0 0 0 0 10 5 0 0 0 0 0\n", (0.1, 0.05)),  # taken out and plugged in again
    ):
        change(server, "proc/stat", line)
        readings = read("cpu", server)
        assert (readings[idle], readings[iowait]) == expected


def test_an_old_kernel_tells_fewer_columns(server: Host) -> None:
    change(server, "proc/stat", "cpu0 1 2 3 4\nctxt 5\n")
    assert len(read("cpu", server)) == 5
    change(server, "proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n")
    assert "node_disk_discards_completed_total" not in {series.partition("{")[0] for series in read("disk", server)}


@pytest.mark.parametrize(
    ("device", "out"),
    [("sda", False), ("sda1", True), ("sdaa1", False), ("vda", False), ("xvdb2", True), ("nvme0n1", False),
     ("nvme0n1p2", True), ("nvme10n2p33", True), ("loop0", True), ("ram15", True), ("fd0", True), ("zram0", False),
     ("md0", False), ("dm-3", False), ("mmcblk0p1", False), ("sr0", False), ("hdc1", True), ("nvmeXn1p1", False)],
)  # fmt: skip
def test_which_disks_are_left_out(device: str, out: bool) -> None:
    """As `^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$`."""
    assert disk.ignored(device) is out


def test_udev_is_read_again_when_it_has_learned_more(server: Host) -> None:
    assert any('serial="2BADC0DE"' in series for series in read("disk", server))
    change(server, "root/run/udev/data/b8:0", "E:ID_SERIAL_SHORT=OTHER\n")
    os.utime(f"{server.root}/run/udev/data/b8:0", (NOW, NOW))
    assert any('serial="OTHER"' in series for series in read("disk", server))


def mounted(host: Host) -> set[str]:
    return {point for _, point, _, _ in filesystem.mounts(host)}


def test_which_mounts_are_left_out_can_be_chosen(tmp_path: Path) -> None:
    unpack("server", tmp_path)
    assert mounted(machine(tmp_path)) == {"/", "/srv/with space", "/gone", "/var/lib/docker"}
    options = {"filesystem.exclude_mounts": "/srv, /var/lib/", "filesystem.exclude_types": "proc, nfs4"}
    assert mounted(machine(tmp_path, options)) == {"/", "/run", "/media/usb", "/data"}


@pytest.mark.parametrize("part", ["serials", "addresses"])
def test_what_the_policy_keeps_here_is_in_no_label(tmp_path: Path, part: str) -> None:
    unpack("server", tmp_path)
    open_text = " ".join(series for name in FOUND.keys() - {*LIVE} for series in read(name, machine(tmp_path)))
    private = {"serials": ("2BADC0DE",), "addresses": ("01:01:01:01:01:01",)}[part]
    kept = machine(tmp_path, {"privacy." + part: "off"})
    closed = " ".join(series for name in FOUND.keys() - {*LIVE} for series in read(name, kept))
    for secret in private:
        assert secret in open_text
        assert secret not in closed
    if part == "serials":
        assert not re.search(r'serial[a-z_]*="[^"]', closed)


def test_proc_1_may_be_hidden(server: Host) -> None:
    change(server, "proc/mounts", "/dev/sdx /x ext4 rw 0 0\n")
    Path(server.proc, "1", "mounts").unlink()
    assert mounted(server) == {"/x"}


def test_a_mount_that_hangs_is_left_out_of_the_next_reading_until_it_answers(server: Host) -> None:
    """The thread that waits for it is still in statvfs: what it waits for is known."""
    reading = iter(FOUND["filesystem"].read(server))
    stuck: list[str] = []

    def hangs(path: str) -> os.statvfs_result:
        if path.endswith("/srv/with space") and not stuck:
            stuck.append(path)
            others = read("filesystem", server)  # what another thread reads meanwhile
            label = '{device="/dev/sdc",fstype="xfs",mountpoint="/srv/with space"}'
            assert others["node_filesystem_device_error" + label] == 1
            assert "node_filesystem_size_bytes" + label not in others
            assert others['node_filesystem_device_error{device="/dev/sda",fstype="ext4",mountpoint="/"}'] == 0
        return statvfs(path)

    server.statvfs = hangs
    after = dict(reading)
    assert stuck
    assert after['node_filesystem_device_error{device="/dev/sdc",fstype="xfs",mountpoint="/srv/with space"}'] == 0


HOSTILE: list[tuple[str, str, Callable[[], bytes]]] = [
    ("filesystem", "proc/1/mounts", lambda: b"/dev/\xff\xfe /m\x01\x1b[31m ext4 rw 0 0\n/\"q\\ /n\\134 ext4 rw 0 0\n"),
    ("filesystem", "proc/1/mounts", lambda: b"".join(b"d%d /m%d ext4 rw 0 0\n" % (n, n) for n in range(100_000))),
    ("filesystem", "proc/1/mounts", lambda: b"/dev/x /" + b"m" * 1_000_000 + b" ext4 rw 0 0\nshort\n"),
    ("disk", "proc/diskstats", lambda: b"8 0 \xff\xff 1 2 3 4 5 6 7 8 9 10 11\n8 0 \xfe\xfe 1 2 3 4 5 6 7 8 9 10 11\n"),
    ("network", "proc/net/dev", lambda: b"a\nb\n \xff: 1 2 3\n no colon\n"),
    ("network", "sys/class/net/eth0/ifalias", lambda: b"evil \"}\\\n{x=\xff\x00"),
    ("os_release", "root/etc/os-release", lambda: b"ID=\"\xff\\\"\n===\nNAME\nVERSION_ID=1.2.3.4.5\n"),
    ("power", "sys/class/power_supply/BAT0/manufacturer", lambda: b"\xff\n\nX"),
    ("hwmon", "sys/devices/virtual/hwmon/hwmon1/temp9_label", lambda: b"\"\\\n\x00\xff"),
    ("raid", "proc/mdstat", lambda: b"md0 : \nmd1 : active\n      x blocks [a/b]\nmd2 : active raid1\n"),
    ("memory", "proc/meminfo", lambda: b"\n\nA: 1 kB\nB\nC(x): 2\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "content"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_content_stays_content(server: Host, name: str, path: str, content: Callable[[], bytes]) -> None:
    """Whatever it is, what is sent is a schema that a collector takes, and the other probes are not concerned."""
    change(server, path, content())
    runner = Runner([FOUND[name], FOUND["load"]], server, Log("error"), patience=20.0)
    layout = Layout()
    row = layout.row(runner.read(), NOW)
    assert len(wire.read_schema(layout.payload)) == len(row)
    assert runner.outcomes["load"].state == "ok"


@pytest.mark.parametrize(
    ("name", "path"), [("cpu", "proc/stat"), ("load", "proc/loadavg"), ("netstat", "proc/net/snmp")]
)
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"cpu0 x y\n", b"Ip: A\nIp: x\n", b"1"])
def test_nonsense_fails_or_is_empty_and_never_ends_the_agent(
    server: Host, name: str, path: str, content: bytes
) -> None:
    change(server, path, content)
    runner = Runner([FOUND[name], FOUND["memory"]], server, Log("error"))
    runner.read()
    assert runner.outcomes["memory"].state == "ok"


def test_a_file_without_end_is_not_read_without_end(server: Host) -> None:
    change(server, "proc/loadavg", b"1" * (MAX_FILE + 100_000))
    with pytest.raises(ValueError, match="is longer than"):
        read("load", server)


def test_ten_thousand_processes_are_counted_and_not_at_each_reading(server: Host) -> None:
    for pid in range(100, 1_200):
        change(server, f"proc/{pid}/stat", f"{pid} (p) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 29 0 0")
    assert read("processes", server)["node_processes_pids"] == 1_103
    change(server, "proc/5000/stat", "5000 (p) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 29 0 0")
    counts = [read("processes", server)["node_processes_pids"] for _ in range(6)]
    assert counts == [1_103] * 5 + [1_104]


@pytest.mark.parametrize(
    ("file", "found"),
    [("temp1_input", ("temp", 1, "input")), ("pwm1", ("pwm", 1, "")), ("beep_enable", ("beep_enable", 0, "")),
     ("power1_average_interval", ("power", 1, "average_interval")), ("in0_", ("", 0, "")), ("temp1x", ("", 0, "")),
     ("pwm1_auto_point2_temp", ("pwm", 1, "auto_point2_temp")), ("uevent", ("uevent", 0, "")), ("1", ("", 1, ""))],
)  # fmt: skip
def test_names_of_sensors(file: str, found: tuple[str, int, str]) -> None:
    assert hwmon.explode(file) == found


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.5, "0.5"), (-3.0, "-3"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"),
     (1e300, "1e+300"), (1.795423501e9, "1795423501"), (-0.0, "0")],
)  # fmt: skip
def test_numbers_as_prometheus_writes_them(value: float, text: str) -> None:
    assert number(value) == text


def test_each_systems_list_names_modules_that_are_there() -> None:
    folder = Path(probes.__file__).parent
    listed = {name for platform in ("linux", "win32", "darwin") for name in probes.names(platform)}
    here = {file.stem for file in folder.glob("*.py")} - {"__init__", "host", "series", "drill"}
    assert listed == here
