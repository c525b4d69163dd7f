"""Faults of many devices at once: when single incidents are one, and the alert that this one is made of. Pure.

A site is gone when most of its watched devices are silent at once and nothing known explains them all; a rack likewise.
The same fault on many devices of a customer is one incident, whatever is behind it: an update, or a server they miss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from ticketing.alert import Alert, fingerprint
from ticketing.incident import Hold, Kind
from ticketing.meaning import KIND
from ticketing.scene import SITE_DOWN, Mark, Scene
from ticketing.topology import Device

RACK_DOWN: Final = "RackDown"
SOME_DOWN: Final = "DevicesDown"
_MOST: Final = 0.6  # of the watched devices
_SINGLE: Final = frozenset({Kind.SITE, Kind.POWER, Kind.INTERNET, Kind.GROUP, Kind.RACK})


def found(scene: Scene, fresh: Iterable[Mark], now: float) -> list[Alert]:
    """Return the alerts of the sites, racks and groups that the fresh marks make whole or add to."""
    news = [mark for mark in fresh if mark.standing]
    alerts: list[Alert] = []
    places = {(mark.customer, mark.site) for mark in news if mark.kind is Kind.UNREACHABLE}
    for customer, site in sorted(places):
        alerts += _places_gone(scene, customer, site, now)
    alike = sorted({_likeness(mark) for mark in news if mark.kind not in _SINGLE and mark.parent is None})
    if alike:
        single: dict[tuple[str, str, str, str], list[Mark]] = defaultdict(list)
        for mark in scene.marks.values():
            if _is_free(mark, now) and mark.kind not in _SINGLE and not _is_known_away(scene, mark):
                single[_likeness(mark)].append(mark)
        alerts += [alert for likeness in alike if (alert := _alike(scene, single[likeness], now)) is not None]
    return alerts


def _likeness(mark: Mark) -> tuple[str, str, str, str]:
    about = mark.about if mark.kind is Kind.NONE else ""
    return mark.customer, mark.alertname, mark.klass, about


def _is_alone(mark: Mark) -> bool:
    """Tell whether a mark is under nothing and may be moved."""
    return mark.standing and mark.parent is None and not mark.touched and not mark.placed


def _is_free(mark: Mark, now: float) -> bool:
    """Tell whether a mark is alone, and waits for no verdict over what it hangs on."""
    return _is_alone(mark) and (mark.hold is None or (mark.hold is Hold.VERDICT and (mark.hold_until or 0.0) <= now))


def _places_gone(scene: Scene, customer: str, site: str, now: float) -> list[Alert]:
    topology = scene.topology
    watched = [device for device in topology.at(customer, site) if device.watched]
    away = [mark for mark in scene.marks.values() if mark.standing and mark.kind is Kind.UNREACHABLE]
    away = [mark for mark in away if (mark.customer, mark.site) == (customer, site)]
    newest = max((mark.active_at for mark in away), default=0.0)
    away = [mark for mark in away if mark.active_at >= newest - scene.policy.together]
    free = [mark for mark in away if _is_alone(mark)]
    if len(free) < 2 or not any(_is_free(mark, now) for mark in free):
        return []
    if _is_gone(watched, away):
        return [_site_gone(scene, watched, away, now)]
    racks = sorted({device.rack for mark in free if (device := topology.find(mark.place)) and device.rack})
    alerts = []
    for rack in racks:
        within = [device for device in watched if device.rack == rack]
        places = {device.place for device in within}
        if sum(mark.place in places for mark in free) >= 2 and _is_gone(within, away):
            alerts.append(_rack_gone(rack, within, [mark for mark in away if mark.place in places], now))
    if not alerts and len({mark.place for mark in free if _is_free(mark, now)}) >= scene.policy.alike:
        return [_some_gone(watched, free, now)]
    return alerts


def _is_known_away(scene: Scene, mark: Mark) -> bool:
    """Tell whether a mark is judged with its site: it is the silence of a device whose surroundings are known."""
    return mark.kind is Kind.UNREACHABLE and scene.topology.find(mark.place) is not None


def _is_gone(watched: list[Device], away: list[Mark]) -> bool:
    """Tell whether most of these devices are away: three at least, or both of two."""
    places = {mark.place for mark in away}
    silent = sum(device.place in places for device in watched)
    return (silent >= 3 and silent >= _MOST * len(watched)) or silent == len(watched) == 2


def _site_gone(scene: Scene, watched: list[Device], away: list[Mark], now: float) -> Alert:
    first = away[0]
    silent = len({mark.place for mark in away})
    here = scene.topology.at(first.customer, first.site)
    people = scene.topology.site(first.customer, first.site).people
    place = f"{first.site}.{first.customer}"
    labels = {"alertname": SITE_DOWN, "customer": first.customer, "site": first.site}
    texts = {
        "summary": f"The site {place} is silent: {silent} of {len(watched)} watched devices do not answer",
        "summary_zh": f"站点 {place} 已失联：{len(watched)} 台受监控设备中有 {silent} 台无响应",
        "impact": f"{people or 'Unknown how many'} people work there, with {len(here)} devices.",
        "impact_zh": f"该站点有 {people or '未知数量的'} 人、{len(here)} 台设备。",
        "first_steps": "Ask on site whether there is power; then whether the internet access works (modem, router).",
        "first_steps_zh": "先向现场确认是否停电，再确认互联网线路（光猫、路由器）是否正常。",
        "closes": "Most of the devices are heard again.",
        "closes_zh": "大部分设备恢复响应。",
    }
    return _made(first, first.site, SITE_DOWN, labels, Kind.SITE, texts, away, now)


def _rack_gone(rack: str, within: list[Device], away: list[Mark], now: float) -> Alert:
    first = away[0]
    silent = len({mark.place for mark in away})
    place = f"{first.site}.{first.customer}"
    labels = {"alertname": RACK_DOWN, "customer": first.customer, "site": first.site, "rack": rack}
    texts = {
        "summary": f"Rack {rack} at {place} is silent: {silent} of {len(within)} devices do not answer",
        "summary_zh": f"{place} 的机柜 {rack} 已失联：{len(within)} 台设备中有 {silent} 台无响应",
        "impact": "What these devices provide is out of reach.",
        "impact_zh": "这些设备提供的业务无法访问。",
        "first_steps": "Ask on site whether the rack has power (UPS, fuse, power strip), then look at its switch.",
        "first_steps_zh": "请现场确认机柜供电（UPS、空开、PDU），再检查其交换机。",
        "closes": "Most of the devices are heard again.",
        "closes_zh": "大部分设备恢复响应。",
    }
    return _made(first, first.site, RACK_DOWN, labels, Kind.RACK, texts, away, now)


def _some_gone(watched: list[Device], away: list[Mark], now: float) -> Alert:
    first = away[0]
    silent = len({mark.place for mark in away})
    place = f"{first.site}.{first.customer}"
    labels = {"alertname": SOME_DOWN, "customer": first.customer, "site": first.site}
    texts = {
        "summary": f"{silent} of {len(watched)} devices at {place} have fallen silent together",
        "summary_zh": f"{place} 的 {len(watched)} 台设备中有 {silent} 台同时失联",
        "impact": "What these devices provide is out of reach.",
        "impact_zh": "这些设备提供的业务无法访问。",
        "first_steps": "Look for what they share: a switch that the register does not know, a virtual machines' host.",
        "first_steps_zh": "查找它们的共同点：登记表中没有的交换机，或同一台虚拟化宿主机。",
        "closes": "Most of the devices are heard again.",
        "closes_zh": "大部分设备恢复响应。",
    }
    return _made(first, first.site, SOME_DOWN, labels, Kind.RACK, texts, away, now)


def _alike(scene: Scene, single: list[Mark], now: float) -> Alert | None:
    newest = max((mark.active_at for mark in single), default=0.0)
    members = [mark for mark in single if mark.active_at >= newest - scene.policy.together]
    devices = {mark.place for mark in members}
    if len(devices) < scene.policy.alike:
        return None
    first = members[0]
    about = first.about if first.kind is Kind.NONE else ""
    labels = {"alertname": first.alertname, "customer": first.customer, "devices": first.klass or "all"}
    labels |= {"class": first.klass} if first.klass else {}
    labels |= {"about": about} if about else {}
    names = ", ".join(sorted(place.device for place in devices)[:5])
    texts = {
        "summary": f"{first.alertname} on {len(devices)} devices of {first.customer} at once: {names} …",
        "summary_zh": f"{first.customer} 的 {len(devices)} 台设备同时出现 {first.alertname}：{names} 等",
        "impact": f"{len(devices)} devices have the same fault; it has probably one cause.",
        "impact_zh": f"{len(devices)} 台设备出现相同故障，很可能是同一原因。",
        "first_steps": "Ask what changed for all of them: an update, a policy, a server that they all use.",
        "first_steps_zh": "查明它们共同的变化：更新、策略，或共同使用的服务器。",
        "closes": "None of them has the fault any more.",
        "closes_zh": "所有设备的故障均已消失。",
    }
    if about:
        texts["summary"] = f"{len(devices)} devices of {first.customer} miss {about}: {names} …"
        texts["summary_zh"] = f"{first.customer} 的 {len(devices)} 台设备无法使用 {about}：{names} 等"
    return _made(first, "", first.alertname, labels, Kind.GROUP, texts, members, now)


def _made(
    first: Mark,
    site: str,
    name: str,
    labels: dict[str, str],
    kind: Kind,
    texts: dict[str, str],
    members: list[Mark],
    now: float,
) -> Alert:
    """Return the alert of an incident that is nothing but its members."""
    worst = min((mark.severity for mark in members), key=lambda severity: severity.rank)
    return Alert(
        customer=first.customer,
        site=site,
        device="",
        name=name,
        severity=worst.value,
        labels=labels,
        annotations={**texts, KIND: kind.value},
        state="firing",
        value=float(len({mark.place for mark in members})),
        at=now,
        active_at=min(mark.active_at for mark in members),
        fingerprint=fingerprint(labels),
    )
