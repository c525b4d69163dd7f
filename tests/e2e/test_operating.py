"""What an operator asks: how is it, what is wrong, and does the log give the same again?"""

import json
import signal
import time
from pathlib import Path

from collector.log.segments import segments
from tests.e2e.desk import Desk, eventually

RULE = "groups: [{name: own, rules: [{alert: Always, expr: 'up == 1', labels: {severity: warning}}]}]\n"


def findings(desk: Desk) -> dict[str, list[str]]:
    """The levels that the doctor gives, by check."""
    lines = desk.command("doctor", "--json", check=False).stdout.splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        record = json.loads(line)
        found.setdefault(record["check"], []).append(record["level"])
        assert record["level"] == "ok" or record["advice"]
    return found


def test_status_doctor_events_and_replay_of_a_collector_that_runs_and_was_killed(desk: Desk) -> None:
    assert "error" in findings(desk)["folder"]
    (desk.data / "rules").mkdir(parents=True)
    desk.data.chmod(0o700)
    (desk.data / "rules" / "own.yml").write_text(RULE)
    desk.configure("rules:\n  snapshot_seconds: 2\n")
    collector = desk.serve()
    desk.agent().start()
    desk.wait_incident(alertname="Always", device="pc1")
    status = json.loads(desk.command("status", "--json").stdout)
    assert status["devices"]["alive"] >= 1
    assert status["rule_files_good"] is True
    assert set(status["lag"]) >= {"incidents", "history", "events"}
    assert "devices" in desk.command("status", "--seconds", "0.2").stdout
    healthy = findings(desk)
    assert [level for levels in healthy.values() for level in levels if level == "error"] == []
    collector.signal(signal.SIGKILL)
    collector.end()
    assert findings(desk)["collector"] == ["error", "error"]
    assert desk.command("status", check=False).returncode == 1
    desk.serve()
    eventually(lambda: json.loads(desk.command("status", "--json").stdout)["requests_per_second"] > 0, seconds=60)
    time.sleep(2.5)  # until a snapshot is written
    done = desk.command("replay", "--json", check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    report = json.loads(done.stdout)
    assert report["same"] is True
    assert report["whole"] is True
    assert report["incidents"] >= 1
    assert len({run["digest"] for run in report["runs"]}) == 1
    assert len(report["runs"]) >= 2
    shown = desk.command("replay", check=False).stdout
    assert "as in the database" in shown, shown


def test_what_the_doctor_finds(desk: Desk) -> None:
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "own.yml").write_text("groups: [{name: own, rules: [{alert: A, expr: 'up ==='}]}]\n")
    desk.configure("database: sqlite:////nowhere/at/all.db\nlog: {max_bytes: 5}\n")
    desk.data.chmod(0o755)
    found = findings(desk)
    assert found["folder"][0] == found["rules"][0] == "error"
    assert found["database"] == ["warning"]
    assert desk.command("doctor", check=False).returncode == 1
    desk.configure("databse: x\n")
    assert findings(desk)["configuration"] == ["error"]


def test_a_replay_of_a_log_that_lacks_its_middle_says_so(desk: Desk, tmp_path: Path) -> None:
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "own.yml").write_text(RULE)
    collector = desk.serve()
    desk.agent().start()
    desk.wait_incident(alertname="Always", device="pc1")
    collector.stop()
    [segment, *_] = segments(desk.data / "log")
    content = bytearray(segment.path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 40] = bytes(40)
    segment.path.write_bytes(content)
    done = desk.command("replay", "--json", check=False)
    report = json.loads(done.stdout)
    assert report["lost_bytes"] > 0
    assert report["lost_records"] > 0
