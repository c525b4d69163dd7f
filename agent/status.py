"""What `watchdesk-agent status` shows, as the running agent writes it down when asked."""

from __future__ import annotations

from agent import plainjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.batch import Layout
    from agent.errands import Errand, Errands
    from agent.runner import Outcome, Runner
    from agent.transport import Sender


def status(
    started: float,
    taken: int,
    sender: Sender,
    runner: Runner,
    layout: Layout,
    errands: Errands,
    *,
    config_error: str = "",
) -> str:
    """Return the agent's state as JSON."""
    outcomes: dict[str, Outcome | Errand] = {**runner.outcomes, **errands.list}
    probes = {
        name: {
            "state": outcome.state,
            "seconds": round(outcome.seconds, 6),
            "series": len(outcome.readings),
            **({"error": outcome.error} if outcome.error else {}),
        }
        for name, outcome in outcomes.items()
    }
    return plainjson.dumps(
        {
            "started": started,
            "now": sender.clock(),
            "readings": taken,
            "series": layout.columns,
            "last_contact": sender.last_contact,
            "last_error": sender.last_error,
            "config_error": config_error,
            "pushes": sender.pushes,
            "refused": sender.refused,
            "clock_offset": sender.clock_offset,
            "spool_bytes": sender.spool.size,
            "spool_dropped": sender.spool.dropped + sender.dropped,
            "spool_damaged": sender.spool.damaged,
            "probes": probes,
        }
    ).decode()
