"""Two senders with one token are seen; an agent that starts anew, or sends a backlog, is not taken for two."""

from agent import wire
from collector.ingest.intake import FORK_TOLD, Intake, Sender
from collector.register import Device

NOW = 1_760_000_000.0
SCHEMA = wire.encode_schema(["node_load1"])


def rows(epoch: float, seq: int, time: float) -> bytes:
    """Return a push of one row, in an epoch that began at that time."""
    content = wire.encode_rows(wire.schema_id(SCHEMA), [time], [[1.0]])
    return wire.encode(wire.Kind.ROWS, int(epoch * 1000), seq, content)


def story(pushes: list[tuple[float, int, float, float]]) -> int:
    """Take pushes (epoch, seq, time of the row, time of arrival), and return how often a fork was told of."""
    intake = Intake()
    heard: list[Device] = []
    intake.forked = heard.append
    device = Device(1, "acme", "hq", "pc1", "server", "", "linux", 0.0, None)
    accounts = intake._accounts
    sender = Sender(device, accounts.device(), accounts.customer("acme"))
    intake.take(sender, wire.encode(wire.Kind.SCHEMA, 1, 0, SCHEMA), sent=None, now=NOW)
    for epoch, seq, time, at in pushes:
        body = rows(NOW + epoch, seq, NOW + time)
        if intake.take_row(sender, body, sent=None, now=NOW + at) is None:
            intake.take(sender, body, sent=None, now=NOW + at)
    return len(heard)


def test_a_second_host_with_the_token_is_seen() -> None:
    first = [(0.0, number, 15.0 * number, 15.0 * number) for number in range(1, 60)]
    second = [(300.0, number, 300 + 15.0 * number, 300 + 15.0 * number) for number in range(1, 40)]
    together = sorted(first + second, key=lambda one: one[3])
    assert story(together) == 1
    late = [(0.0, 100, 300 + FORK_TOLD + 200, 300 + FORK_TOLD + 200)]
    assert story([*together, *late]) == 2


def test_a_restart_and_a_backlog_are_no_second_host() -> None:
    before = [(0.0, number, 15.0 * number, 15.0 * number) for number in range(1, 20)]
    after = [(300.0, number, 300 + 15.0 * number, 300 + 15.0 * number) for number in range(1, 20)]
    backlog = [(0.0, number, 15.0 * number, 400.0 + number) for number in range(20, 24)]
    assert story(before + after + backlog) == 0
