"""Expressions of all kinds, made at random: every operator and function over the series of `samples`.

What jumps (comparisons, floor, changes) is given *exact* vectors: those that no rounding can make differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.rules.promql.samples import NOW

Text = SearchStrategy[str]

_SELECTORS = (
    "g",
    'g{job="api"}',
    'g{job=~"api|db"}',
    'g{job!="api",instance!~"a.*"}',
    'g{instance=~"a:1|b.*"}',
    'g{nothing=""}',
    'g{nothing=~".*"}',
    'g{nothing=~".+"}',
    'g{job=~"k.*"}',
    '{__name__=~"g|limit"}',
    '{__name__=~"l.+",instance="a:1"}',
    "limit",
    "load",
    "i_info",
    'i_info{role=""}',
    "gap",
    'gap{n=~"0|1"}',
    "one",
    "odd",
    'odd{n="1"}',
    "same",
    "over",
    "stamp",
    "no_such_metric",
    'c_total{mode="idle"}',
    'c_total{instance="a:1"}',
    "h_count",
)
_COUNTERS = ("c_total", 'c_total{mode="idle"}', 'c_total{job="db",mode!="idle"}', "h_count", 'h_bucket{le=~"1|2.5"}')
_NUMBERS = ("0", "1", "-1", "2", "0.5", "3.25", "-7", "100", "1e3", "0x10", "NaN", "Inf", "-Inf", "pi()", "time()")
_RANGES = ("1m", "90s", "5m", "7m30s", "20m")
_LABELS = ("job", "instance", "mode", "cpu", "kind", "n", "version", "role", "missing", "__name__")
_CONTINUOUS = ("abs", "exp", "sqrt", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
               "tanh", "asinh", "acosh", "atanh", "deg", "rad")  # fmt: skip
_JUMPING = ("ceil", "floor", "round", "sgn", "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "month",
            "year", "days_in_month")  # fmt: skip
_OVER_TIME = ("avg", "min", "max", "sum", "count", "last", "present", "stddev", "stdvar")
_RANGED = ("delta", "deriv", "idelta", "changes", "resets")


def of(*texts: str) -> Text:
    """One of these texts."""
    return st.sampled_from(texts)


def each(texts: Sequence[str]) -> Text:
    """One of these texts."""
    return st.sampled_from(texts)


def fill(template: str, *parts: Text) -> Text:
    """A template with something for each {}."""
    return st.builds(template.format, *parts)


def selectors() -> Text:
    """Instant selectors, with offset and @ at times."""
    shifts = ("", "", "", " offset 3m", " offset -2m", f" @ {NOW - 700:.3f}", " @ end()", f" @ {NOW:.3f} offset 10m")
    return st.builds(str.__add__, each(_SELECTORS), st.sampled_from(shifts))


def exact(depth: int) -> Text:
    """Vectors that are the same to the last bit, however they are computed."""
    if depth <= 0:
        return selectors()
    inner = exact(depth - 1)
    number = of("1", "2", "-3", "0.5", "10")
    return st.one_of(
        selectors(),
        fill("({} {} {})", inner, st.sampled_from("+-*"), number),
        fill("-{}", selectors()),
        fill("{} ({})", _grouped(("sum", "min", "max", "count", "group")), inner),
        fill("({}{} {})", inner, _filters(), number),
        fill("({} {}{} {})", inner, of("and", "or", "unless"), _matching(), inner),
        fill("{}_over_time({})", of("min", "max", "last", "count", "present"), ranges(0)),
        # Prometheus forgets the offset of timestamp(x @ t offset d).
        st.builds("timestamp({}{})".format, each(_SELECTORS), st.sampled_from(("", " offset 3m", " @ end()"))),
    )


def vectors(depth: int) -> Text:
    """Vectors of all kinds."""
    if depth <= 0:
        return selectors()
    inner, before = vectors(depth - 1), exact(depth - 1)
    return st.one_of(
        exact(depth),
        fill("{}({})", each(_CONTINUOUS), inner),
        fill("{}({})", each(_JUMPING), before),
        fill("round({}, {})", before, of("0.5", "5", "-2", "10")),
        fill("clamp({}, {}, {})", inner, scalars(0), scalars(0)),
        fill("clamp_{}({}, {})", of("min", "max"), inner, scalars(0)),
        _arithmetic(inner),
        _comparisons(before),
        _joins(before),
        _aggregations(inner, before),
        _over_ranges(depth),
        _labelled(inner),
        fill("vector({})", scalars(depth - 1)),
        fill("absent({})", st.one_of(selectors(), before)),
        fill("sort{}({})", of("", "_desc"), inner),
        _histograms(),
    )


def scalars(depth: int) -> Text:
    """Numbers."""
    if depth <= 0:
        return each(_NUMBERS)
    inner = scalars(depth - 1)
    return st.one_of(
        each(_NUMBERS),
        fill("({} {} {})", inner, of("+", "-", "*", "/", "^", "%", "atan2"), inner),
        fill("({} {} bool {})", inner, _comparators(), inner),
        fill("-{}", inner),
        fill("scalar({})", st.one_of(st.just("one"), vectors(depth - 1))),
    )


def ranges(depth: int) -> Text:
    """Range selectors, and subqueries where there is depth left."""
    plain = fill(
        "{}[{}]{}",
        each(_SELECTORS),
        each(_RANGES),
        of("", "", "", " offset 4m", " offset -1m", f" @ {NOW - 300:.3f}"),
    )
    if depth <= 0:
        return plain
    steps = of("", "30s", "1m", "7s")
    return st.one_of(plain, fill("({})[{}:{}]", exact(depth - 1), each(_RANGES[:3]), steps))


def _comparators() -> Text:
    return of("==", "!=", ">", "<", ">=", "<=")


def _filters() -> Text:
    return fill(" {}{}", _comparators(), of("", "", " bool"))


def _label_lists() -> Text:
    return st.lists(each(_LABELS), max_size=3, unique=True).map(", ".join)


def _grouped(ops: tuple[str, ...]) -> Text:
    by = st.one_of(st.just(""), fill(" {} ({})", of("by", "without"), _label_lists()))
    return fill("{}{}", st.sampled_from(ops), by)


def _matching() -> Text:
    return st.one_of(st.just(""), fill(" {}({})", of("on", "ignoring"), _label_lists()))


def _arithmetic(inner: Text) -> Text:
    ops = of("+", "-", "*", "/", "^")
    return st.one_of(
        fill("({} {} {})", inner, ops, scalars(1)),
        fill("({} {} {})", scalars(1), ops, inner),
        fill("({} {}{} {})", inner, ops, _matching(), inner),
        fill("(-{} atan2 {})", inner, inner),  # nameless: Prometheus 2 let atan2 keep the name
        fill("-({})", inner),
        fill("-{} ^ 2", selectors()),
        fill("({} % {})", selectors(), of("3", "0.5", "-2", "0")),
    )


def _comparisons(before: Text) -> Text:
    return st.one_of(
        fill("({}{} {})", before, _filters(), scalars(0)),
        fill("({}{} {})", scalars(0), _filters(), before),
        fill("({}{}{} {})", before, _filters(), _matching(), before),
    )


def _joins(before: Text) -> Text:
    many = st.one_of(of("g", "c_total", "load", "limit"), before)
    one = st.one_of(st.sampled_from(("i_info", "limit", "sum by (instance) (g)", "one", "max by (job) (g)")), before)
    side = of("left", "right")
    include = st.lists(of("version", "role", "kind", "missing", "cpu"), max_size=2, unique=True)
    extra = include.map(", ".join)
    labels = of("instance", "job", "instance, job", "")
    op = st.one_of(of("*", "+", "/"), _filters())
    left = fill("({} {} on({}) group_left({}) {})", many, op, labels, extra, one)
    right = fill("({} {} on({}) group_right({}) {})", one, op, labels, extra, many)
    ignoring = fill("({} {} ignoring({}) group_{}({}) {})", many, op, _label_lists(), side, extra, one)
    return st.one_of(left, right, ignoring)


def _aggregations(inner: Text, before: Text) -> Text:
    ops = _grouped(("sum", "avg", "min", "max", "count", "group"))
    distinct = of("g", 'g{job="api"}', "limit", "c_total")
    return st.one_of(
        fill("{} ({})", ops, inner),
        # Of something finite: Prometheus 2 takes the deviation of one infinity as 0.
        fill("{} ({})", _grouped(("stddev", "stdvar")), before),
        st.builds("{} ({}, {})".format, _grouped(("quantile",)), of("0", "0.5", "0.9", "1", "-1", "2"), inner),
        st.builds("{} ({}, {})".format, _grouped(("topk", "bottomk")), of("1", "2", "5", "0", "-1"), distinct),
        fill('{} ("{}", {})', _grouped(("count_values",)), of("value", "job"), before),
    )


def _over_ranges(depth: int) -> Text:
    spans = ranges(depth - 1)
    rates = of("rate", "increase", "irate")
    counted = fill("{}[{}]", each(_COUNTERS), each(_RANGES))
    again = st.builds("{}[{}:{}]".format, each(_COUNTERS), each(_RANGES), of("15s", "1m"))
    return st.one_of(
        fill("{}({})", rates, counted),
        fill("{}({})", rates, again),
        fill("{}_over_time({})", each(_OVER_TIME), spans),
        fill("{}({})", each(_RANGED), spans),
        fill("quantile_over_time({}, {})", of("0", "0.3", "1", "1.5", "NaN"), spans),
        fill("predict_linear({}, {})", spans, of("600", "-60", "0")),
        st.builds("holt_winters({}, {}, {})".format, spans, of("0.1", "0.5"), of("0.3", "0.9")),
        fill("absent_over_time({})", spans),
    )


def _labelled(inner: Text) -> Text:
    replace = 'label_replace({}, "{}", "{}", "{}", "{}")'
    return st.one_of(
        fill(
            replace,
            inner,
            of("job", "fresh", "instance", "__name__"),
            of("$1", "x", "", "${1}-$2", "$name", "a$1b$$"),
            of("job", "instance", "missing", "__name__"),
            of("(.*)", "(a|b).*", "(?P<name>.)(.*)", "", "api", "(x"),
        ),
        fill(
            'label_join({}, "{}", "{}"{})',
            inner,
            of("fresh", "job", "__name__"),
            of("", "-", ", "),
            st.lists(of("job", "instance", "missing"), max_size=3).map(
                lambda names: "".join(f', "{name}"' for name in names)
            ),
        ),
    )


def _histograms() -> Text:
    buckets = st.sampled_from(
        ("h_bucket", "rate(h_bucket[5m])", "sum by (le) (rate(h_bucket[5m]))", "g", "h_bucket > 20")
    )
    return st.builds("histogram_quantile({}, {})".format, of("0", "0.1", "0.5", "0.99", "1", "-1", "NaN"), buckets)
