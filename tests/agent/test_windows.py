"""Readings of Windows on what Windows says, by Microsoft's documentation of each class, log and key."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from agent import probes
from agent.heavy import eventlog_windows, inventory_windows, security_windows, updates_windows
from agent.heavy.windows import cim
from agent.options import PARTS
from agent.probes import NoData
from agent.probes.host import Host
from agent.probes.services_windows import start_mode
from agent.registry_windows import tree
from tests.agent.machines import FIXTURES
from tests.agent.recorded import Recorded, events, inventories, series, task

SECURITY = {
    "defender": [{"AMServiceEnabled": True, "RealTimeProtectionEnabled": False, "Signatures": 1790000000}],
    "products": [
        {"displayName": "Windows Defender", "productState": 397568},
        {"displayName": "Other AV", "productState": 266240},
        {"displayName": "Sleeping AV", "productState": 262144},
    ],
    "volumes": [{"DriveLetter": "C:", "ProtectionStatus": 1}, {"DriveLetter": None, "ProtectionStatus": 0}],
    "drives": {"DeviceID": "\\\\.\\PHYSICALDRIVE0", "Status": "Pred Fail"},
    "backup": {"Last": 1789990000},
}


def test_scanner_encryption_drives_and_backup() -> None:
    found = series(list(security_windows.read(task({"powershell.exe": json.dumps(SECURITY)}))))
    assert {name: value for name, value in found.items() if "disk_status" not in name} == {
        'watchdesk_antivirus_enabled{product="Microsoft Defender"}': 0,
        'watchdesk_antivirus_signatures_timestamp_seconds{product="Microsoft Defender"}': 1790000000,
        'watchdesk_antivirus_enabled{product="Other AV"}': 1,
        'watchdesk_antivirus_enabled{product="Sleeping AV"}': 0,
        'watchdesk_volume_encrypted{method="bitlocker",mountpoint="C:\\\\"}': 1,
        'watchdesk_backup_last_success_timestamp_seconds{method="windows_server_backup"}': 1789990000,
    }
    statuses = {name.partition('status="')[2][:-2]: value for name, value in found.items() if "disk_status" in name}
    assert statuses == {"ok": 0, "degraded": 0, "pred_fail": 1, "error": 0, "unknown": 0}


@pytest.mark.parametrize("said", ["", "null", "[]", "{", '{"defender": 3, "volumes": [null, "x"]}'])
def test_a_powershell_that_says_nonsense(said: str) -> None:
    assert series(list(security_windows.read(task({"powershell.exe": said})))) == {}


def test_nothing_is_put_into_what_is_asked() -> None:
    """The script is the same whatever the configuration says."""
    scripts = []
    for options in ({}, {"check.x": "tcp '; Remove-Item C:\\:1", "backup.x": "/'; exit"}):
        given = task({"powershell.exe": "{}"}, options=options)
        cim(given, security_windows.CLASSES)
        assert isinstance(given.command, Recorded)
        scripts.append(given.command.asked)
    assert scripts[0] == scripts[1]
    assert scripts[0][0][:5] == ["powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive", "-Command"]
    with pytest.raises(NoData):
        cim(task(), {})


def test_the_firewall_and_file_history_by_the_registry() -> None:
    keys: Mapping[str, Mapping[str, object]] = {
        "": {}, "DomainProfile": {"EnableFirewall": 1}, "StandardProfile": {"EnableFirewall": 0}, "PublicProfile": {},
    }  # fmt: skip
    assert dict(security_windows.firewall(keys)) == {
        'watchdesk_firewall_enabled{product="Windows Firewall",profile="domain"}': 1,
        'watchdesk_firewall_enabled{product="Windows Firewall",profile="private"}': 0,
    }
    when = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
    configs = {"": {}, "Config1": {"ProtectedUpToTime": int((when + 11_644_473_600) * 1e7)}}
    assert dict(security_windows.file_history(configs)) == {
        'watchdesk_backup_last_success_timestamp_seconds{method="file_history"}': when
    }


def test_updates() -> None:
    waiting = [
        {"Title": "Cumulative Update", "MsrcSeverity": "", "AutoSelectOnWebSites": True},
        {"Title": "Driver", "MsrcSeverity": None, "AutoSelectOnWebSites": False},
        {"Title": "Security", "MsrcSeverity": "Critical", "AutoSelectOnWebSites": False},
    ]
    found = series(list(updates_windows.read(task({"powershell.exe": json.dumps({"updates": waiting})}))))
    assert found['watchdesk_updates_pending{kind="important"}'] == 2
    assert found['watchdesk_updates_pending{kind="optional"}'] == 1


@pytest.mark.parametrize(
    ("keys", "session", "required"),
    [
        ({}, {"": {}}, False),
        ({"RebootPending": {}}, {}, True),
        ({"RebootRequired": {"x": 1}}, {}, True),
        ({}, {"": {"PendingFileRenameOperations": ["\\??\\C:\\a", ""]}}, True),
    ],
)
def test_a_restart(keys: dict[str, dict[str, object]], session: dict[str, dict[str, object]], required: bool) -> None:
    assert updates_windows.reboot_required(keys, session) is required


def test_a_restart_that_windows_has_set_a_time_for() -> None:
    when = datetime(2026, 11, 24, 3, tzinfo=UTC).timestamp()
    keys = {"StateVariables": {"ScheduledRebootTime": int((when + 11_644_473_600) * 1e7)}}
    assert (updates_windows.forced_reboot(keys), updates_windows.forced_reboot({})) == (when, 0.0)


def test_errors_of_the_event_log() -> None:
    text = (FIXTURES / "programs" / "wevtutil-system.xml").read_text()
    given = task({"wevtutil qe System": text, "wevtutil qe Application": ""})
    found = list(eventlog_windows.read(given))
    assert series(found) == {
        'watchdesk_log_messages_total{source="Service Control Manager"}': 1,
        'watchdesk_log_messages_total{source="disk"}': 1,
    }
    first, second = events(found)
    assert (first.level, first.source, first.attributes["id"]) == ("error", "Service Control Manager", "7031")
    assert first.text.startswith("The Print Spooler service terminated unexpectedly.")
    assert first.time == datetime(2026, 11, 23, 10, 11, 12, tzinfo=UTC).timestamp()
    assert (second.level, second.text) == ("critical", "\\Device\\Harddisk0\\DR0 0")
    again = task({"wevtutil qe": ""}, memory=json.loads(json.dumps(given.memory)))
    assert series(list(eventlog_windows.read(again))) == series(found)
    assert isinstance(again.command, Recorded)
    assert "/q:*[System[(Level=1 or Level=2) and EventRecordID>4712]]" in again.command.asked[0]


@pytest.mark.parametrize(
    "text",
    ["", "<Event", "<Event ></Event>", "<Event xmlns='x'>" * 50 + "</Event>",
     '<!DOCTYPE x [<!ENTITY a "b">]><Event >&a;</Event>', "\x00\xff</Event>" * 100],
    ids=range(6),
)  # fmt: skip
def test_what_is_no_event_log(text: str) -> None:
    assert all(entry.record == 0 for entry in eventlog_windows.entries(text))


def codes(text: str) -> list[int]:
    return [*map(ord, text), 0, 0]


INVENTORY = {
    "computer": [{"Manufacturer": "LENOVO", "Model": "21HD", "TotalPhysicalMemory": 17179869184}],
    "processors": [{"Name": "Intel Core i5 ", "NumberOfCores": 10}],
    "memory": [{"DeviceLocator": "DIMM0", "Capacity": 17179869184, "Speed": 5200}],
    "bios": [{"SMBIOSBIOSVersion": "N3XET45W"}],
    "serials": [{"SerialNumber": "PF0X"}],
    "patches": [{"HotFixID": "KB5031455"}],
    "users": [{"Name": "ann", "Disabled": False, "SID": "S-1-5-21-1"}],
    "shares": [{"Name": "ADMIN$", "Path": "C:\\Windows", "Type": 2147483648}],
    "disks": [{"DeviceID": "\\\\.\\PHYSICALDRIVE0", "Model": "WD", "Size": 512110190592, "SerialNumber": " S9 "}],
    "addresses": [{"Description": "Intel", "MACAddress": "02:00:00:00:00:01", "IPAddress": ["192.0.2.7", "fe80::1"]}],
    "monitors": [{"ManufacturerName": codes("DEL"), "UserFriendlyName": codes("DELL U2723QE"),
                  "SerialNumberID": codes("ABC"), "YearOfManufacture": 2022}],
    "peripherals": [{"Name": "Camera", "PNPClass": "Camera"}],
}  # fmt: skip
PROGRAMS: Mapping[str, Mapping[str, object]] = {
    "7-Zip": {"DisplayName": "7-Zip 23.01", "DisplayVersion": "23.01", "Publisher": "Igor Pavlov"},
    "KB1": {"DisplayName": "Update", "ParentKeyName": "OperatingSystem"},
    "Hidden": {"DisplayName": "Part", "SystemComponent": 1},
    "Nameless": {},
}


def test_the_inventory() -> None:
    found = list(inventory_windows.read(task({"powershell.exe": json.dumps(INVENTORY)})))
    (parts,) = inventories(found)
    assert set(parts) == set(PARTS) - {"software"}  # there is no registry here
    assert parts["disks"] == [
        {"name": "PHYSICALDRIVE0", "model": "WD", "bytes": 512110190592, "firmware": "", "serial": "S9"}
    ]
    assert parts["monitors"] == [{"vendor": "DEL", "name": "DELL U2723QE", "year": 2022, "serial": "ABC"}]
    assert inventory_windows.programs(PROGRAMS) == [
        {"name": "7-Zip 23.01", "version": "23.01", "publisher": "Igor Pavlov"}
    ]


@pytest.mark.parametrize("part", sorted(inventory_windows.ASKED))
def test_a_part_that_is_switched_off_is_not_asked_for(part: str) -> None:
    given = task({"powershell.exe": "{}"}, options={"privacy." + part: "off"})
    list(inventory_windows.read(given))
    assert isinstance(given.command, Recorded)
    script = given.command.asked[0][-1]
    assert not any(f"'{name}'=" in script for name in inventory_windows.ASKED[part])


def test_windows_11_by_its_build() -> None:
    values = {"": {"ProductName": "Windows 10 Pro", "CurrentBuild": "22631", "UBR": 2506, "DisplayVersion": "23H2"}}
    told = inventory_windows.system(values)
    assert isinstance(told, dict)
    assert (told["name"], told["version"], told["kernel"]) == ("Windows 11 Pro", "23H2", "10.0.22631.2506")


@pytest.mark.parametrize(
    ("values", "triggers", "mode"),
    [({"Start": 2}, False, "auto"), ({"Start": 2, "DelayedAutostart": 1}, False, "auto_delayed"),
     ({"Start": 2}, True, "auto_trigger"), ({"Start": 3}, True, "manual"), ({"Start": 4}, False, "disabled"),
     ({}, False, "manual"), ({"Start": "2"}, False, "manual")],
)  # fmt: skip
def test_how_a_service_starts(values: dict[str, object], triggers: bool, mode: str) -> None:
    assert start_mode(values, triggers) == mode


def test_elsewhere_there_is_no_registry() -> None:
    assert tree("SOFTWARE") == {"": {}}
    for name in ("services_windows", "counters_windows"):
        with pytest.raises(NoData):
            list(probes.discover_one(name).read(Host()))
