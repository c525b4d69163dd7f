"""Readings of macOS on what its programs say, by their manual pages."""

import json
import os
import plistlib
from datetime import datetime
from pathlib import Path

import pytest

from agent.heavy import inventory_macos, launchd_macos, security_macos, updates_macos
from agent.heavy.backup import time_machine
from agent.heavy.tools import Output
from agent.options import PARTS
from agent.probes import NoData
from tests.agent.helpers import NOW
from tests.agent.recorded import Recorded, inventories, lay, series, task


def test_encryption_firewall_and_xprotect(tmp_path: Path) -> None:
    bundle = "Library/Apple/System/Library/CoreServices/XProtect.bundle/Contents/Info.plist"
    lay(tmp_path, {bundle: plistlib.dumps({"CFBundleShortVersionString": "5283"})})
    os.utime(tmp_path / bundle, (NOW, NOW))
    answers: dict[str, str | Output] = {
        "fdesetup status": "FileVault is On.\n",
        security_macos.FIREWALL: "Firewall is enabled. (State = 1)\n",
        "spctl --status": "assessments disabled\n",
    }
    assert series(list(security_macos.read(task(answers, tmp_path)))) == {
        'watchdesk_volume_encrypted{method="filevault",mountpoint="/"}': 1,
        'watchdesk_firewall_enabled{product="Application Firewall"}': 1,
        'watchdesk_antivirus_enabled{product="XProtect"}': 0,
        'watchdesk_antivirus_signatures_timestamp_seconds{product="XProtect"}': NOW,
    }


@pytest.mark.parametrize(
    ("text", "on"),
    [("FileVault is On.\n", True), ("FileVault is Off.\n", False), ("", False),
     ("FileVault is On.\nEncryption in progress: Percent completed = 24.0\n", False)],
)  # fmt: skip
def test_filevault(text: str, on: bool) -> None:
    assert security_macos.is_on(text) is on


def test_updates(tmp_path: Path) -> None:
    waiting = [
        {"Display Name": "macOS Sonoma 14.1", "Identifier": "MSU_UPDATE_23B74"},
        {"Display Name": "GarageBand", "Identifier": "x"},
    ]
    lay(tmp_path, {updates_macos.FILE[1:]: plistlib.dumps({"RecommendedUpdates": waiting}, fmt=plistlib.FMT_BINARY)})
    found = series(list(updates_macos.read(task({}, tmp_path))))
    assert found['watchdesk_updates_pending{kind="important"}'] == 1
    assert found['watchdesk_updates_pending{kind="optional"}'] == 1
    lay(tmp_path, {updates_macos.FILE[1:]: b"bplist00\xff\xff"})
    with pytest.raises(NoData):
        list(updates_macos.read(task({}, tmp_path)))


def test_jobs_of_launchd() -> None:
    said = "PID\tStatus\tLabel\n412\t0\tcom.acme.agent\n-\t78\tcom.acme.backup\n-\t-9\torg.x\n1\t0\tcom.apple.x\nbad\n"
    assert series(list(launchd_macos.read(task({"launchctl list": said})))) == {
        'watchdesk_service_running{name="com.acme.agent",start_mode="auto"}': 1,
        'watchdesk_service_last_exit_code{name="com.acme.agent"}': 0,
        'watchdesk_service_running{name="com.acme.backup",start_mode="manual"}': 0,
        'watchdesk_service_last_exit_code{name="com.acme.backup"}': 78,
        'watchdesk_service_running{name="org.x",start_mode="manual"}': 0,
        'watchdesk_service_last_exit_code{name="org.x"}': -9,
    }


def test_the_age_of_time_machine() -> None:
    local = datetime(2026, 11, 22, 9, 30, 12).astimezone().timestamp()
    assert list(time_machine("/Volumes/Backup/Backups.backupdb/mac/2026-11-22-093012\n")) == [local]
    assert list(time_machine("/Volumes/.timemachine/X/2026-11-22-093012.backup/2026-11-22-093012.backup\n")) == [local]
    assert list(time_machine("Unable to locate machine directory for host.\n")) == []


PROFILE = {
    "SPHardwareDataType": [{"machine_name": "MacBook Pro", "machine_model": "Mac14,9", "chip_type": "Apple M2 Pro",
                            "physical_memory": "16 GB", "serial_number": "XYZ", "platform_UUID": "U"}],
    "SPSoftwareDataType": [{"os_version": "macOS 14.1 (23B74)", "kernel_version": "Darwin 23.1.0"}],
    "SPApplicationsDataType": [{"_name": "Firefox", "version": "120", "obtained_from": "identified_developer"},
                               {"_name": "Mail", "version": "16", "obtained_from": "apple"}],
    "SPInstallHistoryDataType": [{"_name": "XProtect", "install_version": "5283",
                                  "package_source": "package_source_apple"}],
    "SPNVMeDataType": [{"_items": [{"bsd_name": "disk0", "device_model": "APPLE SSD", "size_in_bytes": 512,
                                    "device_serial": "D1", "device_revision": "1"}]}],
    "SPNetworkDataType": [{"interface": "en0", "Ethernet": {"MAC Address": "02:00:00:00:00:01"},
                           "IPv4": {"Addresses": ["192.0.2.9"], "Router": "192.0.2.1"}}],
    "SPDisplaysDataType": [{"spdisplays_ndrvs": [{"_name": "LG HDR 4K", "_spdisplays_display-year": "2021",
                                                  "_spdisplays_display-serial-number": "L1"}]}],
    "SPUSBDataType": [{"_name": "USB31Bus", "_items": [{"_name": "Hub", "vendor_id": "0x1", "product_id": "0x2",
                       "_items": [{"_name": "Yubikey", "vendor_id": "0x1050", "product_id": "0x0407"}]}]}],
}  # fmt: skip
ANSWERS: dict[str, str | Output] = {
    "system_profiler": json.dumps(PROFILE),
    "dscl": "_www   70\nann   501\nroot   0\n",
    "sharing": "List of Share Points\nname:\t\tdocs\npath:\t\t/Users/Shared/docs\n\tshared over:\tSMB\n",
}


def test_the_inventory() -> None:
    (parts,) = inventories(list(inventory_macos.read(task(ANSWERS))))
    assert set(parts) == set(PARTS)
    assert parts["software"] == [{"name": "Firefox", "version": "120"}]
    assert parts["users"] == [{"name": "ann", "uid": 501}]
    assert parts["shares"] == [{"name": "docs", "path": "/Users/Shared/docs"}]
    assert parts["peripherals"] == [
        {"product": "Hub", "vendor": "", "id": "0x1:0x2"}, {"product": "Yubikey", "vendor": "", "id": "0x1050:0x0407"},
    ]  # fmt: skip
    assert isinstance(parts["hardware"], dict)
    assert parts["hardware"]["memory_bytes"] == 16 << 30


def test_without_serials_there_is_none() -> None:
    given = task(ANSWERS, options={"privacy.serials": "off", "privacy.monitors": "off", "privacy.software": "off"})
    (parts,) = inventories(list(inventory_macos.read(given)))
    assert not any(serial in json.dumps(parts) for serial in ("XYZ", "D1", "L1"))
    assert isinstance(given.command, Recorded)
    asked = given.command.asked[0]
    assert "SPDisplaysDataType" not in asked
    assert "SPApplicationsDataType" not in asked


@pytest.mark.parametrize("said", ["", "[]", '{"SPUSBDataType": 5, "SPNVMeDataType": [{"_items": "x"}]}', "null"])
def test_a_profiler_that_says_nonsense(said: str) -> None:
    found = inventories(list(inventory_macos.read(task({"system_profiler": said}))))
    assert all("disks" not in parts for parts in found)
