"""Logs around a moment, and who failed to log in."""

import json
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import log
from agent.diagnosis.errors import NotFound
from agent.diagnosis.logs import of_dmesg, of_json, of_syslog
from agent.diagnosis.logs_macos import of_ndjson, of_sshd
from agent.diagnosis.logs_windows import of_xml
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.helpers import NOW
from tests.agent.recorded import Recorded, lay

READ = "journalctl --quiet --no-pager --output=json --lines=2000"


def entry(at: float, source: str, message: object, level: int = 6, **more: str) -> str:
    told = {"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "MESSAGE": message, "PRIORITY": str(level), **more}
    return json.dumps({"SYSLOG_IDENTIFIER": source, **told}) + "\n"


def test_what_was_logged_around_the_moment() -> None:
    text = entry(NOW - 90, "cron", "a job ran") + "".join(
        entry(NOW - 60 + number, "app", f"request {number} failed: token=hunter2", 3) for number in range(9)
    )
    text += entry(NOW - 30, "", "blk_update_request: I/O error, dev sda, sector 4711", 3, _TRANSPORT="kernel")
    text += entry(NOW - 20, "app", list(b"caf\xe9"), 4)
    found = diagnose("log.around", look(command=Recorded({READ: text}), now=NOW))
    at = time.strftime("%H:%M", time.localtime(NOW - 30))
    assert found["finding"] == f"The kernel says at {at}: blk_update_request: I/O error, dev sda, sector 4711"
    assert next((one["count"], one["source"]) for one in found["data"]["groups"]) == (9, "app")
    assert "hunter2" not in str(found)
    only = "".join(line + "\n" for line in text.splitlines() if '"_TRANSPORT"' not in line)
    again = diagnose("log.around", look(command=Recorded({READ: only}), now=NOW), at=int(NOW), minutes=10)
    assert again["finding"].startswith("app says 9 times from ")
    assert again["finding"].endswith(": request 0 failed: token=[redacted]")


def test_quiet_logs_and_none_at_all(tmp_path: Path) -> None:
    quiet = Recorded({READ: entry(NOW, "cron", "a job ran")})
    assert diagnose("log.around", look(command=quiet, now=NOW))["finding"].startswith(
        "No errors or warnings in the 1 lines"
    )
    nothing = look(tmp_path, command=Recorded({}), now=NOW)
    assert diagnose("log.around", nothing)["finding"].startswith("Nothing was logged from ")


def test_files_of_syslog_and_the_kernels_buffer(tmp_path: Path) -> None:
    old = time.strftime("%b %e %H:%M:%S", time.localtime(NOW - 60))
    new = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW - 50))
    lay(tmp_path, {
        "var/log/syslog": f"{old} pc app[7]: disk error on /srv\n{new} pc other: fine\nnonsense\n",
        "proc/uptime": "1000.00 500.00\n",
    })  # fmt: skip
    kernel = Recorded({"dmesg --raw": "<6>[  960.000000] eth0: link up\n<3>[  970.5] EXT4-fs error (device sda1)\nx\n"})
    at = look(tmp_path, command=kernel, now=NOW)
    at.host.clock = lambda: NOW
    found = diagnose("log.around", at)
    assert found["finding"].endswith(": EXT4-fs error (device sda1)")
    assert found["data"]["count"] == 4


def btmp(*tries: tuple[float, str, str]) -> bytes:
    form = struct.Struct("<hxxi32s4s32s256shhiii16s20x")
    return b"".join(
        form.pack(6, 1, b"ssh:notty", b"", user.encode(), host.encode(), 0, 0, 0, int(at), 0, bytes(16))
        for at, user, host in tries
    )


def test_failed_logins(tmp_path: Path) -> None:
    many = [(NOW - 7_200 + 10 * number, "root", "203.0.113.9") for number in range(214)]
    lay(tmp_path, {"var/log/btmp": btmp((NOW - 90_000, "old", "x"), *many, (NOW - 30, "anna", ""))})
    said = entry(NOW - 30, "sshd", "Failed password for anna from 10.0.0.7 port 22 ssh2")
    at = time.strftime("%H:%M", time.localtime(NOW - 7_200))
    found = diagnose("login.failures", look(tmp_path, command=Recorded({READ: said}), now=NOW))
    assert found["finding"] == f"214 failed log-ins as root from 203.0.113.9 since {at}"
    assert found["data"]["count"] == 215  # what both have is counted once
    spray = [(NOW - 600 + number, f"user{number}", "203.0.113.9") for number in range(30)]
    lay(tmp_path, {"var/log/btmp": btmp(*spray)})
    assert diagnose("login.failures", look(tmp_path, command=Recorded({}), now=NOW))["finding"].startswith(
        "30 failed log-ins as 30 different users from 203.0.113.9 since "
    )
    lay(tmp_path, {"var/log/btmp": btmp()})
    assert diagnose("login.failures", look(tmp_path, command=Recorded({}), now=NOW))["finding"] == (
        "No failed log-ins in 24 hours"
    )


def test_failed_logins_of_the_journal_alone(tmp_path: Path) -> None:
    said = entry(NOW - 30, "sshd", "Failed password for invalid user admin from 10.0.0.7 port 22 ssh2")
    said += entry(NOW - 20, "sudo", "pam_unix(sudo:auth): authentication failure; logname=x rhost= user=anna")
    found = diagnose("login.failures", look(tmp_path, command=Recorded({READ: said}), now=NOW))
    assert found["finding"].startswith("2 failed log-ins in 24 hours, the last as anna from this machine at ")
    with pytest.raises(NotFound):
        diagnose("login.failures", look(tmp_path, command=Recorded({}), now=NOW))


EVENT = """<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>
<EventID>4625</EventID><TimeCreated SystemTime='2026-09-21T14:13:20.1234567Z'/></System><EventData>
<Data Name='TargetUserName'>anna</Data><Data Name='IpAddress'>10.0.0.7</Data></EventData></Event>"""


def test_failed_logins_of_windows_and_macos() -> None:
    (one,) = of_xml(EVENT + "<Event broken</Event>" + "<!DOCTYPE x><Event ></Event>")
    assert (one.user, one.source, one.time) == ("anna", "10.0.0.7", 1_790_000_000.0)
    line = of_ndjson(json.dumps({
        "timestamp": "2026-09-21 14:13:20.000000+0000", "processImagePath": "/usr/sbin/sshd", "messageType": "Error",
        "eventMessage": "error: PAM: authentication error for anna from 10.0.0.7",
    }))  # fmt: skip
    assert line is not None
    mac = of_sshd(line)
    assert mac is not None
    assert (line.level, mac.user, mac.source) == (3, "anna", "10.0.0.7")


@given(st.text(max_size=300), st.binary(max_size=900))
def test_fuzz_lines_of_logs(text: str, data: bytes) -> None:
    for read in (of_json, of_ndjson):
        read(text)
    of_json('{"__REALTIME_TIMESTAMP": "1", "PRIORITY": ' + json.dumps(text) + ', "MESSAGE": ' + json.dumps(text) + "}")
    of_syslog(text, NOW)
    of_dmesg(text, 0.0)
    of_xml(text)
    for at in range(0, len(data) - log.UTMP.size + 1, log.UTMP.size):
        log._of_record(*log.UTMP.unpack_from(data, at))
