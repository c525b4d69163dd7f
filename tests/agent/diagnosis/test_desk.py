"""Batteries, printers, disks: machines whose hardware is not here, by what they say of themselves."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import desk, disk_health
from agent.diagnosis.errors import NotFound
from agent.heavy.tools import Output
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.machines import FIXTURES
from tests.agent.recorded import Recorded, lay

BATTERY = {
    "type": "Battery", "status": "Discharging", "capacity": "71", "energy_full": "23400000",
    "energy_full_design": "57000000", "energy_now": "16600000", "power_now": "8300000", "cycle_count": "812",
    "model_name": "DELL 1V2F6", "temp": "312",
}  # fmt: skip


def supplies(root: Path, *, mains: bool = False, **changes: str) -> Path:
    files = {f"sys/class/power_supply/BAT0/{key}": f"{value}\n" for key, value in (BATTERY | changes).items()}
    return lay(
        root, files | {"sys/class/power_supply/AC/online": f"{int(mains)}\n", "sys/class/power_supply/AC/type": "Mains"}
    )


@pytest.mark.parametrize(
    ("changes", "mains", "said"),
    [
        ({}, False, "battery BAT0 holds 41% of what it did when new, after 812 cycles: it should be replaced"),
        ({"energy_full": "50000000"}, False, "the machine runs on battery BAT0: 71% are left, for about 120 minutes"),
        ({"energy_full": "50000000", "status": "Not charging"}, True,
         "the mains are connected, but battery BAT0 (71%) does not charge"),
        ({"temp": "540"}, True, "battery BAT0 is at 54 °C"),
        ({"energy_full": "50000000", "status": "Charging"}, True,
         "battery BAT0 is well: it holds 88% of what it did when new, and is charged to 71%"),
        ({"energy_full_design": "0", "status": "Full"}, True,
         "battery BAT0 is charged to 71%; what it holds is not told"),
    ],
)  # fmt: skip
def test_what_is_left_of_a_battery(tmp_path: Path, changes: dict[str, str], mains: bool, said: str) -> None:
    assert diagnose("power.battery", look(supplies(tmp_path, mains=mains, **changes)))["finding"] == said


def test_no_battery(tmp_path: Path) -> None:
    lay(tmp_path, {"sys/class/power_supply/hid/type": "Battery", "sys/class/power_supply/hid/scope": "Device"})
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFound):
            diagnose("power.battery", look(root))


def test_batteries_of_macos() -> None:
    document = {"SPPowerDataType": [{
        "_name": "spbattery_information",
        "sppower_battery_charge_info": {"sppower_battery_state_of_charge": 88, "sppower_battery_is_charging": "TRUE"},
        "sppower_battery_health_info": {"sppower_battery_cycle_count": 402,
                                        "sppower_battery_health_maximum_capacity": "54%"},
    }, {"_name": "sppower_information"}]}  # fmt: skip
    (one,) = desk.of_profiler(document)
    sentence, values = desk.judge_battery(one)
    assert (sentence % values).endswith("holds 54% of what it did when new, after 402 cycles: it should be replaced")
    assert desk.of_profiler([]) == []


PRINTERS = """printer hp-office disabled since Mon 23 Nov 2026 09:12:01 UTC -
\tPaper jam
printer label is idle.  enabled since Mon 23 Nov 2026 08:00:00 UTC
"""
JOBS = """hp-office-17            anna            12288   Mon 23 Nov 2026 09:20:00 UTC
hp-office-16            ben              1024   Mon 23 Nov 2026 09:13:00 UTC
other-3                 x                   1   Mon 23 Nov 2026 09:13:00 UTC
"""


def lpstat(printers: str, jobs: str, said: str = "scheduler is running\n") -> Recorded:
    return Recorded({"lpstat -p": printers, "lpstat -o": jobs, "lpstat -r": said,
                     "lpstat -v": "device for hp-office: ipp://anna:hunter2@10.0.0.9/ipp\n"})  # fmt: skip


def test_a_printer_that_is_stopped(tmp_path: Path) -> None:
    found = diagnose("print.queue", look(tmp_path, command=lpstat(PRINTERS, JOBS)))
    assert found["finding"] == (
        "printer hp-office is stopped (Paper jam); 2 jobs wait, the oldest of ben since Mon 23 Nov 2026 09:13:00 UTC"
    )
    assert [job["job"] for job in found["data"]["jobs"]] == ["hp-office-16", "hp-office-17"]
    assert "hunter2" not in str(found)
    assert diagnose("print.queue", look(tmp_path, command=lpstat(PRINTERS, "")))["finding"] == (
        "printer hp-office is stopped (Paper jam); no job waits"
    )
    stuck = PRINTERS.replace("disabled", "now printing hp-office-16.  enabled").replace("\tPaper jam\n", "")
    assert "hp-office has 2 jobs waiting" in diagnose("print.queue", look(command=lpstat(stuck, JOBS)))["finding"]
    one = look(command=lpstat(PRINTERS, JOBS))
    assert diagnose("print.queue", one, printer="label")["finding"] == "1 printers are ready; 0 jobs wait"
    assert diagnose("print.queue", one, printer="x")["finding"].startswith(
        "There is no printer x; there are: hp-office"
    )


def test_no_printers() -> None:
    gone = Recorded({"lpstat -p": Output(1, ""), "lpstat -r": "scheduler is not running\n"})
    assert "The print service does not answer" in diagnose("print.queue", look(command=gone))["finding"]
    for command in (Recorded({}), Recorded({"lpstat -p": "", "lpstat -r": "scheduler is running\n"})):
        with pytest.raises(NotFound):
            diagnose("print.queue", look(command=command))


SCAN = '{"devices": [{"name": "/dev/sda", "type": "sat"}]}'
NVME = '{"devices": [{"name": "/dev/nvme0", "type": "nvme"}]}'


def smartctl(scan: str, report: object) -> Recorded:
    text = report if isinstance(report, str) else json.dumps(report)
    return Recorded({"smartctl --scan": scan, "smartctl --json": text})


def test_disks_that_say_that_they_fail(tmp_path: Path) -> None:
    sata = (FIXTURES / "programs/smartctl-sata.json").read_text()
    found = diagnose("disk.health", look(tmp_path, command=smartctl(SCAN, sata)))
    assert found["finding"] == ("disk sda (Samsung SSD 860 EVO 500GB) says itself that it is failing: replace it now")
    nvme = (FIXTURES / "programs/smartctl-nvme.json").read_text()
    assert diagnose("disk.health", look(tmp_path, command=smartctl(NVME, nvme)))["finding"] == (
        "disk nvme0 (WDC PC SN730) has 12 errors of its medium"
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"pending": 16.0, "reallocated": 8.0},
         "disk sda (X) has 16 sectors that it cannot read and 8 that it has replaced"),
        ({"worn": 97.0}, "disk sda (X) has used 97% of the life that its maker gives it"),
        ({"spare": 4.0}, "disk sda (X) has only 4% of its spare cells left"),
        ({"degrees": 71.0}, "disk sda (X) is at 71 °C"),
        ({"test_errors": 1.0}, "disk sda (X) failed its self-test"),
        ({"crc": 900.0}, "disk sda (X) had 900 transfer errors (CRC): cable or plug"),
    ],
)  # fmt: skip
def test_what_ails_a_disk(facts: dict[str, object], said: str) -> None:
    verdict = disk_health.judge({"disk": "sda", "model": "X", "passed": True, **facts})
    assert verdict is not None
    assert verdict[1] % verdict[2] == said


def test_arrays_errors_and_disks_that_may_not_be_asked(tmp_path: Path) -> None:
    mdstat = "md0 : active raid1 sdb1[1](F) sda1[0]\n      976 blocks super 1.2 [2/1] [U_]\n\nunused devices: <none>\n"
    lay(tmp_path, {"proc/mdstat": mdstat, "sys/block/sda/device/ioerr_cnt": "0x2a\n", "sys/block/loop0/size": "0"})
    nothing = look(tmp_path, command=Recorded({}))
    assert diagnose("disk.health", nothing)["finding"] == "array md0 lacks 1 of its 2 disks (sdb1)"
    lay(tmp_path, {"proc/mdstat": mdstat.replace("(F)", "").replace("[2/1] [U_]", "[2/2] [UU]")})
    assert diagnose("disk.health", nothing)["finding"] == "disk sda gave the kernel 42 errors since the start"
    lay(tmp_path, {"sys/block/sda/device/ioerr_cnt": "0x0\n"})
    assert diagnose("disk.health", nothing)["finding"].startswith(
        "1 arrays are whole and the kernel has seen no errors"
    )
    with pytest.raises(NotFound):
        diagnose("disk.health", look(tmp_path / "none", command=Recorded({})))
    good = {"model_name": "X", "smart_status": {"passed": True}, "temperature": {"current": 31}}
    assert diagnose("disk.health", look(tmp_path / "none", command=smartctl(SCAN, good)))["finding"] == (
        "1 disks are well; the warmest is at 31 °C"
    )


@given(
    st.text(max_size=300),
    st.recursive(st.none() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3)),
)
def test_fuzz_what_desks_say(text: str, document: object) -> None:
    desk.jobs(text, list(desk.printers("printer " + text)))
    desk.of_profiler({"SPPowerDataType": document})
    disk_health.of_mdstat("md0 : active\n" + text)
    disk_health.of_report("sda", {"ata_smart_attributes": {"table": document}, "temperature": document})
