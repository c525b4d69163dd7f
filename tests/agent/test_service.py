"""The steps of the service: what they write, what they do when something is missing, what they leave."""

import plistlib
from pathlib import Path

import pytest

from agent import service, service_linux, service_macos
from agent.errors import StateError
from agent.service import Remove, Run, Write, carry_out
from tests.agent.collector import TestCollector
from tests.agent.helpers import command

STATE = "/var/lib/watchdesk-agent"
PROGRAM = "/usr/local/bin/watchdesk-agent"


def test_steps_are_taken_below_the_root(tmp_path: Path) -> None:
    carry_out([Write("/etc/x/unit", "text\n", 0o640), Run(("true",))], str(tmp_path))
    made = tmp_path / "etc" / "x" / "unit"
    assert made.read_text() == "text\n"
    assert made.stat().st_mode & 0o777 == 0o640
    carry_out([Remove("/etc/x"), Remove("/etc/x"), Remove("/nothing")], str(tmp_path))
    assert list((tmp_path / "etc").iterdir()) == []


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    carry_out([Remove("/link")], str(tmp_path))
    assert (tmp_path / "kept" / "file").exists()
    assert not (tmp_path / "link").is_symlink()


def test_what_fails_is_told_with_its_words() -> None:
    with pytest.raises(StateError, match="false --now"):
        carry_out([Run(("false", "--now"))])
    with pytest.raises(StateError, match="no-such-program"):
        carry_out([Run(("no-such-program",))])
    carry_out([Run(("false",), may_fail=True), Run(("no-such-program",), may_fail=True)])


def test_without_systemd_there_is_a_user_and_no_unit() -> None:
    steps = service_linux.install(STATE, PROGRAM, systemd=False)
    assert not any(isinstance(step, Write) for step in steps)
    words = [step.words for step in service_linux.install(STATE, PROGRAM, systemd=True) if isinstance(step, Run)]
    assert words[-1] == ("systemctl", "restart", "watchdesk-agent")


def test_what_linux_writes_it_also_removes() -> None:
    written = {step.path for step in service_linux.install(STATE, PROGRAM, systemd=True) if isinstance(step, Write)}
    assert written == {step.path for step in service_linux.remove() if isinstance(step, Remove)}


def test_launchds_list_is_one_and_says_the_same(tmp_path: Path) -> None:
    steps = service_macos.install("/Library/Application Support/a & b", PROGRAM)
    (write,) = [step for step in steps if isinstance(step, Write)]
    said = plistlib.loads(write.text.encode())
    assert said["ProgramArguments"] == [PROGRAM, "--state", "/Library/Application Support/a & b", "run"]
    assert said["UserName"] == service_macos.USER
    assert {step.path for step in service_macos.remove() if isinstance(step, Remove)} == {write.path}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_everything_that_was_made_is_removed(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PLATFORM", platform)
    removed = {step.path for step in service.remove(STATE) if isinstance(step, Remove)}
    assert {STATE, service.LINK, service.HOME} <= removed
    assert bool(service.stop()) == (platform != "win32")
    if platform == "win32":
        with pytest.raises(StateError, match="installer"):
            service.install(STATE, PROGRAM)


def test_a_machine_that_is_not_enrolled_gets_no_service(tmp_path: Path) -> None:
    done = command("service", "install", state=tmp_path / "state")
    assert done.returncode == 1
    assert "not enrolled" in done.stderr


def test_a_checkout_is_never_removed(collector: TestCollector, state: Path) -> None:
    assert not service.by_script()
    assert service.by_script(str(Path(service.__file__).parent))
    assert command("uninstall", state=state).returncode == 0
    assert Path(service.__file__).exists()
