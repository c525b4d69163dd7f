"""How many incidents there are and were, for /metrics: read on from where the last look ended."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from sqlalchemy import Engine, func, select

from ticketing.decide import Action
from ticketing.models import IncidentRow, TimelineRow

Opened = tuple[str, str]  # customer, alertname
_OPENING: Final = (Action.OPEN, Action.REOPEN)


class Tally:
    """Counts of incidents. `refresh` reads only what was committed since the last time.

    Attributes:
        open: incidents that are not resolved, by (customer, priority, severity).
        opened, resolved: how often one was (re)opened or resolved, by (customer, alertname).
    """

    def __init__(self, engine: Engine) -> None:
        self.open: dict[tuple[str, int, str], int] = {}
        self.opened: Counter[Opened] = Counter()
        self.resolved: Counter[Opened] = Counter()
        self._engine = engine
        self._seen = 0
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Bring the counts up to date.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer; the counts stay.
        """
        with self._lock, self._engine.connect() as connection:
            newest = connection.scalar(select(func.max(TimelineRow.id))) or 0
            changes = (
                select(IncidentRow.customer, IncidentRow.alertname, TimelineRow.action, func.count())
                .join(IncidentRow, IncidentRow.id == TimelineRow.incident)
                .where(TimelineRow.id > self._seen, TimelineRow.id <= newest)
                .where(TimelineRow.action.in_([*_OPENING, Action.RESOLVE]))
                .group_by(IncidentRow.customer, IncidentRow.alertname, TimelineRow.action)
            )
            for customer, name, action, count in connection.execute(changes):
                (self.opened if action in _OPENING else self.resolved)[customer, name] += count
            self._seen = newest
            standing = (
                select(IncidentRow.customer, IncidentRow.priority, IncidentRow.severity, func.count())
                .where(IncidentRow.resolved_at.is_(None))
                .group_by(IncidentRow.customer, IncidentRow.priority, IncidentRow.severity)
            )
            self.open = {
                (customer, priority, severity): count
                for customer, priority, severity, count in connection.execute(standing)
            }
