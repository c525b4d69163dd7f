"""What the rules say, in the words of ticketing."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from rules.alerts import Alert as ActiveAlert
from rules.alerts import Transition
from ticketing.alert import Alert, fingerprint

_STATES: Final[Mapping[str, Literal["firing", "stale", "resolved"]]] = {
    "firing": "firing",
    "stale": "stale",
    "resolved": "resolved",
    "inactive": "resolved",  # its rule or its device is gone: nobody else will ever close the incident
}


def from_transitions(transitions: Iterable[Transition]) -> list[Alert]:
    """Return the changes that ticketing hears of; a pending alert is none."""
    return [_alert(change, _STATES[change.state], change.at) for change in transitions if change.state in _STATES]


def from_active(alerts: Iterable[ActiveAlert], now: float) -> list[Alert]:
    """Return the alerts that fire now, with their values now."""
    return [_alert(alert, "firing", now) for alert in alerts if alert.state == "firing"]


def _alert(change: Transition | ActiveAlert, state: Literal["firing", "stale", "resolved"], at: float) -> Alert:
    labels = change.labels
    return Alert(
        customer=labels.get("customer", ""),
        site=labels.get("site", ""),
        device=device_of(labels),
        name=change.alert,
        severity=labels.get("severity", "warning"),
        labels=dict(labels),
        annotations=dict(change.annotations),
        state=state,
        value=change.value,
        at=at,
        active_at=change.active_at,
        fingerprint=fingerprint(labels),
    )


def device_of(labels: Mapping[str, str]) -> str:
    """Return the host name in an `instance` of the form host.site.customer, or all of another instance."""
    instance = labels.get("instance", "")
    return instance.removesuffix(f".{labels.get('site', '')}.{labels.get('customer', '')}")
