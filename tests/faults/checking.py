"""A collector of a fault test, and what must hold of it in the end, whatever was done to it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from collector.database import open_database
from collector.log import MergedReader, Record
from collector.pipeline import CONSUMER
from collector.register import Register
from collector.replay import replay
from tests.e2e.desk import Desk
from tests.faults.model import SERIES, Model
from tests.faults.sender import Sender

RULE = "groups: [{name: fault, rules: [{alert: High, expr: fault_level > 50, labels: {severity: warning}}]}]\n"


def records(desk: Desk) -> Iterator[Record]:
    """Yield all that is in the log."""
    reader = MergedReader(desk.data / "log")
    while (block := reader.read_block(1 << 62)) is not None:
        yield from block.records()


def prepare(desk: Desk, more: str = "") -> None:
    """Write a configuration and the rule that the model knows."""
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "fault.yml").write_text(RULE)
    desk.configure(f"agents: {{tls: false}}\nrules: {{packs: [], snapshot_seconds: 1}}\n{more}")


@contextmanager
def registered(desk: Desk, url: str = "") -> Iterator[Register]:
    """The register of a desk, before its collector runs."""
    engine = open_database(url or f"sqlite:///{desk.data / 'watchdesk.db'}")
    yield Register(engine)
    engine.dispose()


def token(desk: Desk, name: str = "pc1", url: str = "") -> str:
    """Return the token of a new device; the collector learns of it when it starts."""
    now = time.time()
    with registered(desk, url) as register:
        secret = register.create_enrol_token("acme", "hq", now=now)
        return register.enrol(secret, name, os="linux", kind="server", now=now).token


def opened(desk: Desk) -> Counter[str]:
    """How many tickets each phase has."""
    found = desk.incidents(alertname="High")
    return Counter(SERIES % int(one["labels"]["phase"]) for one in found)


def judge(desk: Desk, sender: Sender, told: str) -> None:
    """Let the sender bring the rest, stop the collector, and hold its log and its incidents against the model."""
    sender.drain()
    time.sleep(1.5)  # for a tick behind the last frame
    assert desk.collector is not None
    assert desk.collector.stop(60) == 0, told
    model = Model().run(records(desk))
    taken = {seq for (_, epoch, seq), _ in model.frames.items() if epoch == sender.epoch}
    last = sender.acknowledged
    assert last == set(range(1, sender.sent + 1)), told
    assert last <= taken, f"{told}: acknowledged and not in the log: {sorted(last - taken)[:9]}"
    assert max(model.frames.values()) == 1, f"{told}: taken twice: {model.frames.most_common(3)}"
    assert model.fired, told
    assert opened(desk) == Counter(model.fired), told
    store = desk._store
    assert store is not None
    snapshot = (desk.data / "state.snapshot").read_bytes()
    report = replay(desk.data / "log", until=store.position(CONSUMER), snapshot=snapshot, store=store)
    assert report.same, f"{told}: {report}"
    assert report.whole, told
