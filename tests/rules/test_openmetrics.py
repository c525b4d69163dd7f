"""Samples in OpenMetrics text: read exactly, whatever the order and the shape, and refused with their line."""

from __future__ import annotations

import io
import math
import random

import numpy as np
import pytest

from rules import openmetrics
from rules.errors import SampleError
from rules.labels import Labels
from rules.openmetrics import Samples, read
from tests.rules.soak import times


def text(*lines: str) -> Samples:
    return read(io.BytesIO("\n".join([*lines, "# EOF", ""]).encode()))


def told(samples: Samples) -> list[tuple[str, float, float]]:
    names = [repr(name) for name in samples.names]
    return [(names[s], t, v) for s, t, v in zip(samples.series, samples.times, samples.values, strict=True)]


def test_samples_with_their_labels() -> None:
    samples = text(
        "# TYPE cpu gauge",
        "# UNIT cpu percent",
        '# HELP cpu how busy, "quoted" and all',
        'cpu{instance="a.hq.acme",text="a \\"b\\", {c} \\\\ \\n d"} 12.5 1700000000',
        'cpu{instance="a.hq.acme",text="a \\"b\\", {c} \\\\ \\n d"} 13 1700000010.250',
        "up 1 1700000000",
        'cpu{instance="b",empty=""} -0.125 1700000000',
        "plain{} 7 1",
        'utf{x="é"} 1 2',
    )
    assert samples.names == [
        Labels({"__name__": "cpu", "instance": "a.hq.acme", "text": 'a "b", {c} \\ \n d'}),
        Labels({"__name__": "up"}),
        Labels({"__name__": "cpu", "instance": "b"}),
        Labels({"__name__": "plain"}),
        Labels({"__name__": "utf", "x": "é"}),
    ]
    assert samples.series.tolist() == [0, 0, 1, 2, 3, 4]
    assert samples.times.tolist() == [1700000000, 1700000010.25, 1700000000, 1700000000, 1, 2]
    assert samples.values.tolist() == [12.5, 13, 1, -0.125, 7, 1]


def test_numbers_of_every_shape_are_exact() -> None:
    source = random.Random(7)
    written = [
        *("0", "-0", "1", "-1", "+5", ".5", "5.", "-.25", "0.1", "1e3", "1.5E-7", "123456789012345", "1e308", "5e-324"),
        *("1234567890123456789", "0.30000000000000004", "99999999999999.9", "-12345678901.2345", "00012", "1e400"),
        *(repr(source.uniform(-1e6, 1e6)) for _ in range(500)),
        *(f"{source.uniform(-1e9, 1e9):.{source.randrange(9)}f}" for _ in range(500)),
        *(str(source.randrange(-(10**17), 10**17)) for _ in range(200)),
    ]
    samples = text(*(f'm{{n="{i}"}} {number} {i}' for i, number in enumerate(written)))
    wrong = [(w, v) for w, v in zip(written, samples.values.tolist(), strict=True) if float(w).hex() != v.hex()]
    assert wrong == []


def test_not_numbers() -> None:
    samples = text("a NaN 1", "a +Inf 2", "a -Inf 3", "a Inf 4", "a nan 5", "a infinity 6")
    assert math.isnan(samples.values[0])
    assert samples.values[1:4].tolist() == [math.inf, -math.inf, math.inf]


def test_exemplars_are_passed_over() -> None:
    samples = text(
        "a_total 1 1",
        'a_total 2 2 # {trace_id="x y"} 0.5 1.5',
        'a_total{x="1"} 2 3 # {} 7',
        'a_total{x=" # {"} 3 3',
    )
    names = ["a_total{}", "a_total{}", 'a_total{x="1"}', 'a_total{x=" # {"}']
    assert told(samples) == list(zip(names, [1, 2, 3, 3], [1, 2, 2, 3], strict=True))


@pytest.mark.parametrize("by_time", [False, True])
def test_any_order_in_chunks_of_any_size(by_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(3)
    wanted = [(f'm{{n="{n}.{"x" * (n % 5)}"}}', 10.0 * t, source.uniform(-9, 9)) for n in range(70) for t in range(40)]
    if by_time:
        wanted.sort(key=lambda each: each[1])
    lines = [f"{name} {value!r} {time:.{source.randrange(3)}f}" for name, time, value in wanted]
    whole = told(text(*lines))
    assert whole == wanted
    for size in (1, 7, 64, 1000, 4096):
        monkeypatch.setattr(openmetrics, "CHUNK", size)
        if size > 1 or by_time:
            assert told(text(*lines[: size * 40])) == wanted[: size * 40]


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["a 1 1", "a 2"], 2, "a sample has no timestamp"),
        (["a 1 1", "a"], 2, "not a sample"),
        (["a 1x 1"], 1, "'1x' is not a value"),
        (["a 1.2.3 1"], 1, "is not a value"),
        (["a 0x10 1"], 1, "is not a value"),
        (["a 1_0 1"], 1, "is not a value"),
        (["a 1 tomorrow"], 1, "is not a timestamp"),
        (["a 1 NaN"], 1, "is not a timestamp"),
        (["a 1 1", "1a 1 1"], 2, "does not begin with a metric name"),
        (["a{ 1 1"], 1, "is not a series"),
        (['a{b="c} 1 1'], 1, "has a label"),
        (['a{b="c",b="d"} 1 1'], 1, "has a label that is none, or twice"),
        (['a{1b="c"} 1 1'], 1, "has a label"),
        (['a{b="c"x="d"} 1 1'], 1, "is not a series"),
        (['a{b="\\q"} 1 1'], 1, "has a label"),
        (["# EOF", "a 1 1"], 2, "there is something behind # EOF"),
        (["# EOF"], 2, "there is something behind # EOF"),
    ],
)
def test_faults_have_their_line(lines: list[str], line: int, message: str) -> None:
    with pytest.raises(SampleError) as caught:
        text(*lines)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_the_line_is_right_behind_a_million_others() -> None:
    with pytest.raises(SampleError, match="line 200001: "):
        text(*(f"metric_{i % 7} {i} {i}" for i in range(200_000)), "bad")


@pytest.mark.parametrize("end", ["a 1 1\n# EO", "a 1 1\n", "a 1 1", "a 1 1\n# EOF", "a 1 1\n# EOF\n"])
def test_a_text_that_was_cut_off_is_told_from_a_whole_one(end: str) -> None:
    samples = read(io.BytesIO(b"# TYPE a gauge\n" + end.encode()))
    assert (len(samples), samples.whole) == (1, "# EOF" in end)


def test_a_line_that_was_cut_off_is_refused() -> None:
    with pytest.raises(SampleError, match=r"week\.om:2: a sample has no timestamp"):
        read(io.BytesIO(b"a 1 1\na 1"), "week.om")


def test_prometheus_text_has_milliseconds_and_any_comment_and_space() -> None:
    samples = read(
        io.BytesIO(
            b'# made by hand\n# HELP\n\nup{job="a"} 1 1700000000000\n\t\n'
            b'up { job = "a" , instance = "b c",}  0 \t1700000000250 \r\nup 1 1700000001000'
        )
    )
    assert samples.times.tolist() == [1700000000, 1700000000.25, 1700000001]
    assert Labels({"__name__": "up", "job": "a", "instance": "b c"}) in samples.names
    assert len(samples.names) == 3
    assert samples.values.tolist() == [1, 0, 1]
    assert not samples.whole


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(SampleError, match="line 1: a label value is not UTF-8"):
        read(io.BytesIO(b'a{b="\xff"} 1 1\n# EOF\n'))


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(SampleError, match="a line is longer than"):
        read(io.BytesIO(b"a" * (6 << 20)))


def test_fuzzed_texts_are_read_or_refused() -> None:
    source = random.Random(11)
    base = b'# TYPE a gauge\na{b="c"} 1.5 1\na{b="c"} 2 2 # {x="y"} 1\nb NaN 3\n# EOF\n'
    read_well = 0
    for _ in range(times(10_000)):
        data = bytearray(base)
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(data))
            data[at : at + source.randrange(3)] = bytes(
                source.choice(b'{}", \n#0.e-\\x\xff') for _ in range(source.randrange(3))
            )
        try:
            samples = read(io.BytesIO(bytes(data)))
        except SampleError as error:
            assert 1 <= error.line <= data.count(b"\n") + 1  # noqa: PT017 - both ways are right
        else:
            read_well += 1
            assert len(samples.series) == len(samples.times) == len(samples.values)
            assert not np.isnan(samples.times).any()
    assert read_well
