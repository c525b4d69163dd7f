"""The engine: reload, health, limits, bad rules that leave the others alone, dumps."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Mapping

import numpy as np
import pytest

from rules.alerts import Transition
from rules.engine import Engine
from rules.errors import RuleFileError, StateError
from rules.fleet import Fleet
from rules.group import RuleStatus
from rules.packs import load as packs
from tests.rules.soak import times
from tests.rules.story import GONE, Push, Story, cpu, disk, firing, inactive, pending, resolved, stale

GOOD = """
    groups:
    - name: g
      rules:
      - {record: double, expr: cpu * 2}
      - {alert: High, expr: double > 180, for: 2s}
      - {alert: Full, expr: disk > 90}
    """


def status(story: Story) -> Mapping[str, RuleStatus]:
    return {s.name: s for s in story.engine.rules()}


def rule(text: str) -> str:
    return f"""
    groups:
    - name: g
      rules:
      - {{alert: Before, expr: cpu > 90}}
{textwrap.indent(textwrap.dedent(text).strip(), "      ")}
      - {{alert: After, expr: cpu > 90}}
    """


def others_are_unharmed(text: str, *pushes: Push) -> RuleStatus:
    """Run a bad rule between two good ones; its status."""
    story = Story(rule(text))
    story.at(1).push(cpu(97), *pushes)
    story.want(1, firing("Before"))
    story.want(1, firing("After"))
    story.run(until=3)
    assert status(story)["Before"].health == status(story)["After"].health == "ok"
    return status(story)["Bad"]


# Bad rules


def test_a_join_that_is_many_to_many_is_an_error_of_that_rule_alone() -> None:
    bad = others_are_unharmed("- {alert: Bad, expr: disk * on (instance) disk > 0}", disk(1, "/"), disk(2, "/var"))
    assert bad.health == "err"
    assert "many-to-many" in bad.last_error


def test_alerts_that_are_alike_after_templating_are_an_error_of_that_rule_alone() -> None:
    bad = others_are_unharmed("- {alert: Bad, expr: disk > 0, labels: {mount: same}}", disk(1, "/"), disk(2, "/var"))
    assert bad.last_error == "vector contains metrics with the same labelset after applying alert labels"


def test_recordings_that_are_alike_are_an_error_of_that_rule_alone() -> None:
    bad = others_are_unharmed("- {record: Bad, expr: disk, labels: {mount: same}}", disk(1, "/"), disk(2, "/var"))
    assert bad.last_error == "vector contains metrics with the same labelset after applying rule labels"


def test_a_rule_whose_result_is_a_string_is_an_error_of_that_rule_alone() -> None:
    assert others_are_unharmed("- {alert: Bad, expr: '\"text\"'}").last_error == "rule result is not a vector or scalar"


def test_a_scalar_that_is_not_zero_fires_without_labels() -> None:
    story = Story("groups: [{name: g, rules: [{alert: Always, expr: 1}]}]")
    story.want(0, firing("Always"))
    story.run(until=2)
    assert dict(story.seen[0].labels) == {"alertname": "Always"}


def test_a_failing_rule_keeps_its_alerts() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {alert: Joined, expr: cpu * on (instance) disk > 100}
        """)
    story.at(1).push(cpu(10), disk(20, "/"))
    story.want(1, firing("Joined"))
    story.at(3).push(disk(1, "/var"))
    story.at(6).push(disk(GONE, "/var"), disk(1, "/"))
    story.want(6, resolved("Joined"))
    story.run(until=5)
    assert [(s.health, s.alerts) for s in story.engine.rules()] == [("err", 1)]
    story.run(until=8)
    assert [(s.health, s.last_error) for s in story.engine.rules()] == [("ok", "")]


def test_a_template_that_recurses_is_told_in_its_text() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - alert: Now
            expr: disk > 90
            annotations:
              round: '{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}'
              large: '{{ printf "%1000000d" 1 }}{{ printf "%1000000d" 1 }}'
              long: '{{ range query "m" }}{{ range query "m" }}{{ range query "m" }}x{{ end }}{{ end }}{{ end }}'
              fine: yes
        """)
    story.at(1).push(disk(95), *(Push("m", 1, labels=(("n", str(i)),)) for i in range(200)))
    story.want(1, firing("Now"))
    story.run(until=2)
    told = story.seen[0].annotations
    assert "exceeded maximum template depth (50)" in told["round"]
    assert "the output is longer than 262,144 characters" in told["large"]
    assert "the template takes more than 200,000 steps" in told["long"]
    assert told["fine"] == "yes"


def test_a_regex_that_would_explode_does_not() -> None:
    evil = "(a+)+$" * 3
    story = Story(f"""
        groups:
        - name: g
          rules:
          - alert: Now
            expr: cpu{{mode!~"{evil}"}} > 90
            annotations: {{text: '{{{{ match "{evil}" $labels.mode }}}}'}}
        """)
    story.at(1).push(Push("cpu", 97, labels=(("mode", "a" * 5000 + "!"),)))
    story.want(1, firing("Now"))
    story.run(until=2)
    assert story.seen[0].annotations == {"text": "false"}


def test_a_label_of_a_megabyte_passes_through() -> None:
    text = "ä" * (1 << 20)
    story = Story(NOW_WITH_TEXT)
    story.at(1).push(Push("disk", 95, labels=(("mount", text),)))
    story.want(1, firing("Now"))
    story.run(until=2)
    assert story.seen[0].labels["mount"] == text
    assert story.seen[0].annotations["short"] == "2097152"
    assert "the output is longer than" in story.seen[0].annotations["whole"]
    assert "more than" in story.seen[0].annotations["replaced"]


NOW_WITH_TEXT = """
    groups:
    - name: g
      rules:
      - alert: Now
        expr: disk > 90
        annotations:
          short: '{{ len $labels.mount }}'
          whole: '{{ $labels.mount }}'
          replaced: '{{ reReplaceAll "ä" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" $labels.mount }}'
    """


# Limits


def test_a_limit_is_an_error_of_the_rule_and_changes_nothing() -> None:
    story = Story("""
        groups:
        - name: g
          limit: 2
          rules:
          - {record: copy, expr: disk}
          - {alert: Full, expr: disk > 90}
        """)
    story.at(1).push(disk(95, "/"), disk(95, "/a"))
    story.want(1, firing("Full", mount="/"))
    story.want(1, firing("Full", mount="/a"))
    story.at(3).push(disk(95, "/b"))
    story.run(until=4)
    assert status(story)["Full"].last_error == "exceeded limit of 2 with 3 alerts"
    assert status(story)["copy"].last_error == "exceeded limit of 2 with 3 series"
    assert status(story)["Full"].alerts == 2
    story.at(6).push(disk(1, "/"))
    story.want(6, resolved("Full", mount="/"))
    story.at(6).push(disk(GONE, "/b"))
    story.run(until=8)
    assert status(story)["Full"].health == "ok"


# Recordings


def test_rules_see_what_those_before_them_recorded_at_the_same_tick() -> None:
    story = Story(GOOD)
    story.at(1).push(cpu(95))
    story.want(1, pending("High"))
    story.want(3, firing("High"))
    story.run(until=4)
    exposed = b"\n".join(story.fleet.exposition()).decode()
    assert 'double{instance="a"' in exposed
    assert 'ALERTS{alertname="High",alertstate="firing",instance="a"' in exposed
    assert 'ALERTS_FOR_STATE{alertname="High",instance="a"' in exposed


def test_a_recording_ends_when_its_rule_yields_it_no_longer() -> None:
    story = Story("""
        groups:
        - name: g
          rules:
          - {record: bad, expr: disk > 90}
          - {alert: Some, expr: count(bad) > 0}
        """)
    story.at(1).push(disk(95, "/"), disk(95, "/a"))
    story.want(1, firing("Some"))
    story.at(2).push(disk(1, "/"))
    story.run(until=3)
    assert b"\n".join(story.fleet.exposition()).count(b"bad{") == 1


# Reload


def test_unchanged_rules_keep_their_alerts_over_a_reload() -> None:
    story = Story(GOOD)
    story.at(1).push(cpu(95), disk(95))
    story.want(1, pending("High"))
    story.want(1, firing("Full"))
    story.at(2).load(
        GOOD.replace("for: 2s}", "for: 2s, annotations: {new: text}}").replace("{alert: Full", "{alert: Other")
    )
    story.want(2, inactive("Full"))
    story.want(2, firing("Other"))
    story.want(3, firing("High"))
    story.run(until=5)
    ended = next(s for s in story.seen if s.state == "inactive")
    assert ended.reason == "the rule is gone"
    assert next(s for s in story.seen if s.state == "firing" and s.alert == "High").annotations == {"new": "text"}
    assert b'alertname="Full"' not in b"\n".join(story.fleet.exposition())


def test_a_changed_expression_judges_the_alert_it_finds() -> None:
    story = Story(GOOD)
    story.at(1).push(disk(95))
    story.want(1, firing("Full"))
    story.at(3).load(GOOD.replace("disk > 90", "disk > 94"))
    story.at(5).load(GOOD.replace("disk > 90", "disk > 96"))
    story.want(5, resolved("Full"))
    story.run(until=6)


def test_a_rule_that_moves_to_another_file_keeps_its_alerts() -> None:
    story = Story(GOOD)
    story.at(1).push(disk(95))
    story.want(1, firing("Full"))
    story.at(3).do(lambda: story.engine.load({"other.yml": textwrap.dedent(GOOD)}))
    story.run(until=5)
    assert [(s.file, s.alerts) for s in story.engine.rules() if s.name == "Full"] == [("other.yml", 1)]


@pytest.mark.parametrize("bad", ["groups: [", "groups: [{name: g}, {name: g}]", GOOD.replace("cpu * 2", "cpu * (")])
def test_a_bad_file_changes_nothing(bad: str) -> None:
    story = Story(GOOD)
    story.at(1).push(cpu(95), disk(95))
    story.want(1, pending("High"))
    story.want(1, firing("Full"))
    story.want(3, firing("High"))

    def load() -> None:
        before = story.engine.dump()
        with pytest.raises(RuleFileError) as caught:
            story.engine.load({"fine.yml": "groups: []", "bad.yml": textwrap.dedent(bad)})
        assert caught.value.file == "bad.yml"
        assert story.engine.dump() == before

    story.at(2).do(load)
    story.run(until=5)


def test_the_errors_of_all_files_are_told() -> None:
    with pytest.raises(RuleFileError) as caught:
        Engine(Fleet()).load({"a.yml": "x: 1", "b.yml": "groups: []", "c.yml": "y: 1\nz: 2"})
    assert [(e.file, e.line) for e in (caught.value, *caught.value.others)] == [
        ("a.yml", 1),
        ("c.yml", 1),
        ("c.yml", 2),
    ]


def test_fuzzed_files_never_replace_the_rules_that_are_live() -> None:
    """Row 25: files with bytes changed, cut, doubled; each is refused with file and line, or is a rule file."""
    source = random.Random(25)
    text = textwrap.dedent(GOOD) + packs()["drill.yml"].partition("groups:")[2]
    story = Story(GOOD)
    story.at(1).push(cpu(95), disk(95))
    story.want(1, pending("High"))
    story.want(1, firing("Full"))
    story.run(until=1)
    refused = 0
    for _ in range(times(10_000)):
        before = [(s.name, s.alerts) for s in story.engine.rules()]
        mutated = mutate(text, source)
        error = refusal(mutated)
        if error is None:
            continue
        refused += 1
        assert error.file == "live.yml"
        assert 0 <= error.line <= mutated.count("\n") + 2
        assert error.message
        with pytest.raises(RuleFileError):
            story.engine.load({"live.yml": mutated})
        assert [(s.name, s.alerts) for s in story.engine.rules()] == before
    assert refused > times(10_000) // 4
    story.want(3, firing("High"))
    story.run(until=4)


def refusal(text: str) -> RuleFileError | None:
    """Why a file is refused, None if it is not."""
    try:
        Engine(Fleet()).load({"live.yml": text})
    except RuleFileError as error:
        return error
    return None


def mutate(text: str, source: random.Random) -> str:
    """A text with a few of its parts changed, cut out, doubled or swapped."""
    for _ in range(source.randint(1, 4)):
        start, end = sorted(source.randrange(len(text)) for _ in range(2))
        end = min(end, start + source.choice((1, 3, 20, 200)))
        noise = "".join(source.choice("{}[]()\"'|:-&*!#%@\n\t ,<>=~0aé\0\ud7ff") for _ in range(source.randint(1, 6)))
        text = text[:start] + source.choice((noise, "", text[start:end] * 2, text[start:end] + noise)) + text[end:]
    return text


# Other


def test_forgotten_devices_end_their_alerts() -> None:
    story = Story(GOOD)
    story.at(1).push(disk(95, device="a"), disk(95, device="b"))
    story.want(1, firing("Full", instance="a"))
    story.want(1, firing("Full", instance="b"))
    story.run(until=2)
    story.fleet.remove_device(ord("a"))
    [ended] = story.engine.forget({"instance": "a"}, 2.5, "the device was retired")
    assert (ended.state, ended.labels["instance"], ended.reason) == ("inactive", "a", "the device was retired")
    story.run(until=4)


def test_what_is_known_of_each_rule() -> None:
    story = Story(GOOD)
    story.at(1).push(cpu(95), disk(1))
    story.want(1, pending("High"))
    story.run(until=2)
    high, double = status(story)["High"], status(story)["double"]
    assert (high.file, high.group, high.kind, high.line, high.expr) == ("story.yml", "g", "alert", 6, "double > 180")
    assert (high.health, high.series, high.alerts, high.evaluated_at) == ("ok", 1, 1, 2.0)
    assert (double.kind, double.series, double.alerts) == ("record", 1, 0)
    assert high.last_duration > 0


def test_the_same_log_gives_the_same_transitions() -> None:
    assert _replayed() == _replayed()


def _replayed() -> list[Transition]:
    story = Story(GOOD)
    source = random.Random(1)
    seen: list[Transition] = []
    for now in range(200):
        story.push(
            float(now), [cpu(source.choice((50, 95, GONE))), disk(source.choice((50, 95)), source.choice("xyz"))]
        )
        seen += story.engine.tick(float(now))
    assert len(seen) > 50
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_at_any_tick_is_invisible(seed: int) -> None:
    source = random.Random(seed)
    pushes = [
        [cpu(source.choice((50, 95, 97, GONE))), disk(source.choice((50, 95)), source.choice("xyz"))] for _ in range(60)
    ]
    straight, restarted = Story(GOOD), Story(GOOD)
    for now, push in enumerate(pushes):
        for story in (straight, restarted):
            story.push(float(now), push)
            story.seen += story.engine.tick(float(now))
        if source.random() < 0.3:
            data = restarted.engine.dump()
            restarted.fleet = Fleet()
            restarted.engine = Engine(restarted.fleet)
            if source.random() < 0.5:
                restarted.engine.load({"story.yml": restarted.loaded})
                restarted.engine.restore(data)
            else:
                restarted.engine.restore(data)
                restarted.engine.load({"story.yml": restarted.loaded})
            assert restarted.engine.dump() == data
    assert restarted.seen == straight.seen
    assert restarted.engine.active() == straight.engine.active()


def test_a_damaged_dump_is_refused_and_changes_nothing() -> None:
    story = Story(GOOD)
    story.at(1).push(cpu(95), disk(95))
    story.want(1, pending("High"))
    story.want(1, firing("Full"))
    story.run(until=1)
    data = story.engine.dump()
    source = random.Random(3)
    for _ in range(200):
        bad = bytearray(data)
        bad[source.randrange(len(bad))] ^= 1 << source.randrange(8)
        with pytest.raises(StateError):
            story.engine.restore(bytes(bad[: source.choice((len(bad), source.randrange(len(bad))))]))
    assert story.engine.dump() == data


def test_stale_alerts_survive_a_restart() -> None:
    story = Story(GOOD)
    story.at(1).push(disk(95))
    story.want(1, firing("Full"))
    story.at(2).push(disk(GONE))
    story.want(2, stale("Full"))
    story.at(4).restart()
    story.at(6).push(disk(95))
    story.want(6, firing("Full"))
    story.run(until=8)
    assert story.seen[-1].active_at == 1.0


def test_times_of_late_rows_do_not_move_the_clock_back() -> None:
    story = Story(GOOD)
    story.push(5.0, [disk(10)])
    story.seen += story.engine.tick(5.0)
    layout = story.fleet.layout(ord("a"), 7, [("disk", {"mount": "/late"})], source="late")
    story.fleet.append(layout, np.array([1.0, 2.0]), np.array([[95.0], [96.0]]))
    story.want(6, firing("Full", mount="/late"))  # within the lookback it is data like any other
    story.run(until=6)
