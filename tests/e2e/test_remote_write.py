"""A real Prometheus writes to a real collector: its series are here, come back after an outage, and raise tickets."""

import functools
import signal
from pathlib import Path

import yaml

from tests.e2e.desk import Desk, eventually
from tests.packaging.prometheus import free_port, running


def config(desk: Desk, token: str, own: int) -> str:
    """A Prometheus that scrapes itself, as two instances, and a target that is down, and writes to the collector."""
    targets = [f"127.0.0.1:{own}", f"localhost:{own}", "127.0.0.2:1"]
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "itself", "static_configs": [{"targets": targets}]}],
            "remote_write": [
                {
                    "url": f"https://127.0.0.1:{desk.port + 1}/api/v1/write",
                    "authorization": {"credentials": token},
                    "tls_config": {"ca_file": str(desk.data / "pki" / "ca.pem")},
                    "queue_config": {"batch_send_deadline": "1s", "max_backoff": "1s"},
                    "metadata_config": {"send_interval": "1s"},
                }
            ],
        }
    )


def seen(desk: Desk, metric: str, *labels: str) -> bool:
    lines = desk.scrape("/metrics/fleet").splitlines()
    return any(line.startswith(metric + "{") and all(label in line for label in labels) for line in lines)


def test_prometheus_writes_here_and_its_targets_are_watched(desk: Desk, tmp_path: Path) -> None:
    rules = desk.data / "rules"
    rules.mkdir(parents=True)
    grows = "{alert: Grows, expr: 'rate(prometheus_http_requests_total[1m]) >= 0', labels: {severity: warning}}"
    down = "{alert: TargetDown, expr: 'up{job=\"itself\"} == 0', labels: {severity: critical}}"
    (rules / "own.yml").write_text(f"groups: [{{name: own, rules: [{grows}, {down}]}}]\n")
    collector = desk.serve()
    create = ("remote-write-token", "create", "--customer", "acme", "--site", "hq")
    token = desk.command(*create).stdout.strip()
    own = free_port()
    with running(config(desk, token, own), tmp_path, port=own) as prometheus:
        for name in ("127-0-0-1", "localhost"):
            wanted = (f'instance="{name}.hq.acme"', 'job="itself"', 'customer="acme"')
            eventually(functools.partial(seen, desk, "go_goroutines", *wanted), seconds=60)
        down_here = desk.wait_incident(alertname="TargetDown", device="127-0-0-2", seconds=60)
        assert down_here["customer"] == "acme"
        desk.wait_incident(alertname="Grows", device="localhost", seconds=60)
        collector.signal(signal.SIGKILL)
        collector.end()
        desk.serve()
        eventually(functools.partial(seen, desk, "go_goroutines", 'instance="localhost.hq.acme"'), seconds=60)
        ours = [line for line in desk.scrape("/metrics/fleet").splitlines() if line.startswith("go_goroutines{")]
        assert len(ours) == 2, ours
        failed = "sum(prometheus_remote_storage_samples_failed_total + prometheus_remote_storage_samples_dropped_total)"
        found = prometheus.query(failed)
        assert [value for _, value in found] in ([], [0.0])
    listed = desk.command("remote-write-token", "list", "--json").stdout
    assert token not in listed
    desk.command("remote-write-token", "revoke", "1")
