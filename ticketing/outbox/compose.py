"""From a delivery to the message that an adapter takes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from ticketing import evidence
from ticketing.adapters.adapter import Message
from ticketing.incident import Incident, TimelineEntry
from ticketing.outbox.box import Delivery
from ticketing.outbox.routing import may_hear
from ticketing.outbox.settings import Notifications, Recipient
from ticketing.rebuild import rebuild
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Store
from ticketing.web.sources import Sources

_MOST: Final = 50  # entries told at once; the page has them all


def message(
    store: Store, sources: Sources, settings: Notifications, recipient: Recipient, delivery: Delivery, now: float
) -> Message | None:
    """Return what the recipient is told; None if there is nothing left for its ears.

    Raises:
        Unavailable: the database is away.
    """
    scope = Scope(recipient.customer) if recipient.customer else EVERYTHING
    incident = store.incident(scope, delivery.incident)
    entries = store.timeline(scope, delivery.incident)
    if incident is None or not entries:
        return None
    told = _told(entries, delivery, recipient, incident)
    if not told:
        return None
    return Message(
        key=delivery.key,
        thread=thread(settings.domain, incident),
        sequence=told[0].version - 1,
        opening=_opening(entries, incident),
        incident=incident,
        entries=told,
        evidence=evidence.gather(store, sources, scope, incident),
        at=now,
        language=recipient.language,
        timezone=recipient.timezone,
        domain=settings.domain,
        url=f"{settings.url.rstrip('/')}/incidents/{incident.id}" if settings.url else "",
    )


def thread(domain: str, incident: Incident) -> str:
    """Return an incident's UUID: of an installation's domain, the number and the moment, so that it is always the
    same, and never that of another installation or of an earlier database."""
    return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, domain), f"{incident.id}/{incident.opened_at!r}"))


def _told(
    entries: Sequence[TimelineEntry], delivery: Delivery, recipient: Recipient, incident: Incident
) -> tuple[TimelineEntry, ...]:
    span = [one for one in entries if delivery.version <= one.version <= delivery.upto]
    heard = [one for one in span if not one.quiet and may_hear(recipient, incident.customer, one)]
    return tuple(heard[:1] + heard[1:][-_MOST:])


def _opening(entries: Sequence[TimelineEntry], incident: Incident) -> Incident:
    return rebuild(entries[:1]) if entries[0].version == 1 else incident
