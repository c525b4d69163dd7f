"""What is told at once: systemd's units, links, the kernel's messages, mounts, plugs, power, watched processes."""

import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from agent import wire
from agent.dbus import DBusError, decode, encode_call, split
from agent.errands import Errands
from agent.events import Events
from agent.heavy import TOP, every_heavy
from agent.journal import Journal, siphash24
from agent.meaning import Meaning
from agent.probes.host import Host
from agent.scout import BURST, REFILL, Look, Scout, alive, kept_here, looks_for
from agent.units import Units, unit_name
from agent.watch import Kernel, Watch, links, uevent
from tests.agent.collector import TestCollector
from tests.agent.helpers import Clock, Lines, agent, enrolled, eventually, idle_scout
from tests.agent.machines import FIXTURES, unpack
from tests.agent.recorded import lay
from tests.agent.systemd import PYTHON, booted, inside, needs_systemd, possible, systemctl

SERVICE = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep %s\n"


def said(events: Events) -> list[tuple[str, str, str]]:
    told = [json.loads(payload) for payload in events.drain()]
    return [(one["type"], one["level"], one["text"]) for one in told]


def made_events() -> Events:
    clock = Clock()
    return Events(clock, clock)


@needs_systemd()
def test_a_real_systemd_end_to_end(collector: TestCollector, tmp_path: Path) -> None:
    """Units as systemctl tells them; one that dies is at the collector long before the next reading is due."""
    units = {
        "web.service": SERVICE % 1_000,
        "a@b\\x2dc.service": SERVICE % 1_000,
        "flap.service": SERVICE % 0.2 + "Restart=always\nRestartSec=0.1\n",
    }
    with booted(tmp_path, units) as root:
        for name in units:
            systemctl(root, "start", name)
        state = enrolled(collector, tmp_path / "shared" / "state")
        (state / "agent.conf").write_text("interval = 600\n")
        command = inside(root, PYTHON, "-I", "-S", "/src/agent/__main__.py", "--state", "/shared/state", "run")
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: collector.rows(), 60)
            first = collector.rows()[0].values
            active = 'node_systemd_unit_state{name="%s",state="active",type="simple"}'
            assert first[active % "web.service"] == 1
            assert first[active % "a@b\\\\x2dc.service"] == 1
            assert first['node_systemd_service_restart_total{name="web.service"}'] == 0
            systemctl(root, "kill", "-s", "KILL", "web.service")
            failed = 'node_systemd_unit_state{name="web.service",state="failed",type="simple"}'
            eventually(lambda: collector.rows()[-1].values.get(failed) == 1, 60)
            restarts = 'node_systemd_service_restart_total{name="flap.service"}'
            assert collector.rows()[-1].values[restarts] >= 0
            told = [json.loads(payload) for kind, payload in collector.taken.frames.values() if kind == wire.Kind.EVENT]
            assert ("unit", "web.service", "web.service has failed") in [
                (one["type"], one["source"], one["text"]) for one in told
            ]
        finally:
            process.kill()
            process.wait(10)


def test_no_systemd_is_no_failure_and_is_asked_again_later() -> None:
    clock = Clock()
    units = Units(addresses=("/nonexistent/a", "/nonexistent/b"), monotonic=clock)
    assert not units.pump()
    assert units.file == -1


class FakeBus:
    """Listens where systemd would, and says what the test wants."""

    def __init__(self, folder: Path) -> None:
        import socket

        self.address = str(folder / "private")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen()

    def say(self, data: bytes) -> None:
        connected, _ = self.listener.accept()
        connected.sendall(data)
        connected.close()


@pytest.mark.parametrize(
    "data",
    [b"", b"REJECTED\r\n", b"x" * 600, b"OK 1\r\n" + b"\xff" * 64, b"OK 1\r\nl\x04\x01\x01" + b"\xff" * 12,
     b"OK 1\r\nl\x02\x00\x01\x04\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x08\x01g\x00\x02ai\x00\xff\xff\xff\xff"],
    ids=range(6),
)  # fmt: skip
def test_one_that_says_nonsense_in_the_place_of_systemd(tmp_path: Path, data: bytes) -> None:
    bus = FakeBus(tmp_path)
    units = Units(addresses=(bus.address,), monotonic=Clock())
    units.pump()
    bus.say(data)
    assert not units.pump() or not units.pump()
    assert not units.loaded
    bus.listener.close()


def test_messages_of_dbus() -> None:
    call = encode_call(7, "/a", "b.c", "Get", "one", "two", destination="d.e")
    told = decode(call + b"more")
    assert told is not None
    message, length = told
    assert length == len(call)
    assert message.body == ["one", "two"]
    assert message.fields == {
        "path": "/a",
        "interface": "b.c",
        "member": "Get",
        "destination": "d.e",
        "signature": "ss",
    }
    for cut in range(len(call)):
        assert decode(call[:cut]) is None
    assert split("sa{sv}(ii)aas") == ["s", "a{sv}", "(ii)", "aas"]
    with pytest.raises(DBusError):
        decode(b"B" + call[1:])


def test_names_in_object_paths() -> None:
    prefix = "/org/freedesktop/systemd1/unit/"
    assert unit_name(prefix + "ssh_2eservice") == "ssh.service"
    assert unit_name(prefix + "a_40b_5cx2dc_2eservice") == "a@b\\x2dc.service"
    assert unit_name(prefix + "_zz") == "_zz"


def record(severity: int, text: str, facility: int = 0) -> bytes:
    return f"{facility * 8 + severity},1,2,-;{text}\n KEY=x\n".encode()


class Records:
    """Stands where /dev/kmsg is: hands out a record for each read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, records: list[bytes | OSError]) -> None:
        self.records = records
        real = os.read

        def read(file: int, size: int) -> bytes:
            if file != self.file:
                return real(file, size)
            if not self.records:
                raise BlockingIOError
            record = self.records.pop(0)
            if isinstance(record, OSError):
                raise record
            return record

        self.file = -1
        monkeypatch.setattr(os, "read", read)


def test_what_the_kernel_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(monkeypatch, [
        record(6, "usb 1-1: new device"), record(3, "EXT4-fs error (device sda1): bad\xff"), record(4, "warned"),
        record(3, "from a program", facility=3), OSError(32, "Broken pipe"), b"rubbish", record(2, "panic soon"),
    ])  # fmt: skip
    kernel = Kernel("/dev/null")
    records.file = kernel.file
    assert list(kernel.records()) == [
        ("err", "EXT4-fs error (device sda1): bad\xff"), ("warning", "warned"), ("crit", "panic soon"),
    ]  # fmt: skip
    assert (kernel.counts["err"], kernel.counts["warning"], kernel.overrun) == (1, 1, 1)
    records.records = [record(3, "flood")] * 100_000
    assert len(list(kernel.records())) < 1_000
    os.close(kernel.file)


def test_an_oom_kill_is_an_event_and_a_reading_at_once(server: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    events = made_events()
    watch = Watch(server, events, kmsg="/dev/null")
    assert watch._kernel is not None
    records = Records(monkeypatch, [record(3, "Out of memory: Killed process 7 (java) total-vm:1kB")])
    records.file = watch._kernel.file
    assert watch.look({records.file})
    assert said(events) == [("kernel", "error", "Out of memory: Killed process 7 (java) total-vm:1kB")]
    assert watch.readings()['watchdesk_kernel_messages_total{level="err"}'] == 1
    watch.close()


@pytest.fixture
def server(tmp_path: Path) -> Host:
    unpack("server", tmp_path)
    return Host(root=f"{tmp_path}/root", proc=f"{tmp_path}/proc", sys=f"{tmp_path}/sys")


def test_a_file_system_that_becomes_read_only(server: Host) -> None:
    events = made_events()
    watch = Watch(server, events, kmsg="/nonexistent")
    assert watch.absent["kernel"] == "No such file or directory"
    assert not watch.look_at_mounts()
    table = Path(server.proc, "1/mounts")
    lines = table.read_text().splitlines()
    root = next(line for line in lines if line.split()[1] == "/")
    options = root.split()[3]
    table.write_text(table.read_text().replace(root, root.replace(f" {options} ", " ro,errors=remount-ro ")))
    assert watch.look_at_mounts()
    assert said(events) == [("kernel", "error", "the file system at / has become read-only")]
    assert not watch.look_at_mounts()
    watch.close()


@pytest.mark.skipif(shutil.which("ip") is None or not possible(), reason="needs ip, and root that may make namespaces")
def test_a_link_that_goes_down_in_a_namespace_of_its_own() -> None:
    """The real kernel's rtnetlink, in a network that nobody else sees."""
    code = (
        "import json, select, subprocess, sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from agent.events import Events; from agent.probes.host import Host; from agent.watch import Watch\n"
        "ip = lambda *words: subprocess.run(['ip', *words], check=True)\n"
        "ip('link', 'add', 'one0', 'type', 'bridge'); ip('link', 'set', 'one0', 'up'); time.sleep(0.2)\n"
        "events = Events(time.time, time.monotonic); watch = Watch(Host(), events, kmsg='/nonexistent')\n"
        "ip('link', 'set', 'one0', 'down'); ip('link', 'del', 'one0')\n"
        "poll = select.poll(); [poll.register(*file) for file in watch.files()]\n"
        "until = time.monotonic() + 30; out = []\n"
        "while time.monotonic() < until and len(out) < 2:\n"
        "    watch.look({file for file, _ in poll.poll(100)}); out += events.drain()\n"
        "print(json.dumps([json.loads(one)['text'] for one in out]))\n"
    )
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", code, str(Path(__file__).parents[2])], capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == ["network link one0 is down", "network link one0 is gone"]


def netlink(kind: int, name: str, state: int) -> bytes:
    attributes = b""
    for number, data in ((3, name.encode() + b"\0"), (16, bytes((state,)))):
        attributes += struct.pack("=HH", len(data) + 4, number) + data + bytes(-len(data) % 4)
    return struct.pack("=IHHII", 32 + len(attributes), kind, 0, 0, 0) + bytes(16) + attributes


def test_datagrams_of_rtnetlink() -> None:
    assert list(links(netlink(16, "eth0", 2) + netlink(17, "eth1", 6))) == [("eth0", "down"), ("eth1", "gone")]
    assert list(links(netlink(20, "eth0", 2) + b"\xff" * 40)) == []
    whole = netlink(16, "eth0", 2)
    for cut in range(len(whole)):
        list(links(whole[:cut]))


def test_what_is_plugged_in(server: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    events = made_events()
    watch = Watch(server, events, kmsg="/nonexistent")
    lay(Path(server.sys), {"devices/usb1/1-1/product": "Headset\n", "devices/usb1/1-1/manufacturer": "Acme\n"})
    told = b"add@/devices/usb1/1-1\0ACTION=add\0DEVPATH=/devices/usb1/1-1\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0"
    watch._plugged(uevent(told), "usb")
    watch._plugged(uevent(b"remove@/x\0ACTION=remove\0DEVPATH=/block/sdb\0DEVTYPE=disk\0"), "block")
    watch._plugged(uevent(b"add@/x\0ACTION=add\0DEVPATH=/block/loop7\0DEVTYPE=disk\0"), "block")
    watch._plugged(uevent(b"\xff\xfe\0=\0==\0"), "usb")
    assert [text for _, _, text in said(events)] == ["usb device plugged in: Acme Headset", "block device removed: sdb"]
    watch.close()


def test_mains_power_that_is_lost(server: Host) -> None:
    events = made_events()
    watch = Watch(server, events, kmsg="/nonexistent")
    online = next(Path(server.sys, "class/power_supply").glob("*/online"))
    before = online.read_text().strip()
    online.write_text("0\n" if before == "1" else "1\n")
    assert watch._look_at_power()
    assert "mains supply" in said(events)[0][2]
    watch.close()


def test_a_watched_process_that_ends_is_told_within_a_second(collector: TestCollector, state: Path) -> None:
    sleeper = subprocess.Popen(["/bin/sleep", "600"])
    config = "interval = 600\nwatch.processes = sleep, no-such-program\n"
    try:
        with agent(state, config=config):
            eventually(lambda: collector.rows())
            row = collector.rows()[0].values
            assert row['watchdesk_process_count{name="sleep"}'] >= 1
            assert row['watchdesk_process_count{name="no-such-program"}'] == 0
    finally:
        sleeper.kill()
        sleeper.wait()


def test_looks_at_watched_processes(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/7/stat": "", "proc/8/stat": ""})
    host = Host(proc=str(tmp_path / "proc"), options={"watch.processes": "a,b"})
    host.memory["processes.watched"] = {"a": ["7"], "b": ["8", "9"], "c": []}
    (look,) = [one for one in looks_for(host, None) if one.name == "processes"]
    events = made_events()
    scout = Scout(events, idle_scout().errands, looks=[look])
    assert alive(host) == {"a", "b"}
    (tmp_path / "proc/7/stat").unlink()
    (tmp_path / "proc/7").rmdir()
    assert scout.step(100.0)
    assert said(events) == [("service", "error", "no process is left of: a")]
    assert not scout.step(100.5)


def test_a_machine_on_which_all_changes_all_the_time_is_not_read_all_the_time() -> None:
    turns = iter(range(1_000_000))
    scout = Scout(made_events(), idle_scout().errands, looks=[Look("x", lambda: next(turns), lambda _a, _b: None)])
    taken = sum(scout.step(float(second)) for second in range(1, 601))
    assert taken <= BURST + 600 / REFILL + 1


def test_who_logs_in_is_told_unless_the_policy_keeps_it_here(tmp_path: Path) -> None:
    host = Host()
    told = ["bob has logged in (remote)", "ann has logged out (local)"]
    chosen: list[tuple[dict[str, str], list[str]]] = [({}, told), ({"privacy.events.login": "off"}, [])]
    for options, expected in chosen:
        clock = Clock()
        events = Events(clock, clock, kept_here(options))
        meaning = Meaning(host, events, idle_scout().errands, None, clock)
        host.memory["users.sessions"] = {("ann", "local", "1")}
        meaning.look({})
        host.memory["users.sessions"] = {("bob", "remote", "2")}
        meaning.look({})
        assert [text for _, _, text in said(events)] == expected


def test_evidence_is_taken_when_the_processors_are_busy_or_memory_is_short() -> None:
    clock = Clock(1_000.0)
    events = Events(clock, clock)
    errands = Errands([], [], lambda _words: pytest.fail("not yet"), events, Lines(), 0.0)
    meaning = Meaning(Host(), events, errands, None, clock)

    def look(idle: float, available: float) -> bool:
        clock.now += 10
        errands.list.pop(TOP.name, None)
        meaning.look({
            'node_cpu_seconds_total{cpu="0",mode="idle"}': idle, 'node_cpu_seconds_total{cpu="1",mode="idle"}': idle,
            "node_memory_MemTotal_bytes": 100.0, "node_memory_MemAvailable_bytes": available,
        })  # fmt: skip
        return TOP.name in errands.list

    assert [look(*given) for given in ((100.0, 50.0), (109.0, 50.0), (109.5, 50.0), (119.0, 50.0), (128.0, 5.0))] == [
        False, False, True, False, True,
    ]  # fmt: skip


def test_what_is_installed_or_gets_an_account_brings_the_inventory_forward(tmp_path: Path) -> None:
    clock = Clock(100_000.0)
    inventory = every_heavy("linux")["inventory"]
    errands = Errands([inventory], [], lambda _words: pytest.fail("not yet"), Events(clock, clock), Lines(), clock.now)
    errand = errands.list["inventory"]
    meaning = Meaning(Host(root=str(tmp_path)), Events(clock, clock), errands, None, clock)
    lay(tmp_path, {"var/lib/dpkg/status": b"Package: a\n"})
    errand.began, errand.due = clock.now, clock.now + inventory.every
    for _ in range(3):
        meaning.look({})
        assert errand.due == 100_000.0 + inventory.every  # nothing has changed
    clock.now += 60
    os.utime(tmp_path / "var/lib/dpkg/status", (1, 1))
    meaning.look({})
    assert errand.due == 100_600.0  # not more often than that
    clock.now += 3_600
    lay(tmp_path, {"etc/passwd": b"eve:x:0:0::/:/bin/sh\n"})
    errand.due = clock.now + inventory.every
    meaning.look({})
    assert errand.due == clock.now + 60
    meaning.look({})
    assert errand.due == clock.now + 60


def test_the_journal_is_asked_only_when_it_has_new_errors(tmp_path: Path) -> None:
    """A file as systemd 252 writes it, with 2 critical messages and 5 errors among 358."""
    data = zlib.decompress((FIXTURES / "system.journal.zlib").read_bytes())
    lay(tmp_path, {"var/log/journal/m/system.journal": data})
    journal = Journal(str(tmp_path), "m")
    assert journal.count() == 7
    assert [journal._entries(b"PRIORITY=%d" % level) for level in range(8)] == [0, 0, 2, 5, 7, 19, 300, 25]
    journal.close()
    for cut in (0, 100, 240, 300, 5_000, 100_000):
        lay(tmp_path, {"var/log/journal/m/system.journal": data[:cut]})
        journal.count()  # never more than None
    assert Journal(str(tmp_path), "other").count() is None


def test_siphash_of_its_paper() -> None:
    assert siphash24(bytes(range(15)), bytes(range(16))) == 0xA129CA6149BE45E5


def test_nothing_is_looked_at_while_nothing_happens(collector: TestCollector, state: Path) -> None:
    """No tick a second: between two readings the agent sleeps."""
    with agent(state, config="interval = 600\nheavy.delay = 3000\n") as process:
        eventually(lambda: collector.rows())
        time.sleep(2.5)
        before = switches(process.pid)
        time.sleep(3)
        assert switches(process.pid) - before < 20


def switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "voluntary_ctxt" in line)
