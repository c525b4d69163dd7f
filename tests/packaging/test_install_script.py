"""The install script, as the collector gives it: one line that installs, and an uninstall that leaves nothing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector import installer
from tests.e2e.desk import Desk, eventually
from tests.e2e.desk import desk as a_desk
from tests.packaging.roots import Overlay, overlay
from tests.packaging.test_agent_packages import built, process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may lay a layer over this machine")
STATE = "var/lib/watchdesk-agent"
USER = "watchdesk-agent"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "desk").mkdir()
    with a_desk(tmp_path / "desk") as made:
        made.serve()
        yield made


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Overlay]:
    with overlay(tmp_path / "machine") as made:
        yield made


def line(desk: Desk, *more: str) -> str:
    """Return the line that an administrator copies; the test is root already."""
    words = ("enrol-token", "create", "--customer", "acme", "--site", "hq", "--command", *more)
    return desk.command(*words).stdout.strip().replace("sudo sh", "sh")


def alive(desk: Desk, name: str) -> bool:
    """Whether values of the device have come."""
    values = desk.scrape("/metrics/fleet").splitlines()
    return any(line.startswith("node_load1{") and f'instance="{name}.hq.acme"' in line for line in values)


def test_one_line_installs_and_uninstall_leaves_no_trace(desk: Desk, machine: Overlay) -> None:
    assert machine.changes() == {}
    said = machine.run("sh", "-c", f"{line(desk)} --name pc1")
    assert "Enrolled as pc1.hq.acme" in said
    assert "/opt/watchdesk-agent/agent/__main__.py" in machine.changes()
    assert (machine.folder / STATE / "token").stat().st_mode & 0o777 == 0o600
    assert (machine.folder / STATE / "token").stat().st_uid != 0
    run = (
        "setpriv",
        f"--reuid={USER}",
        f"--regid={USER}",
        "--clear-groups",
        "watchdesk-agent",
        "--state",
        f"/{STATE}",
        "run",
    )
    with process(machine.command(*run)):
        eventually(lambda: alive(desk, "pc1"), seconds=60)
    again = machine.run("sh", "-c", line(desk))
    assert "enrolled already" in again
    assert "Removed" in machine.run("watchdesk-agent", "uninstall")
    assert machine.changes() == {}
    assert not any("pc1" in row for row in desk.command("devices", "--json").stdout.splitlines())


def test_the_line_for_windows_checks_the_ca_before_it_runs_anything(desk: Desk) -> None:
    """As far as it can be held here, where no PowerShell is: its parts, their order, its quotes and brackets."""
    line_ = line(desk, "--windows")
    fingerprint = line(desk).split(" = ")[1][:64]
    steps = [
        "-fsSk",
        "/v1/ca'",
        "ComputeHash",
        fingerprint,
        "throw",
        "--cacert $ca",
        "/install.ps1'",
        "Create($s)",
        "wde_",
    ]
    places = [line_.index(step) for step in steps]
    assert places == sorted(places)
    for opening, closing in ("()", "{}", "[]"):
        assert line_.count(opening) == line_.count(closing)
    assert line_.count("'") % 2 == 0
    assert line_.count("-fsSk") == 1


def test_another_ca_installs_nothing(desk: Desk, machine: Overlay) -> None:
    lines = line(desk).split(" = ")
    fingerprint = lines[1][:64]
    broken = line(desk).replace(fingerprint, "0" * 64)
    machine.run("sh", "-c", broken, check=False)
    assert machine.changes() == {}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "give the token"),
        (["hello"], "begins with wde_"),
        (["wde_"], "not a whole token"),
        (["wde_eyJ1IjoiaHR0cHM6Ly8xMjcuMC4wLjE6MSIsInMiOiJ4IiwiZiI6IjAwIn0"], "cannot be reached"),
    ],
    ids=["none", "no token", "half a token", "nobody there"],
)
def test_what_cannot_work_changes_nothing(machine: Overlay, words: list[str], why: str) -> None:
    said = machine.run("sh", "-s", "--", *words, stdin=installer.script().decode(), check=False)
    assert why in said
    assert machine.changes() == {}


def test_a_script_that_broke_off_does_nothing(machine: Overlay) -> None:
    text = installer.script().decode()
    for part in range(1, 10):
        machine.run("sh", "-s", "--", "wde_x", stdin=text[: len(text) * part // 10], check=False)
    assert machine.changes() == {}


def test_only_root_installs(machine: Overlay) -> None:
    run = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-s", "--", "wde_x"]
    assert "as root" in machine.run(*run, stdin=installer.script().decode(), check=False)


def test_the_deb_comes_and_goes_without_a_trace(desk: Desk, machine: Overlay, tmp_path: Path) -> None:
    deb = built("deb", tmp_path / "out")
    (machine.folder / "root" / "agent.deb").write_bytes(deb.read_bytes())
    machine.run("dpkg", "--install", "/root/agent.deb")
    enrol = (
        "setpriv",
        f"--reuid={USER}",
        f"--regid={USER}",
        "--clear-groups",
        "watchdesk-agent",
        "--state",
        f"/{STATE}",
    )
    machine.run(*enrol, "enrol", "-", "--name", "pc2", stdin=desk.token())
    with process(machine.command(*enrol, "run")):
        eventually(lambda: alive(desk, "pc2"), seconds=60)
    token = (machine.folder / STATE / "token").read_text()
    machine.run("dpkg", "--install", "/root/agent.deb")  # as an upgrade does
    assert (machine.folder / STATE / "token").read_text() == token
    machine.run("dpkg", "--purge", "watchdesk-agent")
    assert machine.changes() == {}
    assert not any("pc2" in row for row in desk.command("devices", "--json").stdout.splitlines())


def test_the_archive_is_the_same_for_everybody(desk: Desk) -> None:
    assert installer.archive()[:2] == b"\x1f\x8b"
    names = (
        subprocess.run(["tar", "-tz"], input=installer.archive(), capture_output=True, check=True)
        .stdout.decode()
        .split()
    )
    assert "agent/__main__.py" in names
    assert all(name.startswith("agent/") and name.endswith(".py") for name in names)
