"""A real Prometheus scrapes a real collector, with the configuration that is shipped."""

import urllib.error
from pathlib import Path

import pytest
import yaml

from tests.e2e.desk import Desk, eventually
from tests.packaging.dashboards import queries
from tests.packaging.prometheus import Prometheus, running

SHIPPED = Path(__file__).parents[2] / "packaging" / "prometheus" / "prometheus.yml"


def shipped_for(desk: Desk) -> str:
    """Return the shipped configuration, for a collector of a test."""
    text = SHIPPED.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{desk.port}")
    config = yaml.safe_load(text.replace("/etc/prometheus/watchdesk.token", str(desk.data / "metrics.token")))
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    for job in config["scrape_configs"]:
        job.pop("scrape_timeout", None)
    return yaml.safe_dump(config)


def test_prometheus_scrapes_the_collector_and_answers_every_query_of_the_dashboards(desk: Desk, tmp_path: Path) -> None:
    rules = desk.data / "rules"
    rules.mkdir(parents=True)
    always = "{alert: Always, expr: 'up{job=\"agent\"} == 1', labels: {severity: warning}}"
    (rules / "own.yml").write_text(f"groups: [{{name: own, rules: [{always}]}}]\n")
    desk.serve()
    desk.agent().start()
    desk.wait_incident(alertname="Always", state="open")
    with running(shipped_for(desk), tmp_path) as prometheus:
        one = 'node_load1{instance="pc1.hq.acme",job="agent",customer="acme",site="hq",class="server"}'
        found = eventually(lambda: prometheus.query(one) or None)
        assert found[0][1] >= 0
        eventually(lambda: prometheus.query('watchdesk_incidents_open{customer="acme"}') or None)
        eventually(lambda: not prometheus.targets_down())
        wanted = queries("pc1.hq.acme", {"customer": "acme", "site": "hq"})
        # What this machine has not, or what has not happened: no dashboard is wrong for it.
        absent = ("resolved", "hwmon", "thermal", "pressure", "error", "dropped")
        wanted = [expr for expr in wanted if not any(word in expr for word in absent)]
        assert len(wanted) > 20
        eventually(lambda: not silent(prometheus, wanted), otherwise=lambda: f"no data: {silent(prometheus, wanted)}")


def silent(prometheus: Prometheus, queries: list[str]) -> list[str]:
    """Return the queries that have no answer."""
    return [expr for expr in queries if not prometheus.query(expr)]


def test_the_fleet_needs_the_token_and_can_be_asked_for_in_parts(desk: Desk) -> None:
    desk.serve()
    desk.agent("pc1", customer="acme").start()
    desk.agent("pc2", customer="other").start()
    eventually(lambda: all(f'customer="{one}"' in desk.scrape("/metrics/fleet") for one in ("acme", "other")))
    whole = desk.scrape("/metrics/fleet")
    assert "\nnode_load1{" in whole
    part = desk.scrape("/metrics/fleet?customer=other")
    assert 'customer="acme"' not in part
    assert 'instance="pc2.hq.other"' in part
    assert "pc1" in desk.scrape("/metrics/fleet?site=hq")
    assert desk.scrape("/metrics/fleet?site=elsewhere") == ""
    with pytest.raises(urllib.error.HTTPError, match="401"):
        desk.scrape("/metrics/fleet", token=False)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        desk.scrape("/sd", token=False)
    open_to_all = desk.scrape("/metrics", token=False)
    assert "watchdesk_fleet_series" in open_to_all
    assert "acme" not in open_to_all
