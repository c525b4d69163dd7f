"""watchdesk-agent as people use it: words in, one sentence and an exit code out."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from agent import probes
from agent.__main__ import plain_run
from agent.enrolment import read_token
from agent.errors import EnrolmentError
from agent.state import State
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.agent.helpers import agent, command, eventually


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr, without a traceback."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("watchdesk-agent: ")
    return lines[0]


def test_enrolment_keeps_what_the_collector_said(collector: TestCollector, tmp_path: Path) -> None:
    done = command("enrol", collector.enrolment_token(), "--name", "web1", "--class", "server", state=tmp_path / "s")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Enrolled as web1.hq.acme at {collector.url}, a reading every 1 s.\n"
    (said,) = collector.enrolments
    assert (said["hostname"], said["class"], said["os"]) == ("web1", "server", "linux")
    assert (tmp_path / "s" / "token").stat().st_mode & 0o777 == 0o600


def test_the_token_can_come_from_stdin_so_that_no_process_list_shows_it(
    collector: TestCollector, tmp_path: Path
) -> None:
    done = command("enrol", "-", state=tmp_path / "s", stdin=collector.enrolment_token() + "\n")
    assert done.returncode == 0


def test_a_wrong_fingerprint_sends_nothing(collector: TestCollector, tmp_path: Path) -> None:
    token = collector.enrolment_token(f=Authority().fingerprint)
    done = command("enrol", token, state=tmp_path / "s")
    assert done.returncode == 1
    assert "is not the one that the token names" in sentence(done)
    assert collector.enrolments == []
    assert not (tmp_path / "s" / "token").exists()


def test_a_used_token_is_refused_plainly(collector: TestCollector, tmp_path: Path) -> None:
    done = command("enrol", collector.enrolment_token(s="used"), state=tmp_path / "s")
    assert done.returncode == 1
    assert "the token is not valid: wrong, expired or used; ask for a new one" in sentence(done)
    assert not (tmp_path / "s" / "token").exists()


def test_a_live_enrolment_is_not_overwritten_without_force(collector: TestCollector, state: Path) -> None:
    done = command("enrol", collector.enrolment_token(), state=state)
    assert done.returncode == 1
    assert "add --force" in sentence(done)
    assert command("enrol", collector.enrolment_token(), "--force", state=state).returncode == 0
    with agent(state):
        eventually(lambda: collector.rows())
        done = command("enrol", collector.enrolment_token(), "--force", state=state)
    assert done.returncode == 1
    assert "an agent is running" in sentence(done)


def test_a_collector_that_is_away_is_told_plainly(collector: TestCollector, tmp_path: Path) -> None:
    collector.stop()
    done = command("enrol", collector.enrolment_token(), state=tmp_path / "s")
    assert done.returncode == 1
    assert "Connection refused" in sentence(done)


def test_a_plain_http_collector_needs_no_ca(tmp_path: Path) -> None:
    with running(None) as plain:
        done = command("enrol", plain.enrolment_token(), state=tmp_path / "s")
        assert done.returncode == 0, done.stderr
        with agent(tmp_path / "s"):
            eventually(lambda: len(plain.rows()) > 1)


def encoded(said: object) -> str:
    return "wde_" + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "wde_",
        "wde_!!!!",
        "wde_e30",
        "abc",
        encoded([]),
        encoded({"u": "https://a"}),
        encoded({"u": "https://a", "s": "x"}),
        encoded({"u": "https://a", "s": "x", "f": "12"}),
        encoded({"u": 1, "s": "x", "f": "1" * 64}),
        encoded({"u": "https://a", "s": "x", "f": "1" * 64})[:-9],
        "wde_" + base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(EnrolmentError, match="copy it again"):
        read_token(token)


@pytest.mark.parametrize("words", [[], ["fly"], ["run", "--fast"], ["enrol"], ["probe"], ["completion", "tcsh"]])
def test_wrong_use_is_2(words: list[str]) -> None:
    done = command(*words)
    assert done.returncode == 2
    assert "usage: watchdesk-agent" in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["enrol", "--help"], ["run", "--help"], ["uninstall", "-h"]])
def test_help_tells_the_exit_codes(words: list[str]) -> None:
    done = command(*words)
    assert done.returncode == 0
    assert "exit codes: 0 well, 1 a failure" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["run"], (None, None)),
        (["--state", "/s", "run"], ("/s", None)),
        (["run", "--state=/s", "--config", "/c"], ("/s", "/c")),
        (["run", "--help"], None),
        (["run", "run"], None),
        (["run", "--state"], None),
        (["run", "--state", "/s", "--state", "/t"], None),
        (["status"], None),
        ([], None),
    ],
)
def test_a_plain_run_needs_no_argparse(words: list[str], found: tuple[str | None, str | None] | None) -> None:
    assert plain_run(words) == found


def test_running_without_enrolment_says_what_to_do(tmp_path: Path) -> None:
    done = command("run", state=tmp_path)
    assert done.returncode == 1
    assert "run `watchdesk-agent enrol TOKEN`" in sentence(done)


def test_status_of_a_running_agent(collector: TestCollector, state: Path) -> None:
    with agent(state):
        eventually(lambda: len(collector.rows()) > 1)
        said = json.loads(command("status", "--json", state=state).stdout)
        assert said["running"] is True
        assert said["device"] == "pc.hq.acme"
        assert said["probes"]["cpu"]["state"] == "ok"
        assert said["spool_bytes"] == 0
        assert said["last_error"] == ""
        text = command("status", state=state).stdout
        assert "last contact" in text
        assert "filesystem" in text


def test_status_without_an_agent_is_1(state: Path, tmp_path: Path) -> None:
    done = command("status", state=state)
    assert done.returncode == 1
    assert "not running" in done.stdout
    done = command("status", "--json", state=tmp_path / "nothing")
    assert json.loads(done.stdout)["enrolled"] is False


def test_probe_prints_prometheus_text_that_promtool_accepts(tmp_path: Path) -> None:
    done = command("probe", "all", state=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "# TYPE node_cpu_seconds_total counter\n" in done.stdout
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is missing: make servers"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=done.stdout, capture_output=True, text=True, check=False
    )
    # Names are node_exporter's, not all of them to promtool's taste; what it cannot parse is an error.
    assert "error while linting" not in checked.stderr


def test_one_probe_alone() -> None:
    done = command("probe", "load")
    assert {line.split()[0] for line in done.stdout.splitlines() if line.startswith("node_")} == {
        "node_load1",
        "node_load5",
        "node_load15",
    }


def test_a_probe_that_does_not_exist() -> None:
    done = command("probe", "lode")
    assert done.returncode == 1
    assert "there are: all, backup, certificates, checks, conntrack" in sentence(done)


def test_uninstall_retires_and_leaves_nothing(collector: TestCollector, state: Path) -> None:
    with agent(state) as process:
        eventually(lambda: collector.rows())
        assert "stop it before uninstalling" in sentence(command("uninstall", state=state))
        process.stop()
    done = command("uninstall", state=state)
    assert (done.returncode, done.stderr) == (0, "")
    assert not state.exists()
    assert collector.retired == 1
    assert command("uninstall", state=state).returncode == 0  # once more does no harm


def test_uninstall_keeps_all_while_the_collector_is_away_unless_forced(collector: TestCollector, state: Path) -> None:
    collector.stop()
    done = command("uninstall", state=state)
    assert done.returncode == 1
    assert "add --force" in sentence(done)
    assert State(str(state)).enrolment().device == "pc.hq.acme"
    assert command("uninstall", "--force", state=state).returncode == 0
    assert not state.exists()


def test_uninstall_does_not_touch_what_is_not_the_agents(collector: TestCollector, state: Path) -> None:
    (state / "photos").mkdir()
    done = command("uninstall", state=state)
    assert done.returncode == 1
    assert "look into it" in done.stderr
    assert (state / "photos").exists()
    assert not (state / "token").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_probe(shell: str) -> None:
    done = command("completion", shell)
    assert done.returncode == 0
    for word in ("enrol", "run", "status", "probe", "uninstall", "completion", *probes.discover()):
        assert word in done.stdout


def test_completion_works_in_bash() -> None:
    script = command("completion", "bash").stdout
    code = (
        f"{script}\nCOMP_WORDS=(watchdesk-agent --state /x probe lo); COMP_CWORD=4; _watchdesk_agent; "
        'echo "${COMPREPLY[*]}"\n'
        'COMP_WORDS=(watchdesk-agent un); COMP_CWORD=1; _watchdesk_agent; echo "${COMPREPLY[*]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["load", "uninstall"]
