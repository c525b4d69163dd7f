"""Expressions of all kinds, made at random: every operator and function over the series of `samples`.

What jumps (comparisons, floor, changes) is given *exact* vectors: those that no rounding can make differ.
"""

from __future__ import annotations

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


def selectors() -> Text:
    """Instant selectors, with offset and @ at times."""
    shifts = ("", "", "", " offset 3m", " offset -2m", f" @ {NOW - 700:.3f}", " @ end()", f" @ {NOW:.3f} offset 10m")
    return st.builds(str.__add__, st.sampled_from(_SELECTORS), st.sampled_from(shifts))


def exact(depth: int) -> Text:
    """Vectors that are the same to the last bit, however they are computed."""
    if depth <= 0:
        return selectors()
    inner = exact(depth - 1)
    number = st.sampled_from(("1", "2", "-3", "0.5", "10"))
    return st.one_of(
        selectors(),
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), number),
        st.builds("-{}".format, selectors()),
        st.builds("{} ({})".format, _grouped(("sum", "min", "max", "count", "group")), inner),
        st.builds("({}{} {})".format, inner, _filters(), number),
        st.builds("({} {}{} {})".format, inner, st.sampled_from(("and", "or", "unless")), _matching(), inner),
        st.builds("{}_over_time({})".format, st.sampled_from(("min", "max", "last", "count", "present")), ranges(0)),
        # Prometheus forgets the offset of timestamp(x @ t offset d).
        st.builds(
            "timestamp({}{})".format, st.sampled_from(_SELECTORS), st.sampled_from(("", " offset 3m", " @ end()"))
        ),
    )


def vectors(depth: int) -> Text:
    """Vectors of all kinds."""
    if depth <= 0:
        return selectors()
    inner, before = vectors(depth - 1), exact(depth - 1)
    return st.one_of(
        exact(depth),
        st.builds("{}({})".format, st.sampled_from(_CONTINUOUS), inner),
        st.builds("{}({})".format, st.sampled_from(_JUMPING), before),
        st.builds("round({}, {})".format, before, st.sampled_from(("0.5", "5", "-2", "10"))),
        st.builds("clamp({}, {}, {})".format, inner, scalars(0), scalars(0)),
        st.builds("clamp_{}({}, {})".format, st.sampled_from(("min", "max")), inner, scalars(0)),
        _arithmetic(inner),
        _comparisons(before),
        _joins(before),
        _aggregations(inner, before),
        _over_ranges(depth),
        _labelled(inner),
        st.builds("vector({})".format, scalars(depth - 1)),
        st.builds("absent({})".format, st.one_of(selectors(), before)),
        st.builds("sort{}({})".format, st.sampled_from(("", "_desc")), inner),
        _histograms(),
    )


def scalars(depth: int) -> Text:
    """Numbers."""
    if depth <= 0:
        return st.sampled_from(_NUMBERS)
    inner = scalars(depth - 1)
    return st.one_of(
        st.sampled_from(_NUMBERS),
        st.builds("({} {} {})".format, inner, st.sampled_from(("+", "-", "*", "/", "^", "%", "atan2")), inner),
        st.builds("({} {} bool {})".format, inner, _comparators(), inner),
        st.builds("-{}".format, inner),
        st.builds("scalar({})".format, st.one_of(st.just("one"), vectors(depth - 1))),
    )


def ranges(depth: int) -> Text:
    """Range selectors, and subqueries where there is depth left."""
    plain = st.builds(
        "{}[{}]{}".format,
        st.sampled_from(_SELECTORS),
        st.sampled_from(_RANGES),
        st.sampled_from(("", "", "", " offset 4m", " offset -1m", f" @ {NOW - 300:.3f}")),
    )
    if depth <= 0:
        return plain
    steps = st.sampled_from(("", "30s", "1m", "7s"))
    return st.one_of(plain, st.builds("({})[{}:{}]".format, exact(depth - 1), st.sampled_from(_RANGES[:3]), steps))


def _comparators() -> Text:
    return st.sampled_from(("==", "!=", ">", "<", ">=", "<="))


def _filters() -> Text:
    return st.builds(" {}{}".format, _comparators(), st.sampled_from(("", "", " bool")))


def _label_lists() -> Text:
    return st.lists(st.sampled_from(_LABELS), max_size=3, unique=True).map(", ".join)


def _grouped(ops: tuple[str, ...]) -> Text:
    by = st.one_of(st.just(""), st.builds(" {} ({})".format, st.sampled_from(("by", "without")), _label_lists()))
    return st.builds("{}{}".format, st.sampled_from(ops), by)


def _matching() -> Text:
    return st.one_of(st.just(""), st.builds(" {}({})".format, st.sampled_from(("on", "ignoring")), _label_lists()))


def _arithmetic(inner: Text) -> Text:
    ops = st.sampled_from(("+", "-", "*", "/", "^"))
    return st.one_of(
        st.builds("({} {} {})".format, inner, ops, scalars(1)),
        st.builds("({} {} {})".format, scalars(1), ops, inner),
        st.builds("({} {}{} {})".format, inner, ops, _matching(), inner),
        st.builds("(-{} atan2 {})".format, inner, inner),  # nameless: Prometheus 2 let atan2 keep the name
        st.builds("-({})".format, inner),
        st.builds("-{} ^ 2".format, selectors()),
        st.builds("({} % {})".format, selectors(), st.sampled_from(("3", "0.5", "-2", "0"))),
    )


def _comparisons(before: Text) -> Text:
    return st.one_of(
        st.builds("({}{} {})".format, before, _filters(), scalars(0)),
        st.builds("({}{} {})".format, scalars(0), _filters(), before),
        st.builds("({}{}{} {})".format, before, _filters(), _matching(), before),
    )


def _joins(before: Text) -> Text:
    many = st.one_of(st.sampled_from(("g", "c_total", "load", "limit")), before)
    one = st.one_of(st.sampled_from(("i_info", "limit", "sum by (instance) (g)", "one", "max by (job) (g)")), before)
    side = st.sampled_from(("left", "right"))
    include = st.lists(st.sampled_from(("version", "role", "kind", "missing", "cpu")), max_size=2, unique=True)
    extra = include.map(", ".join)
    labels = st.sampled_from(("instance", "job", "instance, job", ""))
    op = st.one_of(st.sampled_from(("*", "+", "/")), _filters())
    left = st.builds("({} {} on({}) group_left({}) {})".format, many, op, labels, extra, one)
    right = st.builds("({} {} on({}) group_right({}) {})".format, one, op, labels, extra, many)
    ignoring = st.builds("({} {} ignoring({}) group_{}({}) {})".format, many, op, _label_lists(), side, extra, one)
    return st.one_of(left, right, ignoring)


def _aggregations(inner: Text, before: Text) -> Text:
    ops = _grouped(("sum", "avg", "min", "max", "count", "group"))
    distinct = st.sampled_from(("g", 'g{job="api"}', "limit", "c_total"))
    return st.one_of(
        st.builds("{} ({})".format, ops, inner),
        # Of something finite: Prometheus 2 takes the deviation of one infinity as 0.
        st.builds("{} ({})".format, _grouped(("stddev", "stdvar")), before),
        st.builds(
            "{} ({}, {})".format, _grouped(("quantile",)), st.sampled_from(("0", "0.5", "0.9", "1", "-1", "2")), inner
        ),
        st.builds(
            "{} ({}, {})".format, _grouped(("topk", "bottomk")), st.sampled_from(("1", "2", "5", "0", "-1")), distinct
        ),
        st.builds('{} ("{}", {})'.format, _grouped(("count_values",)), st.sampled_from(("value", "job")), before),
    )


def _over_ranges(depth: int) -> Text:
    spans = ranges(depth - 1)
    rates = st.sampled_from(("rate", "increase", "irate"))
    counted = st.builds("{}[{}]".format, st.sampled_from(_COUNTERS), st.sampled_from(_RANGES))
    again = st.builds(
        "{}[{}:{}]".format, st.sampled_from(_COUNTERS), st.sampled_from(_RANGES), st.sampled_from(("15s", "1m"))
    )
    return st.one_of(
        st.builds("{}({})".format, rates, counted),
        st.builds("{}({})".format, rates, again),
        st.builds("{}_over_time({})".format, st.sampled_from(_OVER_TIME), spans),
        st.builds("{}({})".format, st.sampled_from(_RANGED), spans),
        st.builds("quantile_over_time({}, {})".format, st.sampled_from(("0", "0.3", "1", "1.5", "NaN")), spans),
        st.builds("predict_linear({}, {})".format, spans, st.sampled_from(("600", "-60", "0"))),
        st.builds(
            "holt_winters({}, {}, {})".format, spans, st.sampled_from(("0.1", "0.5")), st.sampled_from(("0.3", "0.9"))
        ),
        st.builds("absent_over_time({})".format, spans),
    )


def _labelled(inner: Text) -> Text:
    replace = 'label_replace({}, "{}", "{}", "{}", "{}")'
    return st.one_of(
        st.builds(
            replace.format,
            inner,
            st.sampled_from(("job", "fresh", "instance", "__name__")),
            st.sampled_from(("$1", "x", "", "${1}-$2", "$name", "a$1b$$")),
            st.sampled_from(("job", "instance", "missing", "__name__")),
            st.sampled_from(("(.*)", "(a|b).*", "(?P<name>.)(.*)", "", "api", "(x")),
        ),
        st.builds(
            'label_join({}, "{}", "{}"{})'.format,
            inner,
            st.sampled_from(("fresh", "job", "__name__")),
            st.sampled_from(("", "-", ", ")),
            st.lists(st.sampled_from(("job", "instance", "missing")), max_size=3).map(
                lambda names: "".join(f', "{name}"' for name in names)
            ),
        ),
    )


def _histograms() -> Text:
    buckets = st.sampled_from(
        ("h_bucket", "rate(h_bucket[5m])", "sum by (le) (rate(h_bucket[5m]))", "g", "h_bucket > 20")
    )
    return st.builds(
        "histogram_quantile({}, {})".format, st.sampled_from(("0", "0.1", "0.5", "0.99", "1", "-1", "NaN")), buckets
    )
