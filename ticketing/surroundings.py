"""What stands around alerts when they come in: the register, the maintenance windows and silences that hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ticketing import maintenance, silences
from ticketing.alert import Alert
from ticketing.decide import Policy, Reason
from ticketing.incident import Hold, Kind
from ticketing.meaning import Meaning, meaning
from ticketing.topology import Device, Place, Topology

_ENOUGH: Final = 3  # watched devices of a site whose silence together would be one fault


@dataclass(frozen=True, slots=True)
class Held:
    """Why an incident does not open yet, and until when it does not."""

    hold: Hold
    until: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The register and what holds back tickets, as one transaction sees them."""

    topology: Topology = field(default_factory=Topology)
    windows: tuple[maintenance.Window, ...] = ()
    silences: tuple[silences.Silence, ...] = ()

    def meaning(self, alert: Alert) -> Meaning:
        """Return what an alert means."""
        return meaning(alert, self.topology)

    def held(self, alert: Alert, kind: Kind, key: str, at: float, policy: Policy) -> Held | None:
        """Return what keeps an alert from opening a ticket at once, None if nothing does."""
        quiet = self.quiet(alert.customer, alert.site, alert.device, alert.name, alert.labels, key, at)
        if quiet is not None:
            return quiet
        if kind is Kind.UNREACHABLE and self._may_be_explained(alert):
            return Held(Hold.VERDICT, at + policy.verdict, Reason.AWAITS_VERDICT)
        return None

    def quiet(
        self, customer: str, site: str, device: str, rule: str, labels: object, key: str, at: float
    ) -> Held | None:
        """Return the maintenance or silence that holds back a ticket, None if there is none."""
        until = maintenance.held_until(self.windows, customer, site, device, rule, at)
        if until is not None:
            return Held(Hold.MAINTENANCE, until + maintenance.jitter(key), Reason.MAINTENANCE)
        if self.silences and isinstance(labels, dict):
            until = silences.held_until(self.silences, customer, labels, at)
            if until is not None:
                return Held(Hold.SILENCE, until, Reason.SILENCED)
        return None

    def _may_be_explained(self, alert: Alert) -> bool:
        """Tell whether anything known could be the cause of a device's silence, so that it is worth to wait."""
        device = self.topology.find(Place(alert.customer, alert.site, alert.device))
        if device is None:
            return False
        if device.parent or device.power:
            return True
        return not self.topology.on(device) and self._watched(device) >= _ENOUGH

    def _watched(self, device: Device) -> int:
        return sum(other.watched for other in self.topology.at(device.customer, device.site))


NOTHING_KNOWN: Final = Surroundings()
