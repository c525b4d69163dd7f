"""The policy: what it says holds, and a file that others may have written says nothing."""

import calendar
import os
import time
from pathlib import Path

import pytest

from agent.diagnosis import machine, policy
from agent.diagnosis.errors import Denied
from agent.diagnosis.policy import Policy, PolicyError, defaults, load, parse, path_for
from agent.diagnosis.policy_windows import distrust
from tests.agent.diagnosis.test_catalogue import Everything

SATURDAY = time.mktime((2026, 11, 21, 23, 0, 0, 0, 0, -1))


def decisions(found: Policy, now: float = SATURDAY) -> list[str]:
    return [found.decide("a.b", privacy, now) for privacy in ("health", "names", "content")]


def test_without_a_file() -> None:
    assert decisions(defaults("server")) == ["allow", "allow", "deny"]
    assert decisions(defaults("desktop")) == ["allow", "ask", "deny"]


def test_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        'machine = "desktop"\ncontent = "ask"\nbudget = 5\ncompany = "Example IT"\nanswer_seconds = 30\n'
        'targets = ["*.acme.example", "10.1.0.0/16"]\n[diagnoses]\n"net.capture" = "deny"\n'
    )
    found = load(str(tmp_path / "policy.toml"), "server")
    assert found.problem == ""
    assert decisions(found) == ["allow", "ask", "ask"]
    assert found.decide("net.capture", "health", SATURDAY) == "deny"
    assert (found.budget, found.company, found.answer_seconds) == (5, "Example IT", 30)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("db.acme.example", True), ("acme.example", False), ("10.1.2.3", True), ("10.2.0.1", False), ("::1", False)],
)
def test_targets(host: str, allowed: bool) -> None:
    found = parse('targets = ["*.acme.example", "10.1.0.0/16"]', "server")
    assert found.lets_speak_to(host) == allowed
    if not allowed:
        with pytest.raises(Denied, match="not among the targets"):
            machine.check_targets(Everything(host=host), found, {"localhost"})
    machine.check_targets(Everything(host="localhost", address="https://LOCALHOST:8/x"), found, {"localhost"})
    with pytest.raises(Denied):
        machine.check_targets(Everything(host="localhost", address="http://169.254.169.254/"), found, {"localhost"})


@pytest.mark.parametrize(
    ("window", "day", "hour", "expected"),
    [
        ('days = ["sat"]\nfrom = "22:00"\nto = "06:00"', 21, 23, "allow"),
        ('days = ["sat"]\nfrom = "22:00"\nto = "06:00"', 22, 5, "allow"),  # Sunday morning belongs to Saturday night
        ('days = ["sat"]\nfrom = "22:00"\nto = "06:00"', 21, 5, "deny"),
        ('days = ["sat"]\nfrom = "22:00"\nto = "06:00"', 22, 7, "deny"),
        ('from = "08:00"\nto = "18:00"', 20, 8, "allow"),
        ('from = "08:00"\nto = "18:00"', 20, 18, "deny"),
        ("", 20, 3, "allow"),
    ],
)
def test_standing_windows(window: str, day: int, hour: int, expected: str) -> None:
    found = parse(f'[[window]]\nclass = "content"\ndecision = "allow"\n{window}', "server")
    now = time.mktime((2026, 11, day, hour, 0, 0, 0, 0, -1))
    assert calendar.weekday(2026, 11, 21) == 5
    assert decisions(found, now) == ["allow", "allow", expected]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1", "unknown key x"),
        ("health", "Expected"),
        ('health = "yes"', "health is none of allow, ask, deny"),
        ('screen = "allow"', "unknown key screen"),
        ("budget = -1", "budget is not"),
        ("budget = true", "budget is not"),
        ('targets = "*"', "targets is no list"),
        ("targets = [1]", "targets is no list"),
        ("company = 5", "company is no text"),
        ('window = "x"', r"window is written \[\[window\]\]"),
        ('[[window]]\nclass = "names"', "has class, decision"),
        ('[[window]]\nclass = "names"\ndecision = "allow"\nuntil = 5', "not until"),
        ('[[window]]\nclass = "names"\ndecision = "allow"\nfrom = "24:00"', "no time such as"),
        ('[[window]]\nclass = "names"\ndecision = "allow"\ndays = ["someday"]', "days is none of"),
        ('[diagnoses]\n"a.b" = 1', r"diagnoses\.a\.b is none of"),
        ("diagnoses = 1", "diagnoses is no table"),
        ('machine = "phone"', "machine is none of"),
    ],
)
def test_what_it_cannot_say_makes_it_deny(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=why):
        parse(text, "server")
    (tmp_path / "policy.toml").write_text(text)
    found = load(str(tmp_path / "policy.toml"), "server")
    assert found.problem
    assert decisions(found) == ["allow", "deny", "deny"]


def test_who_else_may_write_it_makes_it_deny(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('content = "allow"\n')
    assert decisions(load(str(path), "server"))[2] == "allow"
    path.chmod(0o664)
    assert "can be written by others" in load(str(path), "server").problem
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    assert "its folder can be written" in load(str(path), "server").problem
    tmp_path.chmod(0o700)
    path.rename(tmp_path / "real")
    path.symlink_to(tmp_path / "real")
    assert load(str(path), "server").problem
    path.unlink()
    path.mkdir()
    assert load(str(path), "server").problem
    path.rmdir()
    os.mkfifo(path)
    assert "neither a file nor a folder" in load(str(path), "server").problem


def test_whose_it_must_be(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    found = (tmp_path / "x").stat()
    policy.check_owner(found, {found.st_uid}, "the file")
    with pytest.raises(PolicyError, match="must be root's"):
        policy.check_owner(found, {found.st_uid + 1}, "the file")


def test_where_it_is() -> None:
    assert path_for("/var/lib/watchdesk-agent", "linux", {}) == "/etc/watchdesk-agent/policy.toml"
    assert path_for("/srv/agent", "linux", {}) == "/srv/agent/policy.toml"


TRUSTED_OWNER = "O:BAG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)"


@pytest.mark.parametrize(
    ("sddl", "why"),
    [
        (TRUSTED_OWNER, ""),
        (TRUSTED_OWNER + "(A;;0x1200a9;;;BU)", ""),  # users may read
        (TRUSTED_OWNER + "(D;;FA;;;WD)", ""),
        (TRUSTED_OWNER + "(A;;0x1301bf;;;BU)", "BU may write it"),  # users may modify
        (TRUSTED_OWNER + "(A;;FA;;;WD)", "WD may write it"),
        (TRUSTED_OWNER + "(A;OICI;FRFW;;;AU)", "AU may write it"),
        (TRUSTED_OWNER + "(A;;FR;;;S-1-5-21-1-2-3-1001)", ""),
        (TRUSTED_OWNER + "(A;;FRSD;;;S-1-5-21-1-2-3-1001)", "may write it"),
        ("O:S-1-5-21-1-2-3-1001G:SYD:(A;;FA;;;SY)", "must be the administrators'"),
        ("O:BAG:SYD:NO_ACCESS_CONTROL", "everybody"),
        ("O:BAG:SY", "everybody"),
        ("", "belongs to nobody"),
    ],
)
def test_who_may_write_it_on_windows(sddl: str, why: str) -> None:
    assert why in distrust(sddl)
    assert bool(distrust(sddl)) == bool(why)


def test_whom_this_machine_speaks_to_anyway(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("# x\nnameserver 192.0.2.53\nsearch acme.example\n")
    (tmp_path / "net").mkdir()
    (tmp_path / "net/route").write_text("Iface\tDestination\tGateway\neth0\t00000000\t010200C0\neth0\t0000A8C0\t0\n")
    options = {"check.web": "http https://intranet.example/health", "check.mail": "tcp mail.example:25",
               "check.ping": "icmp 192.0.2.9", "check.disk": "nagios /bin/check_disk -w 1"}  # fmt: skip
    found = machine.known_targets(options, ["https://c.example:8443"], str(tmp_path), str(tmp_path))
    assert {"192.0.2.53", "192.0.2.1", "intranet.example", "mail.example", "192.0.2.9", "c.example", "::1"} <= found
    assert "192.168.0.1" not in found


def test_a_desktop_is_told_from_a_server(tmp_path: Path) -> None:
    assert machine.kind(str(tmp_path)) == "server"
    (tmp_path / "etc/X11").mkdir(parents=True)
    (tmp_path / "etc/X11/default-display-manager").write_text("/usr/sbin/gdm3\n")
    assert machine.kind(str(tmp_path)) == "desktop"
