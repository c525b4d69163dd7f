"""The configuration that the documentation shows can be used as it stands."""

import re
from pathlib import Path

import msgspec
import yaml

from ticketing.outbox.opening import check_all
from ticketing.outbox.routing import Router
from ticketing.outbox.settings import EVENTS, USUAL, Notifications

DOCS = Path(__file__).parents[3] / "docs" / "notifications.md"


def test_the_example() -> None:
    found = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    settings = msgspec.convert(yaml.safe_load(found[1])["notifications"], Notifications)
    check_all(settings)
    assert set(Router(settings).recipients) == {"noc", "acme-it", "chatops"}
    assert set(USUAL) <= EVENTS
