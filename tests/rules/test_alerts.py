"""The life of alerts, as stories: each fails on anything that was not wanted."""

from __future__ import annotations

import pytest

from rules.alerts import Alert
from tests.rules.story import GONE, Push, Story, between, cpu, disk, firing, inactive, pending, resolved, stale

HIGH = """
    groups:
    - name: g
      rules:
      - alert: High
        expr: cpu > 90
        for: 3s
        labels: {severity: warning}
        annotations: {summary: 'cpu of {{ $labels.instance }} is {{ $value }}'}
    """

NOW = """
    groups:
    - name: g
      rules:
      - {alert: Now, expr: disk > 90}
    """


def active(story: Story) -> list[tuple[str, str, float]]:
    """State, instance and value of each alert now."""
    alerts: list[Alert] = story.engine.active()
    return [(a.state, a.labels["instance"], a.value) for a in alerts]


# Prometheus' states


def test_it_fires_after_for_and_resolves_at_once() -> None:
    story = Story(HIGH)
    story.at(1).push(cpu(97))
    story.want(1, pending("High", instance="a", severity="warning"))
    story.want(4, firing("High", instance="a"))
    story.at(6).push(cpu(50))
    story.want(6, resolved("High", instance="a"))
    story.run(until=10)
    assert [s.active_at for s in story.seen] == [1, 1, 1]
    assert [s.reason for s in story.seen] == ["", "", "the condition no longer holds"]


def test_without_for_it_fires_at_once() -> None:
    story = Story(NOW)
    story.at(2).push(disk(95))
    story.want(2, firing("Now", mount="/"))
    story.run(until=5)


def test_a_pending_alert_that_recovers_was_never_one() -> None:
    story = Story(HIGH)
    story.at(1).push(cpu(97))
    story.at(3).push(cpu(10))
    story.want(1, pending("High"))
    story.want(3, inactive("High"))
    story.at(5).push(cpu(97))
    story.want(5, pending("High"))
    story.want(8, firing("High"))
    story.run(until=10)


def test_each_series_has_a_life_of_its_own() -> None:
    story = Story(NOW)
    story.at(1).push(disk(95, "/"), disk(50, "/var"), disk(99, "/", "b"))
    story.want(1, firing("Now", instance="a", mount="/"))
    story.want(1, firing("Now", instance="b", mount="/"))
    story.at(2).push(disk(95, "/var"), disk(1, "/", "b"))
    story.want(2, firing("Now", instance="a", mount="/var"))
    story.want(2, resolved("Now", instance="b", mount="/"))
    story.run(until=4)


def test_values_and_annotations_are_those_of_the_moment() -> None:
    story = Story(HIGH)
    for time, value in ((1, 97), (2, 98), (4, 99), (5, 99.5)):
        story.at(time).push(cpu(value))
    story.want(1, pending("High"))
    story.want(4, firing("High"))
    story.run(until=5)
    [alert] = story.engine.active()
    assert (alert.state, alert.value, alert.active_at, alert.fired_at) == ("firing", 99.5, 1.0, 4.0)
    assert alert.annotations == {"summary": "cpu of a is 99.5"}
    assert [s.annotations["summary"] for s in story.seen] == ["cpu of a is 97", "cpu of a is 99"]


def test_keep_firing_for_outlasts_the_condition() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Kept, expr: cpu > 90, keep_firing_for: 3s}
        """)
    story.at(1).push(cpu(97))
    story.want(1, firing("Kept"))
    story.at(3).push(cpu(10))
    story.at(5).push(cpu(97))  # back in time: the clock of keep_firing_for starts anew
    story.at(6).push(cpu(10))
    story.want(9, resolved("Kept"))
    story.run(until=12)


def test_one_name_may_have_two_severities() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Full, expr: disk > 80, labels: {severity: warning}}
          - {alert: Full, expr: disk > 95, labels: {severity: critical}}
        """)
    story.at(1).push(disk(85))
    story.want(1, firing("Full", severity="warning"))
    story.at(2).push(disk(97))
    story.want(2, firing("Full", severity="critical"))
    story.at(3).push(disk(85))
    story.want(3, resolved("Full", severity="critical"))
    story.run(until=5)


def test_labels_are_templates_too() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - alert: Full
            expr: disk > 80
            labels:
              where: '{{ $labels.instance }}:{{ $labels.mount }}'
              band: '{{ if gt $value 90.0 }}high{{ else }}low{{ end }}'
              nothing: '{{ $labels.none }}'
              mount: ''
        """)
    story.at(1).push(disk(85))
    story.want(1, firing("Full", where="a:/", band="low"))
    story.at(2).push(disk(95))  # another band is another alert, as in Prometheus
    story.want(2, firing("Full", where="a:/", band="high"))
    story.want(2, resolved("Full", band="low"))
    story.run(until=3)
    assert set(story.seen[0].labels) == {"alertname", "band", "instance", "where"}


def test_absent_behaves_as_in_prometheus() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Silent, expr: 'absent(cpu{instance="a"})', for: 2s}
        """)
    story.want(0, pending("Silent", instance="a"))
    story.want(2, firing("Silent", instance="a"))
    story.at(4).push(cpu(1))
    story.want(4, resolved("Silent"))
    story.at(6).push(cpu(GONE))
    story.want(6, pending("Silent"))
    story.want(8, firing("Silent"))
    story.run(until=10)


# Missing data


def test_missing_data_is_no_recovery() -> None:
    story = Story(HIGH)
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.want(4, firing("High"))
    story.at(5).push(cpu(GONE))
    story.want(5, stale("High"))
    story.run(until=2000)
    assert active(story) == [("stale", "a", 97.0)]


def test_after_the_gap_it_fires_on_and_nothing_is_restarted() -> None:
    story = Story(HIGH)
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.want(4, firing("High"))
    story.at(5).push(cpu(GONE))
    story.want(5, stale("High"))
    story.at(900).push(cpu(99))
    story.want(900, firing("High"))
    story.run(until=905)
    assert story.seen[-1].active_at == 1


def test_after_the_gap_it_resolves_if_the_data_is_good() -> None:
    story = Story(HIGH)
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.want(4, firing("High"))
    story.at(5).push(cpu(GONE))
    story.want(5, stale("High"))
    story.at(20).push(cpu(5))
    story.want(20, resolved("High"))
    story.run(until=25)


def test_a_series_that_is_just_late_is_stale_after_the_lookback() -> None:
    story = Story(NOW)
    story.at(10).push(disk(95))
    story.want(10, firing("Now"))
    story.want(310, stale("Now"))  # the lookback is open on the left
    story.run(until=400)


def test_a_pending_alert_keeps_its_for_over_a_short_gap() -> None:
    story = Story(HIGH.replace("3s", "60s"))
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.at(10).push(cpu(GONE))
    story.at(50).push(cpu(97))
    story.want(61, firing("High"))
    story.run(until=70)


def test_a_pending_alert_gives_up_after_a_long_gap() -> None:
    story = Story(HIGH.replace("3s", "10m"))
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.at(10).push(cpu(GONE))
    story.want(310, inactive("High"))  # last seen at 9, and the lookback is 300 s
    story.at(400).push(cpu(97))
    story.want(400, pending("High"))
    story.run(until=420)
    assert story.seen[1].reason == "no data"


def test_in_prometheus_own_way_missing_data_is_recovery() -> None:
    story = Story(HIGH, stale=False)
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.want(4, firing("High"))
    story.at(5).push(cpu(GONE))
    story.want(5, resolved("High"))
    story.run(until=10)


def test_a_join_whose_other_side_is_missing_is_missing_data() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Both, expr: cpu > 90 and on (instance) disk > 50}
        """)
    story.at(1).push(cpu(97), disk(60))
    story.want(1, firing("Both"))
    story.at(3).push(disk(GONE))
    story.want(3, stale("Both"))
    story.at(5).push(disk(10))
    story.want(5, resolved("Both"))
    story.run(until=6)


HYSTERESIS = """
    groups:
    - name: g
      rules:
      - alert: Level
        expr: cpu > 90 or cpu > 80 and on (instance) ALERTS{alertname="Level", alertstate="firing"}
    """


def test_a_hysteresis_takes_silence_for_no_recovery() -> None:
    story = Story(HYSTERESIS)
    story.at(1).push(cpu(97))
    story.want(1, firing("Level"))
    story.at(5).push(cpu(85))  # between the two levels
    story.at(9).push(cpu(GONE))
    story.want(9, stale("Level"))
    story.at(900).push(cpu(85))
    story.want(900, firing("Level"))
    story.at(905).push(cpu(70))
    story.want(905, resolved("Level"))
    story.run(until=910)


def test_what_another_alert_holds_back_has_recovered_when_that_one_fires() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Down, expr: disk > 50}
          - alert: Slow
            expr: cpu > 90 unless on (instance) ALERTS{alertname="Down", alertstate="firing"}
          - alert: Child
            expr: ALERTS{alertname="Down", alertstate="firing"} == 1
        """)
    story.at(1).push(cpu(97), disk(10))
    story.want(1, firing("Slow"))
    story.at(5).push(disk(60))
    story.want(5, firing("Down"))
    story.want((5, 6), resolved("Slow"))
    story.want((5, 6), firing("Child"))
    story.at(9).push(disk(10))
    story.want(9, resolved("Down"))
    story.want((9, 10), firing("Slow"))
    story.want((9, 10), resolved("Child"))  # an alert that is gone is no missing data
    story.run(until=20)


@pytest.mark.parametrize("up", [1.0, 0.0, GONE])
def test_what_is_gone_for_a_day_while_its_device_reports_ends(up: float) -> None:
    story = Story(HIGH.replace("for: 3s", "for: 0s"))
    story.at(0).push(cpu(97))
    story.want(0, firing("High"))
    story.at(60).push(cpu(GONE))
    story.want(60, stale("High"))
    for moment in range(60, 90_000, 60):
        story.at(moment).push(Push("up", up))
    if up == 1.0:
        story.want((86_400, 86_460), inactive("High"))
    story.run(until=90_000, step=60.0)
    if up == 1.0:
        assert story.seen[-1].reason == "what it is about is gone"


def test_a_recording_that_filters_is_not_missing_data() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {record: bad, expr: cpu > 90}
          - {record: worse, expr: bad * 2}
          - {alert: Bad, expr: worse > 0}
        """)
    story.at(1).push(cpu(97))
    story.want(1, firing("Bad"))
    story.at(3).push(cpu(10))  # bad and worse vanish, but there is data
    story.want(3, resolved("Bad"))
    story.at(5).push(cpu(97))
    story.want(5, firing("Bad"))
    story.at(7).push(cpu(GONE))  # now there is none
    story.want(7, stale("Bad"))
    story.run(until=9)


def test_an_alert_on_alerts_ends_with_them() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Full, expr: disk > 90}
          - {alert: Many, expr: 'count(ALERTS{alertname="Full",alertstate="firing"}) > 1'}
        """)
    story.at(1).push(disk(95, "/"), disk(95, "/var"))
    story.want(1, firing("Full", mount="/"))
    story.want(1, firing("Full", mount="/var"))
    story.want(1, firing("Many"))
    story.at(3).push(disk(1, "/"), disk(1, "/var"))
    story.want(3, resolved("Full", mount="/"))
    story.want(3, resolved("Full", mount="/var"))
    story.want(3, resolved("Many"))
    story.run(until=5)


def test_an_alert_is_held_back_while_another_fires() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Down, expr: up == 0}
          - {alert: Slow, expr: 'rtt > 1 unless on (instance) ALERTS{alertname="Down",alertstate="firing"}'}
        """)
    story.at(1).push(Push("up", 1), Push("rtt", 2))
    story.want(1, firing("Slow"))
    story.at(2).push(Push("up", 0))
    story.want(2, firing("Down"))
    story.want(2, resolved("Slow"))
    story.at(4).push(Push("up", 1))
    story.want(4, resolved("Down"))
    story.want(4, firing("Slow"))
    story.run(until=6)


def test_counted_values_come_and_go() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Odd, expr: 'count_values("version", v) == 1'}
        """)
    story.at(1).push(Push("v", 1), Push("v", 1, "b"))
    story.at(2).push(Push("v", 2, "b"))
    story.want(2, firing("Odd", version="1"))
    story.want(2, firing("Odd", version="2"))
    story.at(3).push(Push("v", 2))
    story.want(3, resolved("Odd", version="1"))
    story.want(3, resolved("Odd", version="2"))
    story.run(until=5)


def test_annotations_that_ask_the_fleet_keep_what_they_were_told() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - alert: Now
            expr: disk > 90
            annotations: {summary: '{{ with query "disk" }}{{ . | first | value }}{{ else }}nothing{{ end }}'}
        """)
    story.at(1).push(disk(95))
    story.want(1, firing("Now"))
    story.at(2).push(disk(GONE))
    story.want(2, stale("Now"))
    story.run(until=3)
    assert [s.annotations["summary"] for s in story.seen] == ["95", "95"]


# Order, late data, restarts


def test_a_tick_that_is_not_later_changes_nothing() -> None:
    story = Story(NOW)
    story.at(5).push(disk(95))
    story.want(5, firing("Now"))
    story.run(until=6)
    assert story.engine.tick(6.0) == []
    assert story.engine.tick(2.0) == []


def test_a_late_sample_never_reopens_what_is_resolved() -> None:
    story = Story(NOW)
    story.at(1).push(disk(95))
    story.want(1, firing("Now"))
    story.at(3).push(disk(10))
    story.want(3, resolved("Now"))
    story.at(5).do(lambda: story.push(2.0, [disk(99)]))
    story.run(until=8)


@pytest.mark.parametrize("when", [2, 3, 4, 5, 6, 7, 8])
def test_a_restart_changes_nothing(when: int) -> None:
    story = Story(HIGH)
    story.at(1).push(cpu(97))
    story.want(1, pending("High"))
    story.want(4, firing("High"))
    story.at(5).push(cpu(GONE))
    story.want(5, stale("High"))
    story.at(7).push(cpu(98))
    story.want(7, firing("High"))
    story.at(8).push(cpu(9))
    story.want(8, resolved("High"))
    story.at(when).restart()
    story.run(until=10)


def test_groups_are_evaluated_at_their_interval() -> None:
    story = Story("""
        groups:
        - name: slow
          interval: 10s
          rules:
          - {alert: Slow, expr: cpu > 90}
        - name: fast
          rules:
          - {alert: Fast, expr: cpu > 90}
        """)
    story.at(12).push(cpu(97))
    story.want(12, firing("Fast"))
    story.want(between(12, 22), firing("Slow"))
    story.at(33).push(cpu(1))
    story.want(33, resolved("Fast"))
    story.want(between(33, 43), resolved("Slow"))
    story.run(until=50)
    first, second = (s.at for s in story.seen if s.alert == "Slow")
    assert (second - first) % 10 == 0
