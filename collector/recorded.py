"""What the collector adds to a recording as it does live: who is alive, and the thresholds that hold for whom."""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.liveness import SERIES, Presence
from rules import thresholds
from rules.backtest import Replay
from rules.labels import NAME
from rules.layouts import Layout
from rules.replay import DEVICE, Feed

_TARGET: Final = ("instance", "job", "customer", "site", "class", "role")

Targets = dict[str, dict[str, str]]


def devices(replay: Replay) -> Targets:
    """Return the target labels of each instance that the samples name."""
    found: Targets = {}
    for feed in replay.feeds:
        for own in feed.names:
            if instance := own.get("instance", ""):
                labels = found.setdefault(instance, {})
                for name in _TARGET:
                    if name in own:
                        labels.setdefault(name, own[name])
    return found


class Heartbeats:
    """Makes `up` and its companions for the instances that do not send it: a device is alive while it sends."""

    def __init__(self, replay: Replay) -> None:
        self._fleet = replay.fleet
        replay.metrics.update(name for name, _ in SERIES)
        self._presence = Presence()
        sending = {own.get("instance", "") for feed in replay.feeds for own in feed.names if own[NAME] == "up"}
        silent = [(instance, labels) for instance, labels in devices(replay).items() if instance not in sending]
        self._labels = [labels for _, labels in silent]
        numbers = {instance: number for number, (instance, _) in enumerate(silent)}
        self._feeds: list[tuple[Feed, list[int]]] = []
        self._intervals: dict[int, float] = {}
        for feed in replay.feeds:
            mine = sorted({numbers[i] for own in feed.names if (i := own.get("instance", "")) in numbers})
            if mine:
                self._feeds.append((feed, mine))
                self._note_interval(feed, mine)
        self._seen = [0] * len(self._feeds)
        self._layouts: dict[int, Layout] = {}

    def _note_interval(self, feed: Feed, mine: list[int]) -> None:
        gap = float(np.median(np.diff(feed.times))) if len(feed.times) > 1 else 0.0
        for number in mine:
            self._intervals[number] = max(gap, self._intervals.get(number, 0.0))

    def tick(self, now: float) -> None:
        """Write who is alive."""
        for place, (feed, mine) in enumerate(self._feeds):
            if feed.played > self._seen[place]:
                self._seen[place] = feed.played
                for number in mine:
                    self._heard(number, float(feed.times[feed.played - 1]))
        moment = np.array([now])
        for number, values in self._presence.due(now):
            self._fleet.append(self._layouts[number], moment, values)

    def _heard(self, number: int, at: float) -> None:
        if number not in self._layouts:
            labels = {"job": "agent", **self._labels[number]}
            series = [(name, {**labels, **own}) for name, own in SERIES]
            self._layouts[number] = self._fleet.layout(DEVICE, -number, series, source=f"alive {number}")
            self._presence.add(number, at, self._intervals[number])
        self._presence.heard(number, at)


class Levels:
    """Writes the thresholds of a table for every instance, once a minute."""

    def __init__(self, replay: Replay, text: str, file: str) -> None:
        table = thresholds.parse(text, file)
        self._fleet = replay.fleet
        replay.metrics.add(thresholds.METRIC)
        self._next = float("-inf")
        self._series: list[tuple[str, dict[str, str]]] = []
        values: list[float] = []
        for labels in devices(replay).values():
            for (name, severity), value in table.of(labels).items():
                own = {**labels, "name": name, "severity": severity}
                self._series.append((thresholds.METRIC, own))
                values.append(value)
        self._values = np.array([values])

    def tick(self, now: float) -> None:
        """Write them if they are due."""
        if now < self._next or not self._series:
            return
        self._next = now + thresholds.REFRESH
        layout = self._fleet.layout(DEVICE, 0, self._series, source=thresholds.SOURCE)
        self._fleet.append(layout, np.array([now]), self._values)
