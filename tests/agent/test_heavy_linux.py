"""Heavy readings of Linux on recorded files and recorded outputs of programs."""

import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errand import MAX_INVENTORY, inventory_payload
from agent.heavy import backup, certificates, inventory, journal, printers, security, smart, top, updates
from agent.heavy.der import certificate
from agent.heavy.der import certificates as of_file
from agent.heavy.edid import monitor
from agent.heavy.hardware_linux import memory_modules
from agent.heavy.tools import Inventory, Output, run
from agent.options import PARTS
from agent.probes import NoData
from tests.agent.authority import Authority
from tests.agent.helpers import NOW
from tests.agent.machines import FIXTURES
from tests.agent.recorded import Recorded, events, inventories, lay, series, task

SCAN = '{"devices": [{"name": "/dev/sda", "type": "sat"}, {"name": "/dev/nvme0", "type": "nvme"}]}'


def recorded(name: str) -> str:
    return (FIXTURES / "programs" / name).read_text()


def disks(sda: str | Output, nvme: str | Output) -> dict[str, str | Output]:
    return {
        "smartctl --scan": SCAN,
        "smartctl --json -n standby -a -d sat /dev/sda": sda,
        "smartctl --json -n standby -a -d nvme /dev/nvme0": nvme,
    }


def test_health_and_wear_of_disks() -> None:
    given = task(disks(recorded("smartctl-sata.json"), recorded("smartctl-nvme.json")))
    found = series(list(smart.read(given)))
    assert found == {
        'watchdesk_disk_asleep{device="sda"}': 0,
        'smartctl_device_smart_status{device="sda"}': 0,
        'smartctl_device_temperature{device="sda",temperature_type="current"}': 41,
        'smartctl_device_power_on_seconds{device="sda"}': 31_415 * 3_600,
        'smartctl_device_power_cycle_count{device="sda"}': 912,
        'watchdesk_disk_sectors{device="sda",kind="reallocated"}': 8,
        'watchdesk_disk_sectors{device="sda",kind="pending"}': 16,
        'watchdesk_disk_sectors{device="sda",kind="uncorrectable"}': 2,
        'smartctl_device_percentage_used{device="sda"}': 7,
        'smartctl_device_self_test_log_error_count{device="sda",self_test_log_type="standard"}': 1,
        'smartctl_device{device="sda",model_name="Samsung SSD 860 EVO 500GB",firmware_version="RVT04B6Q"}': 1,
        'watchdesk_disk_asleep{device="nvme0"}': 0,
        'smartctl_device_smart_status{device="nvme0"}': 1,
        'smartctl_device_temperature{device="nvme0",temperature_type="current"}': 38,
        'smartctl_device_power_on_seconds{device="nvme0"}': 2_100 * 3_600,
        'smartctl_device_power_cycle_count{device="nvme0"}': 310,
        'smartctl_device_percentage_used{device="nvme0"}': 93,
        'smartctl_device_critical_warning{device="nvme0"}': 4,
        'smartctl_device_media_errors{device="nvme0"}': 12,
        'smartctl_device_available_spare{device="nvme0"}': 60,
        'smartctl_device_available_spare_threshold{device="nvme0"}': 10,
        'smartctl_device_num_err_log_entries{device="nvme0"}': 44,
        'smartctl_device_unsafe_shutdowns{device="nvme0"}': 29,
        'smartctl_device_self_test_log_error_count{device="nvme0",self_test_log_type="nvme"}': 1,
        'smartctl_device{device="nvme0",model_name="WDC PC SN730",firmware_version="11170101"}': 1,
    }


def test_a_disk_that_sleeps_is_left_asleep_and_a_bad_one_stays_bad() -> None:
    asleep = Output(2, recorded("smartctl-standby.json"))
    first = task(disks(recorded("smartctl-sata.json"), asleep))
    list(smart.read(first))
    second = task(disks(asleep, asleep), memory=json.loads(json.dumps(first.memory)))
    assert series(list(smart.read(second))) == {
        'watchdesk_disk_asleep{device="sda"}': 1,
        'smartctl_device_smart_status{device="sda"}': 0,
        'smartctl_device_self_test_log_error_count{device="sda",self_test_log_type="standard"}': 1,
        'watchdesk_disk_asleep{device="nvme0"}': 1,
    }
    assert isinstance(second.command, Recorded)
    assert all("standby" in words for words in second.command.asked if "-a" in words)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "null",
        '{"smart_status": 1, "temperature": [], "ata_smart_attributes": {"table": {}}}',
        '{"ata_smart_attributes": {"table": [1, {"id": "x", "raw": 3}]}}',
    ],
)
def test_what_smartctl_should_not_say(said: str) -> None:
    assert list(smart.read(task(disks(said, said)))) == []


def test_no_smartctl() -> None:
    with pytest.raises(NoData):
        list(smart.read(task()))


APT = """NOTE: This is only a simulation!
Inst libssl3 [3.0.15-1] (3.0.17-1 Debian-Security:12/stable-security [amd64])
Inst base-files [12.4] (12.4+deb12u11 Debian:12.11/stable [amd64]) []
Inst linux-image-6.1.0-37-amd64 (6.1.140-1 Debian:12.11/stable [amd64])
Inst openssh-server [1:9.2p1-2] (1:9.2p1-2+deb12u6 Debian:12.11/stable, Debian-Security:12/stable-security [amd64])
Conf libssl3 (3.0.17-1 Debian-Security:12/stable-security [amd64])
"""
DNF = """
kernel.x86_64                5.14.0-503.el9             baseos
openssl.x86_64               1:3.2.2-6.el9_5            baseos
vim-minimal.x86_64           2:8.2.2637-21.el9          appstream
Obsoleting Packages
grub2-tools.x86_64           1:2.06-92.el9              baseos
"""
SECURITY = """RHSA-2026:1 Important/Sec. openssl-1:3.2.2-6.el9_5.x86_64
RHSA-2026:2 Moderate/Sec. openssl-1:3.2.2-6.el9_5.x86_64
"""


def linux(root: Path, **files: str) -> Path:
    return lay(root, {"proc/sys/kernel/osrelease": "6.1.0-37-amd64\n", "run/x": "", **files})


def test_updates_of_debian(tmp_path: Path) -> None:
    given = task({"apt-get --simulate": APT}, linux(tmp_path))
    assert series(list(updates.read(given))) == {
        'watchdesk_updates_pending{kind="important"}': 2,
        'watchdesk_updates_pending{kind="optional"}': 1,
        "node_reboot_required": 0,
    }
    again = task({"apt-get --simulate": ""}, tmp_path, memory=json.loads(json.dumps(given.memory)))
    assert series(list(updates.read(again)))['watchdesk_updates_pending{kind="important"}'] == 2
    assert isinstance(again.command, Recorded)
    assert not any("apt-get" in words for words in again.command.asked)  # nothing changed, so nothing was asked


def test_updates_of_red_hat(tmp_path: Path) -> None:
    answers: dict[str, str | Output] = {
        "dnf --cacheonly --quiet check-update": Output(100, DNF),
        "dnf --cacheonly --quiet updateinfo": SECURITY,
        "needs-restarting": Output(1, "Core libraries or services have been updated"),
    }
    assert series(list(updates.read(task(answers, linux(tmp_path))))) == {
        'watchdesk_updates_pending{kind="important"}': 1,
        'watchdesk_updates_pending{kind="optional"}': 2,
        "node_reboot_required": 1,
    }


def test_a_restart_is_asked_for_by_the_system_or_by_its_kernel_being_gone(tmp_path: Path) -> None:
    lay(linux(tmp_path), {"lib/modules/6.1.0-37-amd64/x": ""})
    assert not updates.reboot_required(task({}, tmp_path))
    (tmp_path / "lib/modules/6.1.0-37-amd64").rename(tmp_path / "lib/modules/6.1.0-38-amd64")
    assert updates.reboot_required(task({}, tmp_path))
    lay(tmp_path, {"lib/modules/6.1.0-37-amd64/x": "", "run/reboot-required": ""})
    assert updates.reboot_required(task({}, tmp_path))


RULES = """table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		%s
	}
	chain output {
		type filter hook output priority filter; policy drop;
	}
}
"""


@pytest.mark.parametrize(
    ("rule", "on"), [("", False), ("tcp dport 22 accept", False), ("ip saddr 192.0.2.1 drop", True)]
)
def test_a_firewall_that_keeps_nothing_out_is_none(rule: str, on: bool) -> None:
    assert security.filters(RULES % rule) is on


def test_firewall_scanner_and_encryption(tmp_path: Path) -> None:
    lay(tmp_path, {
        "etc/ufw/ufw.conf": "# x\nENABLED=yes\nLOGLEVEL=low\n",
        "var/lib/clamav/daily.cld": b"ClamAV-VDB:22 Nov 2026 09-30 +0000:27820:2076000:90:x:y:z:1\xff\xfe" + bytes(600),
        "proc/1/mounts": "/dev/mapper/root / ext4 rw 0 0\n/dev/sda1 /boot ext4 rw 0 0\nproc /proc proc rw 0 0\n",
        "sys/class/block/dm-1/dm/uuid": "LVM-abc\n",
        "sys/class/block/dm-0/dm/uuid": "CRYPT-LUKS2-0123-sda2_crypt\n",
        "sys/class/block/dm-1/slaves/dm-0": "",
        "dev/dm-1": "",
        "dev/sda1": "",
    })  # fmt: skip
    (tmp_path / "dev/mapper").mkdir()
    (tmp_path / "dev/mapper/root").symlink_to("../dm-1")
    assert series(list(security.read(task({"nft": Output(1, "")}, tmp_path)))) == {
        'watchdesk_firewall_enabled{product="ufw"}': 1,
        'watchdesk_antivirus_signatures_timestamp_seconds{product="clamav"}': datetime(
            2026, 11, 22, 9, 30, tzinfo=UTC
        ).timestamp(),
        'watchdesk_antivirus_enabled{product="clamav"}': 0,
        'watchdesk_volume_encrypted{method="luks",mountpoint="/"}': 1,
        'watchdesk_volume_encrypted{method="luks",mountpoint="/boot"}': 0,
    }


def test_the_age_of_backups(tmp_path: Path) -> None:
    lay(tmp_path, {"srv/stamp-1": "", "srv/stamp-2": "", "var/lib/restic/last_success": ""})
    os.utime(tmp_path / "srv/stamp-1", (NOW, NOW))
    os.utime(tmp_path / "srv/stamp-2", (NOW - 60, NOW - 60))
    os.utime(tmp_path / "var/lib/restic/last_success", (5, 5))
    options = {"backup.home": "/srv/stamp-*", "backup.never": "/srv/none"}
    assert series(list(backup.read(task({}, tmp_path, options=options)))) == {
        'watchdesk_backup_last_success_timestamp_seconds{method="home"}': NOW,
        'watchdesk_backup_last_success_timestamp_seconds{method="never"}': 0,
        'watchdesk_backup_last_success_timestamp_seconds{method="restic"}': 5,
    }


def test_certificates_of_files(tmp_path: Path, authority: Authority) -> None:
    data = authority.pem.encode()
    (one,) = of_file(data)
    assert one.subject
    assert of_file(data + b"rubbish" + data)[1].not_after == one.not_after
    lay(tmp_path, {"etc/letsencrypt/live/web/cert.pem": data, "etc/nginx/ssl/no.crt": b"\x30\x82\xff\xff" * 50})
    found = series(list(certificates.read(task({}, tmp_path, options={"certificates.ports": "none"}))))
    assert list(found.values()) == [one.not_after]
    assert 'source="/etc/letsencrypt/live/web/cert.pem"' in next(iter(found))


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_certificate_that_is_cut_off_is_none(authority: Authority, cut: int) -> None:
    data = ssl.PEM_cert_to_DER_cert(authority.pem)
    with pytest.raises((ValueError, IndexError)):
        certificate(data[:cut])


def test_times_of_both_kinds() -> None:
    """UTCTime until 2049, GeneralizedTime after; the year's century is by RFC 5280."""
    from agent.heavy.der import _time

    assert _time(0x17, b"491231235959Z") == datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    assert _time(0x17, b"500101000000Z") == datetime(1950, 1, 1, tzinfo=UTC).timestamp()
    assert _time(0x18, b"20500101000000Z") == datetime(2050, 1, 1, tzinfo=UTC).timestamp()


def test_a_listening_port_shows_its_certificate(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        plain, _ = listener.accept()
        with authority.server_context("127.0.0.1").wrap_socket(plain, server_side=True):
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    given = task({}, options={"certificates.ports": str(port), "certificates.files": "/none"})
    given.host.proc = "/proc"
    found = series(list(certificates.read(given)))
    thread.join(10)
    listener.close()
    assert [name.partition("source=")[2].partition(",")[0] for name in found] == [f'"{port}/tcp"']
    assert next(iter(found.values())) > (datetime.now(UTC) - timedelta(days=1)).timestamp()


def test_printers_and_their_queues() -> None:
    states = (
        "printer Office-2 is idle.  enabled since Mon 23 Nov 2026 09:00:00\n"
        "printer Lab disabled since Mon 23 Nov 2026 09:00:00 -\n\tPaused\nprinter Hall now printing Hall-7.  enabled\n"
    )
    queue = "Office-2-11   ann   1024   Mon\nOffice-2-12   bob   99   Mon\nHall-7  ann 1 Mon\nGone-1 x 1 Mon\n"
    assert series(list(printers.read(task({"lpstat -p": states, "lpstat -o": queue})))) == {
        'watchdesk_printer_up{printer="Office-2"}': 1,
        'watchdesk_printer_jobs{printer="Office-2"}': 2,
        'watchdesk_printer_up{printer="Lab"}': 0,
        'watchdesk_printer_jobs{printer="Lab"}': 0,
        'watchdesk_printer_up{printer="Hall"}': 1,
        'watchdesk_printer_jobs{printer="Hall"}': 1,
    }


ADDRESSES = """[{"ifname": "lo"}, {"ifname": "eth0", "address": "02:00:00:00:00:01", "addr_info": [
 {"local": "192.0.2.7", "prefixlen": 24}, {"local": "2001:db8::9", "prefixlen": 64, "temporary": true}]}]"""
DMIDECODE = """# dmidecode 3.4

Handle 0x0011, DMI type 17, 92 bytes
Memory Device
	Size: 16 GB
	Locator: DIMM 0
	Type: DDR5
	Manufacturer: Samsung
	Serial Number: 12345678
	Part Number: M425R2GA3BB0

Handle 0x0012, DMI type 17, 92 bytes
Memory Device
	Size: No Module Installed
	Locator: DIMM 1
"""


def machine(root: Path) -> Path:
    edid = bytearray(128)
    edid[:8] = b"\x00\xff\xff\xff\xff\xff\xff\x00"
    edid[8:10] = struct.pack(">H", (4 << 10) | (5 << 5) | 12)  # DEL
    edid[17], edid[21], edid[22] = 32, 60, 34
    edid[54:72] = b"\0\0\0\xfc\0DELL U2723QE\n "
    edid[72:90] = b"\0\0\0\xff\0ABC123\n      "
    edid[127] = -sum(edid[:127]) % 256
    return lay(root, {
        "sys/class/dmi/id/sys_vendor": "LENOVO\n", "sys/class/dmi/id/product_serial": "PF0X\n",
        "proc/cpuinfo": "model name\t: Intel N100\n\nmodel name\t: Intel N100\n",
        "proc/meminfo": "MemTotal:       16212345 kB\n",
        "proc/sys/kernel/osrelease": "6.1.0\n", "proc/sys/kernel/hostname": "pc1\n",
        "etc/os-release": 'PRETTY_NAME="Debian 12"\nID=debian\nVERSION_ID="12"\n',
        "var/lib/dpkg/status": "Package: vim\nStatus: install ok installed\nVersion: 2:9\n\nPackage: gone\n"
        "Status: deinstall ok config-files\nVersion: 1\n",
        "lib/modules/6.1.0/x": "",
        "etc/passwd": "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/zsh\n"
        "www:x:33:33::/:/bin/sh\nbad\n",
        "etc/group": "sudo:x:27:ann\n",
        "etc/samba/smb.conf": "[global]\n path = /x\n[docs]\n  path = /srv/docs\n",
        "etc/exports": "/srv 192.0.2.0/24(rw)\n",
        "sys/block/sda/size": "1000\n", "sys/block/sda/device/model": "SSD\n", "sys/block/sda/device/serial": "S1\n",
        "sys/block/loop0/size": "8\n", "etc/resolv.conf": "nameserver 192.0.2.53\n",
        "sys/class/drm/card0-HDMI-A-1/edid": bytes(edid), "sys/class/drm/card0-DP-1/edid": b"",
        "sys/bus/usb/devices/1-1/bDeviceClass": "00\n", "sys/bus/usb/devices/1-1/product": "Headset\n",
        "sys/bus/usb/devices/1-1/idVendor": "046d\n", "sys/bus/usb/devices/1-1/idProduct": "0a8f\n",
        "sys/bus/usb/devices/usb1/bDeviceClass": "09\n",
    })  # fmt: skip


ANSWERS: Mapping[str, str | Output] = {"ip -json address": ADDRESSES, "dmidecode": DMIDECODE}


def test_the_inventory_has_all_its_parts(tmp_path: Path) -> None:
    found = list(inventory.read(task(ANSWERS, machine(tmp_path))))
    (parts,) = inventories(found)
    assert set(parts) == set(PARTS)
    assert parts["software"] == [{"name": "vim", "version": "2:9"}]
    assert parts["users"] == [
        {"name": "root", "uid": 0, "login": True, "groups": []},
        {"name": "ann", "uid": 1000, "login": True, "groups": ["sudo"]},
    ]
    assert parts["shares"] == [
        {"name": "docs", "path": "/srv/docs", "kind": "smb"},
        {"name": "/srv", "path": "/srv", "kind": "nfs", "clients": "192.0.2.0/24(rw)"},
    ]
    assert parts["disks"] == [
        {"name": "sda", "bytes": 512_000, "model": "SSD", "rotating": False, "removable": False, "serial": "S1"}
    ]
    assert parts["monitors"] == [
        {"connector": "HDMI-A-1", "vendor": "DEL", "model": "0000", "year": 2022, "inches": 27.2,
         "name": "DELL U2723QE", "serial": "ABC123"}
    ]  # fmt: skip
    assert isinstance(parts["addresses"], dict)
    assert parts["addresses"]["interfaces"][0]["addresses"] == ["192.0.2.7/24"]
    assert set(series(found).values()) == {0.0}  # the first is no change


def test_it_is_sent_again_only_when_it_changed_and_the_change_has_its_time(tmp_path: Path) -> None:
    first = task(ANSWERS, machine(tmp_path))
    list(inventory.read(first))
    memory = json.loads(json.dumps(first.memory))
    second = task(ANSWERS, tmp_path, memory=memory, now=NOW + 60)
    assert inventories(list(inventory.read(second))) == []
    lay(tmp_path, {"sys/block/sda/device/serial": "S2\n"})
    third = task(ANSWERS, tmp_path, memory=second.memory, now=NOW + 120)
    found = list(inventory.read(third))
    assert len(inventories(found)) == 1
    name = "watchdesk_inventory_change_timestamp_seconds"
    changed = {one for one, value in series(found).items() if value}
    assert changed == {name + '{part="disk_serial"}', name + '{part="disks"}'}
    assert series(found)[name + '{part="disks"}'] == round(NOW + 120)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_the_policy_switches_off_is_never_collected(tmp_path: Path, part: str) -> None:
    options = {"privacy." + part: "off"}
    found = list(inventory.read(task(ANSWERS, machine(tmp_path), options=options)))
    (parts,) = inventories(found)
    assert set(parts) == set(PARTS) - {part}
    if part == "serials":
        text = json.dumps(parts)
        assert not any(serial in text for serial in ("PF0X", "12345678", "S1", "ABC123"))
    assert not any(f'part="{part}"' in name for name in series(found))


def test_an_inventory_that_is_too_long_is_shortened() -> None:
    software = [{"name": f"package-{number}" * 5, "version": "1"} for number in range(20_000)]
    text = inventory_payload(Inventory({"os": {"name": "x"}, "software": software}), NOW)
    assert len(text) <= MAX_INVENTORY
    said = json.loads(text)["data"]
    assert said["os"] == {"name": "x"}
    assert len(said["software"]) > 1_000


def test_a_monitor_that_tells_nonsense() -> None:
    assert monitor(b"") == monitor(bytes(128)) == monitor(b"\xff" * 256) == {}


def test_memory_modules_without_their_serials() -> None:
    (module,) = memory_modules(DMIDECODE, with_serial=False)
    assert module == {"size": "16 GB", "slot": "DIMM 0", "type": "DDR5", "vendor": "Samsung", "part": "M425R2GA3BB0"}


def entry(number: int, **members: object) -> str:
    said = {"__CURSOR": f"s=1;i={number}", "PRIORITY": "3", "__REALTIME_TIMESTAMP": "1790000000000000", **members}
    return json.dumps(said) + "\n"


def test_errors_of_the_journal_are_counted_by_source_and_shown_without_secrets() -> None:
    lines = (
        entry(1, _SYSTEMD_UNIT="sshd@7.service", MESSAGE="login with password=hunter2 failed")
        + entry(2, _SYSTEMD_UNIT="sshd@8.service", MESSAGE=[104, 105, 255])
        + entry(3, SYSLOG_IDENTIFIER="cron", MESSAGE="x" * 1_000_000, PRIORITY="0")
        + entry(4, _TRANSPORT="kernel", MESSAGE="told by /dev/kmsg")
        + "not json\n"
    )
    given = task({"journalctl": lines})
    found = list(journal.read(given))
    assert series(found) == {
        'watchdesk_log_messages_total{source="sshd"}': 2,
        'watchdesk_log_messages_total{source="cron"}': 1,
    }
    texts = [event.members(NOW) for event in events(found)]
    assert [text["level"] for text in texts] == ["error", "error", "critical"]
    assert "hunter2" not in json.dumps(texts)
    again = task({"journalctl": entry(5, _SYSTEMD_UNIT="a.service", MESSAGE="m")}, memory=given.memory)
    assert series(list(journal.read(again)))['watchdesk_log_messages_total{source="sshd"}'] == 2
    assert isinstance(again.command, Recorded)
    assert "--after-cursor=s=1;i=4" in again.command.asked[0]


def test_a_journal_of_many_sources_is_bounded() -> None:
    lines = "".join(entry(n, SYSLOG_IDENTIFIER=f"program-{n}", MESSAGE="m") for n in range(1_000))
    found = series(list(journal.read(task({"journalctl": lines}))))
    assert len(found) == journal.MAX_SOURCES + 1
    assert found['watchdesk_log_messages_total{source="other"}'] == 1_000 - journal.MAX_SOURCES


def test_who_takes_most(tmp_path: Path) -> None:
    def stat(pid: int, name: str, ticks: int, pages: int) -> dict[str, str]:
        fields = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 8, str(pages), "0", "0"]
        return {
            f"proc/{pid}/stat": f"{pid} ({name}) " + " ".join(fields),
            f"proc/{pid}/io": "read_bytes: 0\nwrite_bytes: 0\n",
        }

    lay(tmp_path, {**stat(1, "init", 5, 10), **stat(7, "a) b (c", 100, 1_000_000), "proc/8/stat": "rubbish"})

    def work(_seconds: float) -> None:
        lay(tmp_path, {**stat(7, "a) b (c", 190, 1_000_000), "proc/7/io": "read_bytes: 0\nwrite_bytes: 52428800\n"})

    (event,) = events(list(top.read(task({}, tmp_path), work)))
    assert event.text.startswith("cpu: a) b (c (7) 90 %; memory: a) b (c (7)")
    assert event.text.endswith("io: a) b (c (7) 50 MiB")


def test_a_program_has_limits() -> None:
    assert run(["/bin/sleep", "60"], timeout=0.2).code == 124
    endless = run(["/usr/bin/yes"], timeout=20, limit=1_000)
    assert (len(endless.text), endless.cut) == (1_000, True)
    assert run(["/nonexistent"]).code == 127
    said = run(["/usr/bin/env"]).text
    assert {line.partition("=")[0] for line in said.splitlines()} <= {"LC_ALL", "LANG", "PATH"}


def test_a_program_that_leaves_a_child_with_its_output_is_ended_with_it() -> None:
    done = run(["/bin/sh", "-c", "sleep 600 & echo started"], timeout=0.5)
    assert done.text == "started\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can drop its rights")
def test_a_program_of_others_runs_without_our_rights() -> None:
    assert run(["/usr/bin/id", "-u"], user="nobody").text.strip() == "65534"
    assert run(["/usr/bin/id", "-G"], user="nobody").text.strip() == "65534"
    assert run(["/usr/bin/id"], user="nobody-of-that-name").code == 127
