"""A real Prometheus sends its alerts to a real collector: an incident opens, and resolves when they are over."""

from pathlib import Path

import yaml

from tests.e2e.desk import Desk
from tests.packaging.prometheus import free_port, running


def test_an_alert_of_prometheus_is_an_incident_until_it_is_over(desk: Desk, tmp_path: Path) -> None:
    desk.serve()
    token = desk.command("remote-write-token", "create", "--customer", "acme", "--site", "hq").stdout.strip()
    rule = {"alert": "TargetDown", "expr": "up == 0", "labels": {"severity": "critical"}}
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "own", "interval": "1s", "rules": [rule]}]}))
    target = free_port()
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "app", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
        "alerting": {
            "alertmanagers": [
                {
                    "scheme": "https",
                    "api_version": "v2",
                    "authorization": {"credentials": token},
                    "tls_config": {"ca_file": str(desk.data / "pki" / "ca.pem")},
                    "static_configs": [{"targets": [f"127.0.0.1:{desk.port + 1}"]}],
                }
            ]
        },
    }
    with running(yaml.safe_dump(config), tmp_path, port=free_port()):
        found = desk.wait_incident(alertname="TargetDown", seconds=60)
        assert (found["customer"], found["site"], found["device"]) == ("acme", "hq", "127-0-0-1")
        (tmp_path / "target").mkdir()
        with running("global: {}", tmp_path / "target", port=target):  # it answers now, as it has metrics of its own
            desk.wait_incident(alertname="TargetDown", state="resolved", seconds=90)
