"""Templates against the real promtool: the same text, character by character, errors included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rules.errors import TemplateError
from rules.template import CallError, Scope, Template
from tests.rules import promtool

HERE = Path(__file__).parent
LABELS = {"__name__": "x", "instance": "db-1.example.com:9100", "job": "node", "n": "12.50", "empty_": "a b&c<d>'\"é"}
SERIES = "x{" + ",".join(f"{k}={v!r}" for k, v in LABELS.items() if k not in ("__name__", "empty_")) + "}"

VALUES = [
    "1234567",
    "0",
    "1",
    "-1",
    "0.5",
    "12.345678",
    "1e21",
    "123456789",
    "-0.000012345",
    "1e-7",
    "NaN",
    "Inf",
    "-Inf",
    "999.95",
    "1e100",
    "86399.5",
]

FORMATS = [
    *(
        f'{{{{ $value | printf "{verb}" }}}}'
        for verb in (
            "%v",
            "%f",
            "%.2f",
            "%.0f",
            "%e",
            "%.3e",
            "%g",
            "%.4g",
            "%G",
            "%E",
            "%d",
            "%s",
            "%q",
            "%t",
            "%x",
            "%8.2f",
            "%-10.1f|",
            "%+.1f",
            "% .1f",
            "%08.3f",
            "%+v",
            "%#v",
            "%T",
            "%5v",
            "%.3v",
            "%%",
            "%",
            "%z",
            "%6.2f%%",
            "%!",
            "%b",
            "%.10g",
        )
    ),
    *(
        f"{{{{ $value | {f} }}}}"
        for f in (
            "humanize",
            "humanize1024",
            "humanizeDuration",
            "humanizePercentage",
            "humanizeTimestamp",
            "toTime",
            "print",
            "println",
            "html",
            "len",
            "not",
        )
    ),
    "{{ $value }}",
    "{{ .Value }}",
]

TEXTS: list[str] = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))


UNPARSABLE: list[str] = json.loads((HERE / "unparsable.json").read_text(encoding="utf-8"))


def _query(expr: str, now: float) -> Sequence[tuple[Mapping[str, str], float]]:
    """Stands for the engine: these tests are about templates, the queries in them are few."""
    shown = {label: text for label, text in LABELS.items() if label != "empty_"}
    known: dict[str, list[tuple[Mapping[str, str], float]]] = {
        "x": [(shown, 12.345678)],
        "nothing": [],
        "vector(7) > 3": [({}, 7.0)],
        "time()": [({}, now)],
    }
    if expr not in known:
        raise CallError("1:5: parse error: unclosed left parenthesis")
    return known[expr]


def ours(text: str, value: float) -> str:
    labels = {label: text for label, text in LABELS.items() if label != "empty_"}
    scope = Scope(labels, value, 60.0, _query, {"region": "north"}, "https://prom.example/prefix/")
    return Template(text, "X").expand(scope)


@promtool.needs_promtool
@pytest.mark.parametrize("value", VALUES)
def test_numbers(value: str, tmp_path: Path) -> None:
    theirs = promtool.expand(FORMATS, SERIES, value, tmp_path)
    made = [ours(text, float(value)) for text in FORMATS]
    assert dict(zip(FORMATS, made, strict=True)) == dict(zip(FORMATS, theirs, strict=True))


@promtool.needs_promtool
def test_texts(tmp_path: Path) -> None:
    theirs = promtool.expand(TEXTS, SERIES, "12.345678", tmp_path)
    made = [ours(text, 12.345678) for text in TEXTS]
    assert dict(zip(TEXTS, made, strict=True)) == dict(zip(TEXTS, theirs, strict=True))


@promtool.needs_promtool
def test_parse_errors(tmp_path: Path) -> None:
    theirs = promtool.template_errors(UNPARSABLE, tmp_path)
    assert dict(zip(UNPARSABLE, map(_parse_error, UNPARSABLE), strict=True)) == dict(
        zip(UNPARSABLE, theirs, strict=True)
    )


def _parse_error(text: str) -> str:
    try:
        Template(text, "X")
    except TemplateError as error:
        return str(error)
    return ""
