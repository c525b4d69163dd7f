"""The key of an incident: what is broken, readable, and the same however bad it gets and whoever reports it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ticketing.alert import Alert

MAX_KEY: Final = 255  # what PagerDuty takes; the column's width
# A rule's annotation: one incident for each instance (the default), device or site.
SCOPES: Final = ("watchdesk_scope", "scope")

# Where the alert comes from and how bad it is: no part of what is broken.
_SOURCE: Final = ("instance", "job", "customer", "site", "class", "role", "exported_instance", "exported_job")
_RELAY: Final = ("prometheus", "prometheus_replica", "monitor", "replica", "receiver")
_DEGREE: Final = ("alertname", "severity", "priority", "level", "value", "threshold", "timestamp")
_NOISE: Final = frozenset(_SOURCE + _RELAY + _DEGREE)
# Where a device stands, as a Prometheus says of all that it knows: no part of what is broken there.
_AROUND: Final = _NOISE | {"cluster", "env", "environment", "region", "datacenter", "dc", "tenant", "team"}
# A label that names the thing, and those which only describe it: they change when it is remounted or renumbered.
_DESCRIBED: Final[Mapping[str, frozenset[str]]] = {
    "mountpoint": frozenset({"device", "fstype", "device_error"}),
    "ifName": frozenset({"ifIndex", "ifAlias", "ifDescr"}),
    "ifDescr": frozenset({"ifIndex", "ifAlias"}),
    "ifIndex": frozenset({"ifAlias"}),
}
_PLAIN: Final = frozenset({"mountpoint", "ifName", "ifDescr", "device", "name", "cpu", "service", "unit"})
_ESCAPES: Final = str.maketrans({"%": "%25", "/": "%2F"})
_LIST_ESCAPES: Final = str.maketrans({"%": "%25", ",": "%2C", "=": "%3D"})


def key(alert: Alert) -> str:
    """Return customer/site/device/alertname/identifying labels, such as `acme/suzhou/srv-fs01/disk-full/D:`.

    A key of more than 255 characters ends in a hash of the whole.
    """
    scope = next((alert.annotations[name] for name in SCOPES if name in alert.annotations), "instance")
    parts = _fault(alert.customer, alert.site, "" if scope == "site" else alert.device, alert.name)
    noise = _AROUND if alert.device else _NOISE
    identity = "" if scope in {"device", "site"} else _identity(alert.labels, noise)
    whole = f"{parts}/{identity}" if identity else parts
    if len(whole) <= MAX_KEY:
        return whole
    digest = hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{whole[: MAX_KEY - 33]}~{digest}"


def prefix(customer: str, site: str, device: str) -> str:
    """Return what every key of a device begins with."""
    return f"{_part(customer)}/{_part(site)}/{_part(device)}/"


@lru_cache(maxsize=16_384)
def _fault(customer: str, site: str, device: str, name: str) -> str:
    return prefix(customer, site, device) + _part(name)


def _part(text: str) -> str:
    if text.isalnum():
        return text
    if text in {"", "-"}:
        return "-" if not text else "%2D"
    return text.translate(_ESCAPES) if "/" in text or "%" in text else text


def _identity(labels: Mapping[str, str], noise: frozenset[str]) -> str:
    names = [name for name in labels.keys() - noise if labels[name]]
    if len(names) > 1:
        described = frozenset().union(*(_DESCRIBED[name] for name in names if name in _DESCRIBED))
        names = sorted(name for name in names if name not in described)
    if len(names) == 1 and names[0] in _PLAIN:
        return labels[names[0]]
    return ",".join(f"{name.translate(_LIST_ESCAPES)}={labels[name].translate(_LIST_ESCAPES)}" for name in names)
