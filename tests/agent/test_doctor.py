"""The doctor finds what is wrong, one fault after the other, and says what to do."""

import json
from pathlib import Path

import pytest

from agent.doctor import OK, PROBLEM, WARNING, Finding, examine
from agent.state import State
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.agent.helpers import agent, command, eventually
from tests.agent.proxy import connect_proxy


def findings(state: Path, environ: dict[str, str] | None = None, now: float | None = None) -> dict[str, Finding]:
    import time

    found = examine(State(str(state)), None, environ or {}, time.time if now is None else lambda: now)
    return {finding.about: finding for finding in found}


def test_all_is_well(collector: TestCollector, state: Path) -> None:
    with agent(state):
        eventually(collector.rows)
        found = findings(state)
    assert {finding.state for finding in found.values()} == {OK}
    assert set(found) >= {"enrolment", "permissions", "disk", "configuration", "agent", "collector", "clock", "token"}


def test_it_leaves_nothing_at_the_collector(collector: TestCollector, state: Path) -> None:
    findings(state)
    assert not collector.rows()
    assert not list((state / "spool").iterdir())


def test_it_is_not_enrolled(tmp_path: Path) -> None:
    done = command("doctor", state=tmp_path)
    assert done.returncode == 1
    assert "not enrolled" in done.stdout


def test_it_does_not_run(state: Path) -> None:
    assert findings(state)["agent"].state == WARNING


def test_the_collector_is_away(collector: TestCollector, state: Path) -> None:
    collector.stop()
    found = findings(state)["collector"]
    assert found.state == PROBLEM
    assert str(collector.port) in found.advice
    collector.start()


def test_the_token_is_revoked(collector: TestCollector, state: Path) -> None:
    collector.token = "another"
    found = findings(state)["token"]
    assert found.state == PROBLEM
    assert "enrol again" in found.advice


def test_another_ca(collector: TestCollector, state: Path) -> None:
    collector.stop()
    collector.authority = Authority("Somebody else")
    collector.start()
    assert findings(state)["tls"].state == PROBLEM


@pytest.mark.parametrize("jump", [3_600.0, -86_400.0])
def test_the_clock_is_off(collector: TestCollector, state: Path, jump: float) -> None:
    collector.clock_error = -jump
    found = findings(state)["clock"]
    assert found.state == WARNING
    assert f"{jump:+.0f}"[:4] in found.text


def test_a_line_of_the_configuration_is_wrong(state: Path) -> None:
    (state / "agent.conf").write_text("interval = 10\nintervall = 5\n")
    found = findings(state)["configuration"]
    assert found.state == PROBLEM
    assert "line 2" in found.text


def test_the_proxy_refuses(collector: TestCollector, state: Path) -> None:
    with connect_proxy(answer=b"HTTP/1.1 403 Forbidden\r\n\r\n") as through:
        (state / "agent.conf").write_text(f"proxy = http://127.0.0.1:{through.port}\n")
        found = findings(state)["collector"]
    assert found.state == PROBLEM
    assert "CONNECT" in found.advice


def test_others_may_look_in(state: Path) -> None:
    state.chmod(0o755)
    assert findings(state)["permissions"].state == PROBLEM


def test_each_address_is_asked(authority: Authority, collector: TestCollector, state: Path) -> None:
    with running(authority) as second:
        (state / "agent.conf").write_text(f"collectors = {second.url}\n")
        found = examine(State(str(state)), None, {}, lambda: 0.0)
    assert [finding.state for finding in found if finding.about == "collector"] == [OK, OK]


def test_for_a_script(collector: TestCollector, state: Path) -> None:
    done = command("doctor", "--json", state=state)
    assert done.returncode == 0, done.stdout
    assert {finding["about"] for finding in json.loads(done.stdout)} >= {"collector", "token"}
