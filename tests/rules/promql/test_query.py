"""What a query offers besides its value: presence, explanations, errors with their place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rules.errors import EvaluationError, PromQLError
from rules.fleet import Fleet
from rules.labels import Labels
from rules.layouts import Layout
from rules.promql import Query, Vector

NOW = 1_700_000_000.0
SCHEMA = [
    ("used", {"disk": "a"}),
    ("used", {"disk": "b"}),
    ("size", {"disk": "a"}),
    ("size", {"disk": "b"}),
    ("up", {}),
]


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    for number in (1, 2):
        fleet.add_device(number, {"instance": f"h{number}", "customer": "acme"})
        send(fleet, fleet.layout(number, 1, SCHEMA), NOW, 90 * number, 10, 200, 100, 1)
    return fleet


def send(fleet: Fleet, layout: Layout, at: float, *values: float) -> None:
    fleet.append(layout, np.array([at]), np.array([values], np.float64))


def found(answer: object) -> dict[tuple[str, str], float]:
    """Return values by instance and disk."""
    assert isinstance(answer, Vector)
    return {(labels.get("instance", ""), labels.get("disk", "")): value for labels, value in answer}


def present(fleet: Fleet, expr: str, at: float = NOW) -> set[tuple[str, str]]:
    return set(found(Query(fleet, expr).present(at)))


ALL = {("h1", "a"), ("h1", "b"), ("h2", "a"), ("h2", "b")}


class TestPresent:
    @pytest.mark.parametrize(
        "expr",
        [
            "used > 100",
            "100 < used",
            "used / size > 0.5",
            "used > size",
            "used > 100 and size > 1e9",
            "used unless size > 1",
            "used unless on() up",
            "used > 1 or used > 2",
            "topk(1, used) > 5",
            "bottomk by (instance) (1, used)",
            "used == bool 3",
            "used - (used > 100)",
            'label_replace(used > 100, "x", "$1", "disk", "(.*)")',
            "sort(used > 100)",
        ],
    )
    def test_comparisons_let_everything_through(self, fleet: Fleet, expr: str) -> None:
        assert present(fleet, expr) == ALL

    def test_aggregations_are_of_everything(self, fleet: Fleet) -> None:
        query = Query(fleet, "count by (instance) (used > 100) > 1")
        assert found(query.at(NOW)) == {}
        assert found(query.present(NOW)) == {("h1", ""): 2.0, ("h2", ""): 2.0}

    def test_where_nothing_is_there_is_no_presence(self, fleet: Fleet) -> None:
        assert present(fleet, "used > 100", NOW + 301) == set()
        send(fleet, fleet.devices[1].sources["agent"].layouts[1], NOW + 1, math.nan, 10, 200, math.nan, 1)
        assert present(fleet, "used / size > 1", NOW + 1) == {("h2", "a"), ("h2", "b")}
        assert present(fleet, "used and size", NOW + 1) == {("h2", "a"), ("h2", "b")}

    @pytest.mark.parametrize("expr", ["absent(used)", "absent(nothing)", "absent_over_time(up[5m])"])
    def test_absence_can_be_told_at_any_time(self, fleet: Fleet, expr: str) -> None:
        assert len(Query(fleet, expr).present(NOW)) == 1

    def test_a_number_is_present(self, fleet: Fleet) -> None:
        assert list(Query(fleet, "1 + 1").present(NOW)) == [(Labels(), 2.0)]
        assert len(Query(fleet, "vector(1) > 2").present(NOW)) == 1

    def test_the_expression_itself_still_filters(self, fleet: Fleet) -> None:
        query = Query(fleet, "used > 100")
        query.present(NOW)
        assert set(found(query.at(NOW))) == {("h2", "a")}


class TestExplain:
    def test_each_part_with_its_value(self, fleet: Fleet) -> None:
        query = Query(fleet, "used / size > 0.5 and on(instance) up == 1")
        parts = query.explain(NOW, {"instance": "h1"})
        texts = [(part.depth, part.text, part.total) for part in parts]
        assert texts == [
            (0, "used / size > 0.5 and on (instance) up == 1", 1),
            (1, "used / size > 0.5", 1),
            (2, "used / size", 4),
            (3, "used", 4),
            (3, "size", 4),
            (2, "0.5", 1),
            (1, "up == 1", 2),
            (2, "up", 2),
            (2, "1", 1),
        ]
        shown = parts[2].value
        assert isinstance(shown, Vector)
        assert found(shown) == {("h1", "a"): 0.45, ("h1", "b"): 0.1}
        assert found(parts[0].value) == {}
        assert parts[5].value == 0.5

    def test_what_has_lost_a_label_does_not_contradict_it(self, fleet: Fleet) -> None:
        (total, *_) = Query(fleet, "sum by (disk) (used)").explain(NOW, {"instance": "h1", "disk": "b"})
        assert found(total.value) == {("", "b"): 20.0}

    def test_a_part_without_an_answer_says_why(self, fleet: Fleet) -> None:
        parts = Query(fleet, "up * on(instance) used").explain(NOW, {})
        assert parts[0].value is None
        assert "many-to-many" in parts[0].error
        assert parts[1].error == ""

    def test_ranges_and_subqueries(self, fleet: Fleet) -> None:
        parts = Query(fleet, "max_over_time((used > 1)[5m:1m])").explain(NOW, {})
        assert [part.text for part in parts] == ["max_over_time((used > 1)[5m:1m])", "used > 1", "used", "1"]


class TestErrors:
    @pytest.mark.parametrize(
        ("expr", "message", "position"),
        [
            ("", "no expression", 0),
            ("used +", "", None),
            ("no_such(used)", "no_such", 0),
            ("1 + rate(used)", "expected type matrix", 4),
            ('used{disk=~"a("}', "missing )", 11),
            ('label_replace(used, "a", "b", "c", "d"', "unclosed", 38),
            ('used{disk="a', "does not end", 10),
            ('used{disk="\\q"}', "escape", 11),
            ("used $ 1", "unexpected character '$'", 5),
            ("{disk=~'.*'}", "at least one non-empty matcher", 0),
            ("used{disk='a' or disk='b'}", "`or` between matchers", 14),
            ("used + fill(0) size", "fill", 7),
            ("1 + histogram_avg(used)", "native histograms", 4),
            ("limit_ratio(0.5, used)", "experimental", 0),
            ("info(used)", "experimental", 0),
            ("max_of(1, 2)", "max_of", 0),
            ("1 > 2", "BOOL", None),
            ("rate(used[300y])", "duration out of range", None),
            ("rate(used[9.5e10])", "duration out of range", None),
            ("used offset -300y", "duration out of range", None),
            (r"used{disk=~'a\\C'}", "not a regular expression", None),
            ("(" * 200 + "1" + ")" * 200, "nested deeper", 100),
            ("-" * 200 + "1", "nested deeper", 100),
            ("1" + " + 1" * 3000, "tokens", None),
            ("x" * 200_000, "characters", None),
        ],
    )
    def test_an_expression_that_cannot_be_compiled(
        self, fleet: Fleet, expr: str, message: str, position: int | None
    ) -> None:
        with pytest.raises(PromQLError) as error:
            Query(fleet, expr)
        assert message in error.value.message
        if position is not None:
            assert error.value.position == position

    @pytest.mark.parametrize(
        ("expr", "message"),
        [
            ("used[5m]", "a range of samples"),
            ("used[5m:1m]", "a range of samples"),
            ("used * on(instance) size", "many-to-many"),
            ("used * on(instance) up", "many-to-one matching must be explicit"),
            ("used * on(disk) group_left(instance) size", "many-to-many"),
            ('{__name__=~"used|size"} * 1', "same labelset"),
            ('-{__name__=~"used|size"}', "same labelset"),
            ('label_replace(used, "disk", "", "", "")', "same labelset"),
            ('label_replace(used, "", "x", "", "")', "label name"),
            ('label_replace(used, "x", "y", "disk", "(")', "regular expression"),
            ('label_join(used, "x", "", "")', "label name"),
            ('count_values("", used)', "label name"),
            ("topk(NaN, used)", "NaN"),
            ("topk(Inf, used)", "overflows"),
            ("holt_winters(used[5m], 2, 0.5)", "smoothing"),
        ],
    )
    def test_an_expression_without_an_answer(self, fleet: Fleet, expr: str, message: str) -> None:
        query = Query(fleet, expr)
        with pytest.raises(EvaluationError, match=message):
            query.at(NOW)
        with pytest.raises(EvaluationError, match=message):  # and not from some memory
            query.at(NOW)

    def test_long_label_values(self, fleet: Fleet) -> None:
        fleet.add_device(3, {"instance": "x" * 1_000_000})
        send(fleet, fleet.layout(3, 1, [("up", {"long": "y" * 1_000_000})]), NOW, 1)
        answer = Query(fleet, 'label_replace(up{long=~"y+"}, "short", "$1", "long", "(y{3}).*")').at(NOW)
        assert isinstance(answer, Vector)
        assert answer.labels[0]["short"] == "yyy"


class TestVector:
    def test_labels_are_made_when_asked_for(self, fleet: Fleet) -> None:
        answer = Query(fleet, "used").at(NOW)
        assert isinstance(answer, Vector)
        assert len(answer.labels) == len(answer.values) == 4
        assert answer.labels[-1] == {"__name__": "used", "disk": "b", "instance": "h2", "customer": "acme"}
        assert answer.labels[0] is next(iter(answer.labels))
        assert [labels["disk"] for labels in answer.labels[1:3]] == ["b", "a"]
        with pytest.raises(IndexError):
            answer.labels[4]

    def test_labels_are_immutable_and_hashable(self) -> None:
        labels = Labels({"b": "2", "a": "1"})
        assert list(labels) == ["a", "b"]
        assert labels == {"a": "1", "b": "2"} == Labels({"a": "1", "b": "2"})
        assert hash(labels) == hash(Labels({"a": "1", "b": "2"}))
        assert labels != {"a": "1"}
        assert repr(Labels({"__name__": "m", "a": "1"})) == 'm{a="1"}'
        with pytest.raises(TypeError):
            labels["a"] = "2"  # type: ignore[index]

    def test_results_are_not_changed_by_what_comes(self, fleet: Fleet) -> None:
        query = Query(fleet, "used + 0")
        answer = query.at(NOW)
        before = found(answer)
        send(fleet, fleet.devices[1].sources["agent"].layouts[1], NOW + 1, 5, 5, 5, 5, 5)
        query.at(NOW + 1)
        assert found(answer) == before

    def test_order_is_that_of_sort(self, fleet: Fleet) -> None:
        for expr, order in (
            ("sort(used)", [10, 10, 90, 180]),
            ("sort_desc(used)", [180, 90, 10, 10]),
            ("topk(2, used)", [180, 90]),
        ):
            answer = Query(fleet, expr).at(NOW)
            assert isinstance(answer, Vector)
            assert answer.values.tolist() == order
        answer = Query(fleet, 'sort_by_label_desc(used, "disk", "instance")').at(NOW)
        assert isinstance(answer, Vector)
        assert [(own["disk"], own["instance"]) for own in answer.labels] == [
            ("b", "h2"),
            ("b", "h1"),
            ("a", "h2"),
            ("a", "h1"),
        ]

    def test_strings_and_numbers(self, fleet: Fleet) -> None:
        assert Query(fleet, '"text"').at(NOW) == "text"
        assert Query(fleet, "1h + 2").at(NOW) == 3602.0
        assert Query(fleet, "1_000 * 2").at(NOW) == 2000.0
        assert Query(fleet, "time()").at(NOW + 0.25) == NOW + 0.25
