"""The state directory: private, whole or not at all, one agent at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import EnrolmentError, StateError
from agent.state import Enrolment, State, default_directory
from tests.agent.helpers import ROOT

ENROLMENT = Enrolment("pc.hq.acme", "https://192.0.2.1:8443", 15.0, "secret", "PEM")


def test_an_enrolment_is_kept_and_private(tmp_path: Path) -> None:
    state = State(str(tmp_path / "a" / "b"))
    state.create()
    state.enrol(ENROLMENT)
    found = State(state.directory).enrolment()
    assert (found.device, found.url, found.interval, found.token, found.ca) == (
        "pc.hq.acme",
        "https://192.0.2.1:8443",
        15.0,
        "secret",
        "PEM",
    )
    for name in ("token", "enrolment", "ca.pem"):
        assert stat.S_IMODE((tmp_path / "a" / "b" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_directory_without_a_token_is_not_enrolled(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    state.write("enrolment", "url = https://192.0.2.1\n")  # the token is written last: a crash came between
    with pytest.raises(EnrolmentError, match="run `watchdesk-agent enrol TOKEN`"):
        state.enrolment()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    state.write("last", "old")
    (tmp_path / "last.new").mkdir()  # so that the new one cannot be written
    with pytest.raises(StateError, match="cannot write"):
        state.write("last", "new")
    assert state.read("last") == "old"


def test_a_directory_is_one_agents(tmp_path: Path) -> None:
    state = State(str(tmp_path))
    assert state.running() is None
    state.lock()
    assert State(str(tmp_path)).running() == os.getpid()
    with pytest.raises(StateError, match="an agent is running"):
        State(str(tmp_path)).lock()
    state.unlock()
    assert State(str(tmp_path)).running() is None
    State(str(tmp_path)).lock()


def test_a_killed_agent_leaves_no_lock(tmp_path: Path) -> None:
    code = f"from agent.state import State; import os; State({str(tmp_path)!r}).lock(); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert State(str(tmp_path)).running() is None


def test_a_place_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="choose another with --state"):
        State(str(tmp_path / "file" / "state")).create()


@pytest.mark.parametrize(
    ("platform", "root", "environ", "directory"),
    [
        ("linux", True, {}, "/var/lib/watchdesk-agent"),
        ("linux", False, {"HOME": "/home/a"}, "/home/a/.local/state/watchdesk-agent"),
        ("linux", False, {"HOME": "/home/a", "XDG_STATE_HOME": "/s"}, "/s/watchdesk-agent"),
        ("darwin", True, {}, "/Library/Application Support/watchdesk-agent"),
        ("darwin", False, {"HOME": "/Users/a"}, "/Users/a/Library/Application Support/watchdesk-agent"),
        ("win32", False, {"PROGRAMDATA": "D:\\Data"}, "D:\\Data\\watchdesk-agent"),
    ],
)
def test_default_directory(platform: str, root: bool, environ: dict[str, str], directory: str) -> None:
    assert default_directory(environ, platform, root=root) == directory
