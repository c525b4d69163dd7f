"""From a fault on a machine to one ticket, and back: the real programs, real faults."""

import functools
import json
import os
import signal
import time
from pathlib import Path

from tests.e2e.desk import Desk, eventually
from ticketing.scope import EVERYTHING


def seen(desk: Desk, name: str) -> bool:
    """Whether a device's own values have arrived; what the collector itself says of it is there from the start."""
    instance = f'instance="{name}.hq.acme"'
    return any(
        line.startswith("node_load1{") and instance in line for line in desk.scrape("/metrics/fleet").splitlines()
    )


def full(disk: Path) -> str:
    """The key of the incident of a full disk: whatever else is full on this machine is none of our business."""
    return f"acme/hq/pc1/DiskFull/{disk}"


def found(desk: Desk, incident: int, count: int) -> list[str]:
    """Return what diagnoses told an incident's timeline, as soon as there are so many of them."""

    def told() -> list[str] | None:
        entries = desk.store.timeline(EVERYTHING, incident) or []
        texts = [str(entry.data["text"]) for entry in entries if entry.action == "diagnose"]
        return texts if len(texts) >= count else None

    return eventually(told, seconds=60, otherwise=lambda: str(desk.store.timeline(EVERYTHING, incident)))


def test_a_disk_that_is_really_full_becomes_one_ticket_that_names_the_folder_and_closes_by_itself(
    desk: Desk, small_disk: Path
) -> None:
    desk.serve()
    agent = desk.agent()
    agent.start()
    eventually(lambda: f'mountpoint="{small_disk}"' in desk.scrape("/metrics/fleet"))
    assert desk.incidents(key=full(small_disk)) == []
    folder = small_disk / "app" / "logs"
    folder.mkdir(parents=True)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(31 << 20))
    opened = desk.wait_incident(key=full(small_disk), state="open")
    assert opened["labels"]["mountpoint"] == str(small_disk)
    assert any(str(folder) in text for text in found(desk, opened["id"], 2))
    assert (opened["customer"], opened["site"], opened["severity"]) == ("acme", "hq", "critical")
    ballast.unlink()
    closed = desk.wait_incident(id=opened["id"], state="resolved")
    assert closed["recovered_at"] >= closed["opened_at"]
    assert closed["resolved_at"] >= closed["recovered_at"]
    assert len(desk.incidents(key=full(small_disk))) == 1
    compared = [text for text in found(desk, opened["id"], 3) if text.startswith("Before: ")]
    assert str(folder) in compared[0]
    assert desk.command("audit", "verify").stdout == "The audit is whole.\n"


def test_an_agent_that_says_goodbye_raises_nothing_and_one_that_is_cut_off_does(desk: Desk) -> None:
    desk.serve()
    polite, rude = desk.agent("polite", role="drill"), desk.agent("rude", role="drill")
    for agent in (polite, rude):
        agent.start()
    for name in ("polite", "rude"):
        eventually(functools.partial(seen, desk, name))
    assert polite.process is not None
    assert rude.process is not None
    assert polite.process.stop() == 0
    rude.process.kill()
    down = desk.wait_incident(device="rude", alertname="HostDown", state="open")
    assert desk.incidents(device="polite", alertname="HostDown") == []
    rude.start()
    desk.wait_incident(id=down["id"], state="resolved")
    assert len(desk.incidents(alertname="HostDown")) == 1


def test_a_stopped_process_is_silent_and_comes_back(desk: Desk) -> None:
    desk.serve()
    agent = desk.agent(role="drill")
    process = agent.start()
    eventually(lambda: seen(desk, "pc1"))
    process.signal(signal.SIGSTOP)
    down = desk.wait_incident(alertname="HostDown", state="open")
    process.signal(signal.SIGCONT)
    desk.wait_incident(id=down["id"], state="resolved")
    assert [one["count"] for one in desk.incidents(alertname="HostDown")] == [1]


def test_the_collector_killed_in_the_middle_loses_no_ticket_and_doubles_none(desk: Desk, small_disk: Path) -> None:
    collector = desk.serve()
    agent = desk.agent()
    agent.start()
    eventually(lambda: str(small_disk) in desk.scrape("/metrics/fleet"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(31 << 20))
    opened = desk.wait_incident(key=full(small_disk), state="open")
    collector.kill()
    time.sleep(3)  # the agent gathers a backlog
    collector = desk.serve()
    eventually(lambda: seen(desk, "pc1"))
    assert [one["id"] for one in desk.incidents(key=full(small_disk))] == [opened["id"]]
    collector.kill()
    ballast.unlink()
    desk.serve()
    closed = desk.wait_incident(id=opened["id"], state="resolved")
    assert closed["count"] == opened["count"]
    assert len(desk.incidents(key=full(small_disk))) == 1


def test_a_fault_that_began_while_the_collector_was_away_is_a_ticket_when_it_is_back(
    desk: Desk, small_disk: Path
) -> None:
    collector = desk.serve()
    agent = desk.agent()
    agent.start()
    eventually(lambda: str(small_disk) in desk.scrape("/metrics/fleet"))
    collector.kill()
    (small_disk / "ballast").write_bytes(bytes(31 << 20))
    time.sleep(2)
    desk.serve()
    desk.wait_incident(key=full(small_disk), state="open")


def test_the_agent_killed_goes_on_where_it_was(desk: Desk) -> None:
    desk.serve()
    agent = desk.agent()
    for _ in range(3):
        process = agent.start()
        eventually(lambda: seen(desk, "pc1"))
        process.kill()
    agent.start()
    samples = eventually(lambda: [line for line in desk.scrape("/metrics").splitlines() if 'code="204"' in line])
    assert samples
    assert 'code="400"' not in desk.scrape("/metrics")
    refused = [line for line in desk.scrape("/metrics").splitlines() if line.startswith("watchdesk_ingest_requests")]
    assert not any('code="5' in line for line in refused), refused


def test_when_the_disk_under_the_log_is_full_nothing_is_acknowledged_and_all_comes_back(
    desk: Desk, small_disk: Path
) -> None:
    desk.data = small_disk / "data"
    desk.serve()
    agent = desk.agent()
    agent.start()
    eventually(lambda: seen(desk, "pc1"))
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                if not file.write(bytes(65536)):
                    break
            except OSError:
                break
    eventually(lambda: 'code="503"' in desk.scrape("/metrics"))
    assert desk.collector is not None
    assert desk.collector.popen.poll() is None
    os.truncate(filler, 0)

    def taken() -> float:
        line = next(x for x in desk.scrape("/metrics").splitlines() if x.startswith("watchdesk_ingest_values_total"))
        return float(line.split()[1])

    before = taken()
    eventually(lambda: taken() > before)


def test_a_rule_file_with_an_error_leaves_the_old_rules_live(desk: Desk) -> None:
    rules = desk.data / "rules"
    rules.mkdir(parents=True)
    own = rules / "own.yml"
    good = (
        "groups: [{name: own, rules: [{alert: Always, expr: 'up{job=\"agent\"} == 1', labels: {severity: info},"
        " annotations: {summary: 'it is on'}}]}]\n"
    )
    own.write_text(good)
    collector = desk.serve()
    desk.agent().start()
    first = desk.wait_incident(alertname="Always", state="open")
    own.write_text(good + "  oops: [\n")
    eventually(lambda: "watchdesk_rules_last_reload_successful 0.0" in desk.scrape("/metrics"))
    assert "own.yml:" in collector.output()
    assert desk.incidents(alertname="Always")[0]["state"] == "open"
    own.write_text(good.replace("Always", "Other"))
    desk.wait_incident(alertname="Other", state="open")
    desk.wait_incident(id=first["id"], state="resolved")
    assert "watchdesk_rules_last_reload_successful 1.0" in desk.scrape("/metrics")


def test_the_command_prints_incidents_as_json_with_the_names_that_stay(desk: Desk) -> None:
    rules = desk.data / "rules"
    rules.mkdir(parents=True)
    rule = "{alert: Always, expr: 'up{job=\"agent\"} == 1', labels: {severity: info}}"
    (rules / "own.yml").write_text(f"groups: [{{name: own, rules: [{rule}]}}]\n")
    desk.serve()
    desk.agent().start()
    desk.wait_incident(alertname="Always")
    printed = [json.loads(line) for line in desk.command("incidents", "--json").stdout.splitlines()]
    [mine] = [one for one in printed if one["alertname"] == "Always"]
    names = "id key state severity priority customer site device alertname labels opened_at recovered_at resolved_at"
    assert set(names.split()) | {"count", "parent", "members"} <= set(mine)
    assert (mine["customer"], mine["site"], mine["device"], mine["state"]) == ("acme", "hq", "pc1", "open")
    assert mine["key"].startswith("acme/hq/pc1/")
    assert mine["opened_at"].endswith("Z")
    assert (mine["recovered_at"], mine["parent"], mine["members"]) == (None, None, [])
