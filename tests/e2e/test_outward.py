"""What leaves the program: Watchdesk's own fault becomes a ticket of the provider's, and a recipient is told of it."""

import json
from pathlib import Path

from tests.e2e.desk import Desk, eventually
from tests.ticketing.adapters.servers import http_desk

RULE = """
groups:
  - name: own
    rules:
      - alert: SelfSeen
        expr: watchdesk_self_rules_loaded == 1
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.instance }} is seen"}
"""
NOTIFICATIONS = """
notifications:
  domain: desk.example
  recipients:
    - {name: hook, kind: webhook, settings: {url: "http://127.0.0.1:%d/"}}
  routes:
    - {to: [hook], customers: [provider], alerts: [SelfSeen]}
"""


def test_its_own_state_is_judged_and_told_once_although_the_recipient_was_away(desk: Desk) -> None:
    rules = Path(desk.data) / "rules"
    rules.mkdir(parents=True)
    (rules / "own.yml").write_text(RULE)
    with http_desk("503", "ok") as hook:
        desk.configure(NOTIFICATIONS % hook.port)
        desk.serve()
        opened = desk.wait_incident(alertname="SelfSeen", seconds=60)
        assert (opened["customer"], opened["device"]) == ("provider", "watchdesk")
        eventually(lambda: bool(hook.taken), seconds=60)
        told = json.loads(hook.taken[0])
        assert (told["type"], told["incident"]["number"]) == ("incident.open", opened["number"])
        eventually(lambda: '"state": "sent"' in desk.command("outbox", "list", "--json").stdout, seconds=30)
    assert len(hook.taken) == 1
    assert desk.command("devices", "--json").stdout == ""
    assert 'watchdesk_outbox_deliveries{recipient="hook",state="sent"} 1.0' in desk.scrape("/metrics")
    scraped = desk.scrape("/metrics")
    assert 'watchdesk_rule_tickets{alertname="SelfSeen",outcome="all"} 1.0' in scraped
    assert 'watchdesk_incidents_open{customer="provider"' in scraped
