"""What is said of rule files before they are used, and why an alert fires or does not."""

from __future__ import annotations

import json
import textwrap

from rules.check import Checked, check
from rules.explain import explain
from rules.packs import load as packs
from tests.rules.story import GONE, Story, cpu, disk, firing, pending, stale

RULES = """
    groups:
    - name: g
      rules:
      - {record: double, expr: cpu * 2}
      - {alert: High, expr: double > 180 and on (instance) disk < 50, for: 2s}
      - {alert: Net, expr: 'avg_over_time(rate(net[5m])[1h:1m]) > 5 or absent(ALERTS)'}
    """


def checked(text: str, known: dict[str, int] | None = None) -> Checked:
    return check({"r.yml": textwrap.dedent(text)}, known)


def test_the_shipped_packs_are_fine() -> None:
    found = check(packs())
    assert found.ok
    assert found.rules > 100
    assert not [f for f in found.findings if f.level == "error"]


def test_errors_have_file_and_line() -> None:
    found = check({"a.yml": "groups: [{name: a}, {name: a}]", "b.yml": "x: 1"})
    assert not found.ok
    assert [str(f) for f in found.findings] == [
        "a.yml:1: error: the group 'a' is already there at line 1",
        "b.yml:1: error: unknown key 'x' in a rule file; known are groups",
    ]
    assert str(found).endswith("refused")


def test_what_nobody_sends_is_warned_of() -> None:
    found = checked(RULES, {"cpu": 8, "net": 4})
    assert found.ok
    assert [(f.line, f.message) for f in found.findings] == [
        (6, "High reads disk, which nobody sends and no rule records"),
    ]


def test_without_the_names_nothing_is_warned_of() -> None:
    assert checked(RULES).findings == ()


def test_rules_that_are_alike_are_warned_of() -> None:
    found = checked(RULES.replace("alert: Net", "alert: High"))
    assert [str(f) for f in found.findings] == [
        "r.yml:7: warning: High has the name and the labels of the rule at r.yml:6"
    ]


def test_the_cost_of_each_rule() -> None:
    double, _, net = checked(RULES, {"cpu": 8, "net": 4}).costs
    assert (double.series, double.selectors, double.window, double.memory) == (8, 1, 0.0, 0)
    assert (net.selectors, net.window, net.memory) == (2, 3900.0, 4 * 390 * 16)
    assert str(net) == "Net: 10 operators on 4 series of 2 selectors, windows of 1h5m, 24,960 bytes"


def test_as_json() -> None:
    found = json.loads(checked(RULES, {"cpu": 8}).to_json())
    assert (found["ok"], found["rules"], len(found["costs"])) == (True, 3, 3)
    assert found["findings"][0]["file"] == "r.yml"


# explain


def told(story: Story, now: float, instance: str = "a") -> list[str]:
    return [str(e) for e in explain(story.engine, "High", {"instance": instance}, now)]


ONE = RULES[: RULES.rindex("      - {alert: Net")]


def test_why_it_fires() -> None:
    story = Story(ONE)
    story.at(1).push(cpu(95), disk(10), disk(10, device="b"))
    story.want(1, pending("High"))
    story.want(3, firing("High"))
    story.run(until=1)
    assert "It is pending: the condition holds, but not for 2s yet." in told(story, 1)[0]
    assert "pending since 1970-01-01 00:00:01 UTC, value 190: 0s of 2s" in told(story, 1)[0]
    story.run(until=4)
    [text] = told(story, 4)
    assert "High  (story.yml:6, group g)" in text
    assert "It fires: the condition holds for 2s and more." in text
    assert "firing since 1970-01-01 00:00:01 UTC, value 190" in text
    lines = [line.strip() for line in text.splitlines()]
    assert lines.index("double > 180") < lines.index("double")
    assert 'double{instance="a"} 190' in lines
    assert 'disk{instance="a", mount="/"} 10' in lines
    assert not any('instance="b"' in line for line in lines)


def test_why_it_does_not_fire() -> None:
    story = Story(ONE)
    story.at(1).push(cpu(95), disk(90))
    story.run(until=2)
    [text] = told(story, 2)
    assert "It does not fire: there is data, and the condition does not hold." in text
    assert "disk < 50  =  nothing" in text
    assert "It does not fire: there is no data that it could judge." in told(story, 2, "nobody")[0]


def test_why_it_is_stale() -> None:
    story = Story(ONE)
    story.at(1).push(cpu(95), disk(10))
    story.want(1, pending("High"))
    story.want(3, firing("High"))
    story.at(4).push(disk(GONE))
    story.want(4, stale("High"))
    story.run(until=5)
    assert "It fired, and there is no data now that would tell whether it still should." in told(story, 5)[0]


def test_an_unknown_alert_has_no_explanation() -> None:
    assert explain(Story(ONE).engine, "Nosuch", {}, 1.0) == []
