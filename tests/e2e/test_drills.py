"""Every drill, against a running collector: one ticket each, resolved when it ends."""

import json

import pytest

from tests.e2e.desk import Desk


@pytest.mark.parametrize(
    ("name", "alertname"),
    [("host-down", "HostDown"), ("cpu", "CpuHigh"), ("service-dead", "UnitFailed"), ("disk-full", "DiskFull")],
)
def test_a_drill_gives_one_ticket_that_resolves(desk: Desk, name: str, alertname: str) -> None:
    desk.serve()
    done = desk.command("drill", name, "--hold", "1", "--json")
    incident = json.loads(done.stdout)
    assert (incident["alertname"], incident["state"], incident["device"]) == (alertname, "resolved", f"drill-{name}")
    assert [one["id"] for one in desk.incidents(alertname=alertname)] == [incident["id"]]
    assert desk.command("devices", "--json").stdout == ""


def test_the_list_of_drills(desk: Desk) -> None:
    listed = desk.command("drill", "--list").stdout
    for name in ("disk-full", "host-down", "cpu", "service-dead", "flapping"):
        assert name in listed


def test_a_drill_without_a_collector_is_one_sentence(desk: Desk) -> None:
    done = desk.command("drill", "disk-full", check=False)
    assert done.returncode == 1
    assert "There is no Watchdesk in" in done.stderr
