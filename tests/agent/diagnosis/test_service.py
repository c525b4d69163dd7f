"""Services that fail: real ones under a real systemd, and what Windows and macOS say of theirs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import service
from agent.diagnosis.errors import NotFound
from agent.diagnosis.service_macos import of_print
from agent.diagnosis.service_windows import of_queryex
from agent.heavy.tools import Output
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.helpers import NOW, eventually
from tests.agent.recorded import Recorded
from tests.agent.systemd import PYTHON, booted, inside, needs_systemd, systemctl

RESTARTING = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=0.1\n"
UNITS = {
    "app.service": RESTARTING,
    "gone.service": "[Service]\nExecStart=/usr/bin/no-such-program\n",
    "nobody.service": "[Service]\nUser=no-such-user\nExecStart=/bin/true\n",
    "killed.service": "[Service]\nExecStart=/bin/sh -c 'kill -SEGV $$$$'\n",
    "often.service": "[Unit]\nStartLimitBurst=2\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=0\n",
    "fine.service": "[Service]\nExecStart=/bin/sleep 600\n",
    "masked.service": "",
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A machine with services of all kinds."""
    with booted(tmp_path_factory.mktemp("machine"), UNITS) as root:
        for unit in UNITS:
            systemctl(root, "start", "--no-block", unit)
        eventually(lambda: "failed" in systemctl(root, "show", "often.service", "-p", "ActiveState"), 60)
        eventually(lambda: "running" in systemctl(root, "show", "fine.service", "-p", "SubState"), 60)
        yield root


def ask(machine: Path, *words: str) -> dict[str, Any]:
    """Run the diagnosis there."""
    code = (
        "import os, runpy, sys; os.chdir('/src'); sys.argv[0] = 'agent'; runpy.run_module('agent', run_name='__main__')"
    )
    command = inside(machine, PYTHON, "-c", code, "--state", "/shared", "diagnose", "service.status", *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs_systemd()
def test_a_service_that_restarts_says_how_often(machine: Path) -> None:
    eventually(lambda: int(systemctl(machine, "show", "app.service", "-p", "NRestarts", "--value") or 0) >= 5, 60)
    found = ask(machine, "name=app.service")
    assert "was restarted " in found["finding"]
    assert found["finding_values"]["count"] >= 5
    assert found["finding"].endswith("; it ended with exit code 1")


@needs_systemd()
@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("gone", "gone.service cannot be started: its program /usr/bin/no-such-program is not there or may not be run"),
        ("nobody", "nobody.service cannot be started: the user or group it is to run as does not exist"),
        ("killed", ": signal SEGV"),
        ("often", "often.service failed so often ("),
        ("fine", "fine.service runs since "),
        ("no-such", "There is no service no-such.service on this machine"),
    ],
)
def test_why_a_service_does_not_run(machine: Path, unit: str, said: str) -> None:
    assert said in ask(machine, f"name={unit}.service")["finding"]


@needs_systemd()
def test_all_that_failed(machine: Path) -> None:
    found = ask(machine)
    assert " units have failed: " in found["finding"]
    assert {unit["name"] for unit in found["data"]["units"]} >= {"gone.service", "killed.service", "often.service"}


SHOW = (
    "Id=app.service\nDescription=The app\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\n"
    "Result=exit-code\nNRestarts={restarts}\nExecMainCode=1\nExecMainStatus=1\nStateChangeTimestampMonotonic=1000000\n"
)


def entry(at: float, message: str, **more: str) -> str:
    told = {"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "MESSAGE": message, "PRIORITY": "3", **more}
    return json.dumps(told) + "\n"


def test_restarts_are_counted_by_the_journal_and_its_last_line_is_told_if_it_may_be() -> None:
    scheduled = {"MESSAGE_ID": service.RESTART_SCHEDULED, "SYSLOG_IDENTIFIER": "systemd"}
    journal = "".join(entry(NOW - 600 + 40 * number, "Scheduled restart job", **scheduled) for number in range(14))
    lines = entry(NOW - 5, "cannot open the database, password=hunter2", SYSLOG_IDENTIFIER="app")
    command = Recorded({
        "systemctl show": SHOW.format(restarts=14),
        "journalctl --quiet --no-pager --output=json --lines=2000 --unit=app.service": journal,
        "journalctl --quiet --no-pager --output=json --lines=10 --unit=app.service": lines,
    })  # fmt: skip
    found = diagnose("service.status", look(command=command, now=NOW), name="app.service", lines=10)
    assert found["finding"] == (
        "app.service restarted 14 times in 10 minutes (exit code 1); "
        "last log line: cannot open the database, password=[redacted]"
    )
    plain = diagnose("service.status", look(command=command, now=NOW), name="app.service")
    assert plain["finding"] == "app.service restarted 14 times in 10 minutes; it ended with exit code 1"
    assert plain["data"]["lines"] == []


def test_restarts_are_counted_between_looks_where_the_journal_may_not_be_read() -> None:
    memory: dict[str, object] = {}
    for at, restarts in ((NOW - 300, 3), (NOW, 20)):
        command = Recorded({"systemctl show": SHOW.format(restarts=restarts)})
        found = diagnose("service.status", look(command=command, now=at, memory=memory), name="app.service")
    assert found["finding"] == "app.service restarted 17 times in 5 minutes; it ended with exit code 1"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("LoadState=masked\nActiveState=inactive\n", "x.service is masked"),
        ("ActiveState=failed\nResult=oom-kill\nExecMainCode=2\nExecMainStatus=9\n", "x.service was killed at "),
        ("ActiveState=failed\nResult=timeout\n", ": timeout"),
        ("ActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=226\n", ": exit code 226/NAMESPACE"),
        ("ActiveState=activating\nResult=success\n", "x.service is being started since "),
        ("ActiveState=inactive\nResult=success\n", "x.service is stopped since "),
    ],
)
def test_states_of_units(changes: str, said: str) -> None:
    text = f"Id=x.service\nLoadState=loaded\nStateChangeTimestampMonotonic=1000000\n{changes}"
    unit = service.of_show(text, NOW, 100.0)
    assert unit is not None
    sentence, values = service.judge(unit, 0, [], NOW)
    assert said in sentence % {"name": unit.name, "minutes": 10, **values}


def test_no_systemd() -> None:
    for given_ in ({}, {"name": "x.service"}):
        with pytest.raises(NotFound):
            diagnose("service.status", look(command=Recorded({})), **given_)
    none = Recorded({"systemctl list-units": Output(0, "")})
    assert diagnose("service.status", look(command=none))["finding"] == "No unit has failed"


QUERYEX = """
SERVICE_NAME: Spooler
        TYPE               : 110  WIN32_OWN_PROCESS  (interactive)
        STATE              : 1  STOPPED
        WIN32_EXIT_CODE    : 1067  (0x42b)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
        PID                : 0
        FLAGS              :
"""
PRINT = """system/com.acme.backup = {
	active count = 0
	program = /opt/acme/backup
	state = not running
	runs = 15
	last exit code = 78: EX_CONFIG
	spawn type = daemon (3)
}
"""


def test_services_of_windows_and_macos() -> None:
    unit = of_queryex("Spooler", QUERYEX, {"Start": 2, "DisplayName": "Print Spooler"})
    assert unit is not None
    assert (unit.state, unit.exit, unit.facts["enabled"]) == ("failed", "exit code 1067", "auto")
    assert of_queryex("x", "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\n", {}) is None
    mac = of_print("com.acme.backup", PRINT)
    assert (mac.state, mac.exit, mac.number("restarts")) == ("failed", "exit code 78", 14)
    sentence, values = service.judge(mac, 0, [], NOW)
    assert (sentence % {"name": mac.name, **values}).startswith("com.acme.backup failed at ")


@given(st.text(max_size=300))
def test_fuzz_what_managers_of_services_say(text: str) -> None:
    service.of_show(text, NOW, 1.0)
    service.of_show("Id=x\nNRestarts=" + text + "\nExecMainStatus=" + text, NOW, 1.0)
    of_queryex("x", text, {})
    of_print("x", text)
