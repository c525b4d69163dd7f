"""What people do with rules while the collector runs: ask why, change a threshold, check a file, look back."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.desk import Desk, eventually


def wait_told(desk: Desk, sentence: str) -> str:
    """Return what is told of MemoryLow as soon as the sentence is in it; its group is evaluated every 15 s."""

    def told() -> str | None:
        text = desk.command("rules", "explain", "MemoryLow", "--device", "srv").stdout
        return text if sentence in text else None

    return eventually(told, seconds=60)


def test_explain_thresholds_check_and_backtest_on_a_running_collector(desk: Desk, tmp_path: Path) -> None:
    desk.configure("history: {chunk_minutes: 0.05}\n")
    desk.serve()
    desk.agent("srv", **{"class": "server"}).start()
    eventually(lambda: "node_memory_MemAvailable_bytes{" in desk.scrape("/metrics/fleet"))

    # Why not? Then a threshold that no machine stays above, for this device alone, and it fires.
    told = wait_told(desk, "It does not fire: there is data, and the condition does not hold.")
    assert told.startswith("srv.hq.acme\n")
    assert "watchdesk:memory_available:percent" in told
    windows = [line for line in desk.scrape("/metrics").splitlines() if line.startswith("watchdesk_rule_window_bytes{")]
    assert any('rule="watchdesk:cpu_used:percent10m"' in line and float(line.split()[-1]) > 0 for line in windows)
    mine = ("--severity", "warning", "--device", "srv.hq.acme")
    desk.command("thresholds", "set", "memory_available_percent", "100", *mine)
    eventually(lambda: "watchdesk_threshold{" in desk.scrape("/metrics/fleet"))
    told = wait_told(desk, "It is pending")
    assert "its own threshold memory_available_percent (warning): 100" in told
    assert " of 2m" in told
    (explained,) = json.loads(desk.command("rules", "explain", "MemoryLow", "--device", "srv", "--json").stdout)
    assert (explained["alert"], explained["for"], explained["alerts"][0]["state"]) == ("MemoryLow", 120, "pending")
    held = desk.command("thresholds", "list", "--device", "srv.hq.acme", "--json").stdout
    assert json.loads(held) == {
        "name": "memory_available_percent",
        "severity": "warning",
        "value": 100,
        "device": "srv.hq.acme",
    }

    # A bad table changes nothing and is told.
    (desk.data / "thresholds.yml").write_text("thresholds: 5")
    eventually(lambda: "watchdesk_tables_last_reload_successful 0.0" in desk.scrape("/metrics"))
    assert "watchdesk_threshold{" in desk.scrape("/metrics/fleet")

    (desk.data / "thresholds.yml").unlink()
    eventually(lambda: "watchdesk_tables_last_reload_successful 1.0" in desk.scrape("/metrics"))

    # What nobody knows is said.
    for words, sentence in (
        (("MemoryLow", "--device", "nobody"), "There is no device 'nobody' in the register."),
        (("Nothing", "--device", "srv"), "There is no alert 'Nothing'; there are: "),
    ):
        refused = desk.command("rules", "explain", *words, check=False)
        assert (refused.returncode, sentence in refused.stderr) == (1, True)

    # A check counts the series that there are.
    rule = tmp_path / "r.yml"
    rule.write_text("groups: [{name: g, rules: [{alert: A, expr: node_load1 > 0}]}]")
    (cost,) = json.loads(desk.command("rules", "check", "--json", str(rule)).stdout)["costs"]
    assert cost["series"] == 1

    # The same rule against what the collector remembers.
    found = eventually(
        lambda: desk.command("backtest", "--rules", str(rule), "--since", "1h", "--json").stdout.splitlines() or None
    )
    assert json.loads(found[0])["device"] == "srv"
