"""The collector as a service: what systemd and a container ask of it, its log lines, a backup while it runs."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from pathlib import Path

from tests.e2e.desk import Desk, eventually

RULE = "groups: [{name: own, rules: [{alert: Always, expr: 'up{job=\"agent\"} == 1', labels: {severity: warning}}]}]\n"


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    """Return the status of an answer and the id of its request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, str(answer.getheader("X-Request-ID"))


def test_a_service_tells_systemd_names_requests_and_is_restored_from_a_backup(desk: Desk, tmp_path: Path) -> None:
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "own.yml").write_text(RULE)
    desk.configure("agents: {tls: false, processes: 1}\nrules: {packs: [], snapshot_seconds: 1}\n")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "n"))
    told.settimeout(60)
    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "3000000", "WATCHDESK_LOG_FORMAT": "json"}
    collector = desk.serve(environment=environment)
    assert told.recv(100) == b"READY=1"
    assert told.recv(100) == told.recv(100) == b"WATCHDOG=1"
    desk.agent().start()
    incident = desk.wait_incident(alertname="Always", state="open")
    agents = desk.port + 1
    answers = [ask(agents, "/v1/nothing"), ask(desk.port, "/nothing", X_Request_ID="of-the-proxy")]
    assert [status for status, _ in answers] == [404, 404]
    assert answers[1][1] == "of-the-proxy"
    assert [ask(port, f"/-/{what}")[0] for port in (agents, desk.port) for what in ("ready", "healthy")] == [200] * 4

    backup = tmp_path / "backup.tar.gz"
    desk.command("backup", str(backup))
    collector.signal(signal.SIGTERM)
    eventually(lambda: told.recv(100) == b"STOPPING=1")
    assert collector.popen.wait(60) == 0
    told.close()
    lines = [json.loads(line) for line in collector.output().splitlines()]
    for status, identity in answers:
        assert [line["status"] for line in lines if line.get("request_id") == identity] == [status]
    assert {"time", "level", "logger", "message"} <= set(lines[0])

    desk.data = tmp_path / "restored"
    desk.command("restore", str(backup))
    desk._store = None
    desk.serve()
    assert [one["id"] for one in desk.incidents(alertname="Always")] == [incident["id"]]
    eventually(lambda: "node_load1{" in desk.scrape("/metrics/fleet"))  # the agent goes on with its token
    (desk.data / "rules" / "own.yml").write_text("groups: []\n")
    desk.wait_incident(id=incident["id"], state="resolved")
