"""The ticket arrives with the answer: a real collector, a real agent, a real fault."""

from pathlib import Path

from tests.e2e.desk import Desk, eventually
from ticketing.diagnosis.asked import Diagnosis, State
from ticketing.scope import EVERYTHING


def found(desk: Desk, incident: int) -> Diagnosis | None:
    """Return the first diagnosis of an incident that has come to its end."""
    assert desk._store is not None
    return next(
        (one for one in desk._store.diagnoses.of_incident(EVERYTHING, incident) if one.state is State.DONE), None
    )


def test_a_full_disk_comes_with_the_directory_that_fills_it(desk: Desk, small_disk: Path) -> None:
    desk.serve()
    agent = desk.agent()
    agent.start()
    eventually(lambda: f'mountpoint="{small_disk}"' in desk.scrape("/metrics/fleet"))
    (small_disk / "log" / "app").mkdir(parents=True)
    (small_disk / "log" / "app" / "debug.log").write_bytes(bytes(31 << 20))
    incident = desk.wait_incident(key=f"acme/hq/pc1/DiskFull/{small_disk}", state="open")
    diagnosis = eventually(
        lambda: found(desk, incident["id"]), seconds=60, otherwise=lambda: agent.command("audit", "list").stdout
    )
    assert diagnosis.name == "disk.top_dirs"
    assert str(small_disk / "log" / "app") in diagnosis.finding
    listed = agent.command("audit", "list").stdout
    assert f"by rule:DiskFull  for {incident['number']}  allowed by policy  {diagnosis.finding}" in listed
    assert agent.command("audit", "verify").returncode == 0
    assert diagnosis.uid in agent.command("sent").stdout


def test_a_customer_who_denies_it_is_not_examined(desk: Desk, small_disk: Path) -> None:
    desk.serve()
    agent = desk.agent()
    (agent.state / "policy.toml").write_text('names = "deny"\n')
    agent.start()
    eventually(lambda: f'mountpoint="{small_disk}"' in desk.scrape("/metrics/fleet"))
    (small_disk / "ballast").write_bytes(bytes(31 << 20))
    desk.wait_incident(key=f"acme/hq/pc1/DiskFull/{small_disk}", state="open")
    eventually(lambda: "denied" in agent.command("audit", "list").stdout, seconds=60)
    assert agent.command("sent").stdout.count("policy: the policy of this machine denies names (disk.top_dirs)") == 1
