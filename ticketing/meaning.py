"""What an alert means to other alerts, from its rule's annotations, else from its name; and how much it weighs.

`watchdesk_kind` says it outright: one of `Kind`. Without it, the names that rules commonly have are understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ticketing.alert import Alert
from ticketing.decide import finite
from ticketing.incident import Kind
from ticketing.key import SCOPES
from ticketing.priority import impact
from ticketing.topology import Device, Place, Topology

KIND: Final = "watchdesk_kind"
EXPECTED_IN: Final = "expected_in"  # the unit of a value that says how long it will be until the fault is here
DEPENDS_ON: Final = "depends_on"
_UNITS: Final = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}
_GONE: Final = (
    r"(?:Is)?(?:Down|Unreachable|NotReachable|Silent|Offline|NotResponding|NoAnswer|NoData|Gone|Absent|Missing|"
    r"Dead|Lost)"
)
_DEVICES: Final = (
    r"(?:Host|Node|Instance|Device|Target|Server|Agent|Machine|Switch|Router|Gateway|Firewall|AccessPoint|AP|Relay|"
    r"UPS|Ups|Printer|Ping|ICMP|Icmp|SNMP|Snmp|Exporter|Scrape|Camera|VM|Vm|Hypervisor|Controller|Storage|NAS|Nas)"
)
_LINES: Final = (
    r"(?:Internet|Wan|WAN|Isp|ISP|Broadband|Vpn|VPN|Bgp|BGP)(?:Access|Link|Line|Peer|Tunnel|Connection)?|SiteLink"
)
_SOON: Final = (
    r"(?:WillFill|WillBeFull|MayFill|FillingUp|FillsUp|Predicted|WillExpire|Expires|Expiring|ExpirySoon|ForcedReboot)"
)
_POWER: Final = r"(?:OnBattery|MainsLost|MainsFailed|PowerLost|PowerFailed|PowerFailure|PowerOutage|UtilityFailed)"
_AFTERMATH: Final = r"(?:Rebooted|Restarted|ColdStart|WarmStart|ShortUptime)"
_NAMES: Final = (
    (Kind.AFTERMATH, re.compile(f".*{_AFTERMATH}")),
    (Kind.SITE, re.compile(f".*(?:Site|Location|Branch|Office){_GONE}|Relay{_GONE}")),
    (Kind.POWER, re.compile(f".*{_POWER}")),
    (Kind.INTERNET, re.compile(f".*(?:{_LINES}){_GONE}")),
    (Kind.PORT, re.compile(f".*(?:Port|Interface|Link|Uplink){_GONE}")),
    (Kind.UNREACHABLE, re.compile(f"(?:[A-Z][A-Za-z]*)?{_DEVICES}{_GONE}|(?:Ping|Icmp|ICMP)(?:Failed|Fails|Timeout)")),
    (Kind.COMING, re.compile(f".*{_SOON}[A-Za-z0-9]*")),
)
_RUNS: Final = re.compile(r".*(?:Service|Unit|Process|Container|Pod|Daemon|Task|Job)[A-Z].*")
# What public rules call the same thing, so that two sources that tell of it meet.
_TOPICS: Final = (
    (
        "space",
        re.compile(
            r"(?!.*(?:Inode|Read|Write|Busy|Slow|Latency))"
            r".*(?:Disk|File[Ss]ystem|Volume|Mountpoint).*(?:Full|Low|Out|Space|Usage|Util|Fill|Free).*"
        ),
    ),
    (
        "memory",
        re.compile(
            r"(?!.*(?:Swap|OomKill|Device)).*(?:Memory|Ram|RAM).*(?:High|Low|Out|Usage|Util|Pressure|Full).*"
            r"|.*(?:OutOf|High|Low)(?:Memory|Ram|RAM).*"
        ),
    ),
    ("cpu", re.compile(r".*(?:Cpu|CPU)(?:High|Load|Usage|Util|Saturat|Busy).*|.*High(?:Cpu|CPU).*")),
    ("clock", re.compile(r".*(?:Clock|Ntp|NTP|TimeSync|TimeDrift).*")),
    ("certificate", re.compile(r".*(?:Cert|Tls|TLS|Ssl|SSL).*Expir.*")),
    ("service", re.compile(r".*(?:Service|Unit|Systemd).*(?:Dead|Failed|Down|Stopped|NotRunning|Crashed).*")),
    ("toner", re.compile(r".*(?:Toner|Ink|Supply|Supplies).*(?:Low|Empty|Out).*")),
)
_WHOLE: Final = 0.8  # of a site's devices: everybody there is hit
_MADE: Final = frozenset({Kind.GROUP, Kind.RACK})
_PORT_LABELS: Final = ("ifName", "port", "interface", "ifDescr", "ifAlias", "ifIndex", "device")
_TARGET_LABELS: Final = (
    *("target", "server", "host", "remote", "peer", "destination", "upstream", "nameserver", "resolver", "dns_server"),
    *("gateway", "fileserver", "domain_controller", "backend", "printer"),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What follows from an alert and the register when an incident opens."""

    kind: Kind
    about: str
    impact: int
    devices: int
    people: int
    expected_at: float | None


def meaning(alert: Alert, topology: Topology) -> Meaning:
    """Return what an alert means."""
    kind = kind_of(alert)
    klass = alert.labels.get("class", "")
    if kind is Kind.UNREACHABLE and _misses(alert):
        kind = Kind.NONE  # it is another device that does not answer
    if kind in _MADE:
        about = alert.labels.get("rack" if kind is Kind.RACK else "about", "")
        return Meaning(
            kind, about, _impact_of(alert, topology), int(alert.value), _members_people(alert, topology), None
        )
    if not topology.devices:
        return Meaning(kind, _port(alert) if kind is Kind.PORT else "", impact(klass), 0, 0, expected_at(alert))
    device = topology.find(Place(alert.customer, alert.site, alert.device))
    devices, people = reach(kind, alert, device, topology)
    scale = impact(klass or (device.klass if device else ""), device)
    if kind in {Kind.SITE, Kind.INTERNET} and devices > 1:
        scale = 1
    about = _port(alert) if kind is Kind.PORT else _target(alert, topology)
    return Meaning(kind, about, scale, devices, people, expected_at(alert))


def kind_of(alert: Alert) -> Kind:
    """Return what an alert means to others."""
    said = alert.annotations.get(KIND)
    if said is not None and said in Kind.__members__.values():
        return Kind(said)
    if EXPECTED_IN in alert.annotations:
        return Kind.COMING
    kind = _named(alert.name)
    return Kind.SITE if kind is Kind.UNREACHABLE and scope_of(alert) == "site" else kind


def scope_of(alert: Alert) -> str:
    """Return for what of its place the rule makes one incident: instance (the default), device or site."""
    return next((alert.annotations[name] for name in SCOPES if name in alert.annotations), "instance")


def expected_at(alert: Alert) -> float | None:
    """Return when a fault that is coming will be here, if the alert's value says so."""
    unit = alert.annotations.get(EXPECTED_IN)
    if unit is None and _named(alert.name) is Kind.COMING:
        unit = alert.annotations.get("value_unit")
    value = finite(alert.value)
    return None if unit not in _UNITS or value is None or not -1e7 < value < 1e7 else alert.at + value * _UNITS[unit]


def depends_on(annotation: str | None) -> frozenset[str]:
    """Return the alerts that hold one back, as its annotation lists them."""
    return frozenset(name.strip() for name in annotation.split(",") if name.strip()) if annotation else frozenset()


def reach(kind: Kind, alert: Alert, device: Device | None, topology: Topology) -> tuple[int, int]:
    """Return how many devices and people a fault takes with it, as far as the register knows."""
    if kind in {Kind.SITE, Kind.INTERNET}:
        here = topology.at(alert.customer, alert.site)
        return len(here), _people(here, topology)
    if device is None:
        return 0, 0
    if kind is Kind.UNREACHABLE:
        here = [device, *topology.below(device)]
        return len(here), _people(here, topology)
    if kind is Kind.POWER:
        here = [device, *fed_by(device, topology)]
        return len(here), _people(here, topology)
    return 1, device.users


def fed_by(ups: Device, topology: Topology) -> list[Device]:
    """Return the devices that go away with a UPS: those it feeds, else those of its rack, else those of its site."""
    here = [other for other in topology.at(ups.customer, ups.site) if other.instance != ups.instance]
    fed = [other for other in here if other.power == ups.instance]
    if fed:
        return fed
    unfed = [other for other in here if not other.power]
    return [other for other in unfed if not (ups.rack and other.rack) or other.rack == ups.rack]


def _impact_of(alert: Alert, topology: Topology) -> int:
    """Return how many are hit by the same fault on many devices: one step more than by one of them."""
    klass = alert.labels.get("class", "")
    target = topology.devices.get(alert.labels.get("about", ""))
    single = impact(target.klass if target else klass, target)
    return max(1, single - 1)


def _members_people(alert: Alert, topology: Topology) -> int:
    target = topology.devices.get(alert.labels.get("about", ""))
    members = int(alert.value) if alert.labels.get("class") == "desktop" else 0
    return max(members, target.users if target else 0)


def _misses(alert: Alert) -> bool:
    """Tell whether the alert names another device than its own."""
    texts = (alert.labels.get(name, "") for name in _TARGET_LABELS)
    return any(text and text.partition(".")[0].rsplit(":", 1)[0] != alert.device for text in texts)


def _people(devices: list[Device], topology: Topology) -> int:
    """Return who is hit: users of what runs there, at least one for each desktop, at most all who work at the sites."""
    known = max(sum(device.users for device in devices), sum(device.klass == "desktop" for device in devices))
    sites = {(device.customer, device.site) for device in devices}
    most = sum(topology.site(*site).people for site in sites)
    if most and all(len(devices) >= _WHOLE * len(topology.at(*site)) for site in sites):
        return most
    return min(known, most) if most else known


@lru_cache(maxsize=4096)
def _named(name: str) -> Kind:
    return next((kind for kind, pattern in _NAMES if pattern.fullmatch(name)), Kind.NONE)


@lru_cache(maxsize=4096)
def topic(name: str) -> str:
    """Return what a rule is about, the same for rules of other names about the same thing; "" if nothing says."""
    return next((about for about, pattern in _TOPICS if pattern.fullmatch(name)), "")


@lru_cache(maxsize=4096)
def runs_on(name: str) -> bool:
    """Tell whether a rule is about something that runs on a device, of which many fall together."""
    return _RUNS.fullmatch(name) is not None


def _port(alert: Alert) -> str:
    return next((alert.labels[name] for name in _PORT_LABELS if alert.labels.get(name)), "")[:255]


def _target(alert: Alert, topology: Topology) -> str:
    """Return the instance of the other device that the alert says is missed."""
    for name in _TARGET_LABELS:
        if text := alert.labels.get(name):
            found = topology.named(alert.customer, alert.site, text)
            if found is not None and found.name != alert.device:
                return found.instance
    if service := alert.labels.get("service"):
        for device in topology.at(alert.customer, alert.site):
            if device.name != alert.device and any(one.name == service for one in device.services):
                return device.instance
    return ""
