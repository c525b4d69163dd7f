"""Templates against the real promtool: the same text, character by character, errors included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rules.errors import TemplateError
from rules.template import CallError, Scope, Template
from tests.rules import promtool

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

TEXTS = [
    "plain",
    "{{ $labels.instance }} of {{ .Labels.job }}",
    "{{ $labels.missing }}|{{ $labels.instance.deep }}",
    "{{$labels}} {{.}}",
    "{{ $externalLabels.region }} {{ $externalURL }} {{ .ExternalURL }} {{ .ExternalLabels.none }}",
    "{{- $labels.job -}} , \n {{- 1 }}",
    "a {{/* a comment */}} b {{- /* trimmed */ -}} c",
    '{{ if eq $labels.job "node" }}yes{{ else }}no{{ end }}',
    '{{ if and (eq $labels.job "x") true }}a{{ else if ne $labels.job "x" }}b{{ else }}c{{ end }}',
    "{{ if gt $value 5.0 }}big{{ end }}{{ if lt $value 5.0 }}small{{ end }}{{ if ge $value 0.0 }}ge{{ end }}",
    "{{ if gt $value 5 }}mixed{{ end }}",
    '{{ eq 1 2 3 1 }} {{ eq "a" "b" }} {{ ne 1 2 }} {{ le 1 1 }} {{ lt "a" "b" }} {{ eq 1.0 1.0 }}',
    '{{ eq 1 "a" }}',
    "{{ eq $labels $labels }}",
    "{{ lt true false }}",
    "{{ eq 1 }}",
    '{{ and 1 0 2 }} {{ or 0 "" "x" }} {{ not 0 }} {{ and }}',
    "{{ or 0 1 }} {{ and 1 }}",
    '{{ len $labels.job }} {{ len $labels }} {{ len "é" }}',
    "{{ len 3 }}",
    '{{ index $labels "job" }} {{ index $labels "none" }}|{{ index "abc" 1 }}',
    '{{ index "abc" 9 }}',
    "{{ index $labels 1 }}",
    "{{ index 3 1 }}",
    '{{ slice "abcdef" 1 3 }} {{ slice "abcdef" 2 }}',
    '{{ slice "abc" 2 1 }}',
    "{{ with $labels.job }}{{ . }}{{ else }}none{{ end }}{{ with $labels.none }}{{ . }}{{ else }}none{{ end }}",
    "{{ with $x := 5 }}{{ $x }}{{ end }}",
    "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
    "{{ range $labels }}{{ . }};{{ end }}",
    '{{ range $i, $e := query "x" }}{{ $i }}:{{ $e.Labels.job }}={{ $e.Value }}{{ end }}',
    '{{ range query "nothing" }}{{ . }}{{ else }}none{{ end }}',
    '{{ range $k, $v := $labels }}{{ if eq $k "job" }}{{ break }}{{ end }}{{ $k }} {{ end }}',
    '{{ range $k, $v := $labels }}{{ if eq $k "job" }}{{ continue }}{{ end }}{{ $k }} {{ end }}',
    "{{ range 3.5 }}{{ end }}",
    "{{ range true }}{{ end }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}",
    '{{ define "t" }}[{{ . }}]{{ end }}{{ template "t" $labels.job }}{{ template "t" }}',
    '{{ block "b" $value }}<{{ . }}>{{ end }}',
    '{{ template "none" . }}',
    '{{ define "t" }}{{ .Labels.job.x }}{{ end }}a{{ template "t" . }}',
    '{{ query "x" | first | value }} {{ query "x" | first | label "job" }} {{ (query "x" | first).Value }}',
    '{{ query "nothing" | first | value }}',
    '{{ query "sum(" | first | value }}',
    '{{ query "vector(7) > 3" | first | value }} {{ query "time()" | first | value }}',
    '{{ first (query "x") | strvalue }}|{{ with query "x" | first }}{{ .Labels.instance }}{{ end }}',
    '{{ (query "x" | sortByLabel "job" | first).Labels.job }}',
    '{{ label "job" 3 }}',
    "{{ value nil }}",
    '{{ title "hello big_world foo-bar don\'t é" }} {{ toUpper "aßé" }} {{ toLower "AÉ" }}',
    '{{ match "^db" $labels.instance }} {{ match "x$" "y" }}',
    '{{ reReplaceAll "(.*):.*" "$1" $labels.instance }} {{ reReplaceAll "a*" "-" "baac" }} {{ reReplaceAll "(?P<n>b)" "<${n}$$$x>" "abc" }}',
    '{{ reReplaceAll "(" "" "x" }}',
    '{{ match "(" "x" }}',
    '{{ reReplaceAll "é*" "_" "aéb" }} {{ reReplaceAll "$" "!" "ab" }} {{ reReplaceAll "(a)(b)?" "$2|$10|$1x|${1}x" "a" }}',
    '{{ stripPort $labels.instance }} {{ stripPort "[::1]:80" }} {{ stripPort "a" }} {{ stripPort "a:b:c" }} {{ stripPort ":8" }}',
    '{{ stripDomain $labels.instance }} {{ stripDomain "1.2.3.4:80" }} {{ stripDomain "a.b" }} {{ stripDomain "::1" }} {{ stripDomain "[fe80::1]:9" }}',
    '{{ graphLink "sum(x) by (a) > 1 + 2" }} {{ tableLink "a{b=\\"c d\\"}*/~\'é" }}',
    '{{ args 1 "a" $value }} {{ (args 1 2).arg1 }} {{ (args 1).arg7 }}',
    '{{ safeHtml "<b>" }} {{ html "<b>\'\\"&" }} {{ urlquery "a b&c/~" }} {{ js "it\'s <x> = \\"y\\" \\n é" }}',
    '{{ print 1 2 "a" "b" 3 4.5 true nil }} {{ println "x" 1 }}',
    '{{ printf "%s %d %v %q %x %X %c %U %t" "s" 42 "v" "q\\n\\"" "hex" 255 65 0x1F600 true }}',
    '{{ printf "%5d|%-5d|%05d|%+d|%x|%#x|%o|%b|% d" 42 42 42 42 42 42 42 42 42 }}',
    '{{ printf "%5s|%-5s|%.2s|%5.1s|%q" "ab" "ab" "abc" "xyz" "tab\\t" }}',
    '{{ printf "%d %s" "a" 1 }} {{ printf "%d" }} {{ printf "%d" 1 2 "x" }} {{ printf "%[2]d %[1]d" 1 2 }} {{ printf "%*d|" 5 42 }}',
    '{{ printf "%.*f|%6.*f" 2 3.14159 1 2.71828 }} {{ printf "%v %v" $labels nil }} {{ printf "%s" nil }} {{ printf "%t" 1 }}',
    '{{ printf "%6.2f|%-8.3f|%+.2e|%g" 3.14159 2.5 12345.678 0.00001 }} {{ printf "%v" 100000000.0 }} {{ printf "%v" 1e20 }} {{ printf "%v" 1e21 }}',
    "{{ printf \"%v %v %v %v\" 1.0 0.1 123456.0 1234567.0 }} {{ 1e6 }} {{ 0x10 }} {{ 1_000 }} {{ 'a' }} {{ 0.5 }} {{ -3 }}",
    "{{ printf 3 }}",
    "{{ toUpper 3 }}",
    "{{ toUpper $value }}",
    '{{ humanize "abc" }}',
    '{{ humanize $labels.n }} {{ humanize "1e3" }} {{ humanize 1500 }} {{ "0x10p0" | humanize }}',
    "{{ humanize true }}",
    '{{ humanizeDuration "90" }} {{ humanizeDuration 100000 }} {{ humanizeDuration 0.0015 }} {{ humanizeDuration -75.5 }}',
    "{{ humanizeTimestamp 1e10 }} {{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp -1.5 }} {{ humanizeTimestamp 253402300800 }}",
    "{{ (toTime 1435065584.128).Year }} {{ (1435065584.128 | toTime).Month }} {{ (toTime 0).Weekday }}",
    '{{ parseDuration "1h30m" }}',
    '{{ parseDuration "x" }}',
    "{{ humanize }}",
    "{{ humanize 1 2 }}",
    '{{ match "a" }}',
    "{{ externalURL }}",
    "{{ pathPrefix }}",
    '{{ $labels.job | toUpper | printf "%s!" }}',
    '{{ "quoted \\"x\\" \\u00e9 \\x41" }} {{ `raw \\n` }}',
    "{{ 5 | $value }}",
    "{{ $labels.job 5 }}",
    "{{ $value 5 }}",
    "{{ nil }}",
    "{{ .Nothing }}",
    "{{ .Labels.job.x.y }}",
    '{{ "" }}{{ true }}{{ (eq 1 1) }}',
    '{{ define "r" }}{{ end }}{{ template "r" }}x{{ if true -}}   y  {{- end }}',
    "{{ with $l := $labels }}{{ $l.job }}{{ end }} {{ $.Value }} {{ with 1 }}{{ $.Labels.job }}{{ end }}",
    "line one\nline {{ $labels.job.x }}",
    "é {{ $labels.job.x }}",
    '{{ if $value }}t{{ else }}f{{ end }} {{ if $labels }}t{{ end }} {{ if "" }}t{{ else }}f{{ end }}',
    '{{ (index (query "x") 0).Value }} {{ len (query "x") }}',
    '{{ index (query "x") 5 }}',
    "{{ not $value }} {{ call 3 }}",
    '{{ $labels.job | len }}{{ $labels.job | eq "node" }}',
    '{{ printf "%s" (print $value) | toUpper }} {{ print (1) }}',
]


UNPARSABLE = [
    '{{ define "outer" }}{{ $labels.job }}{{ end }}',
    "{{ (1).x }}",
    "{{ 1.x }}",
    "{{",
    "{{ $labels.job",
    "{{ }}",
    "{{ $labels.job }} }} {{ end }}",
    "{{ if }}a{{ end }}",
    "{{ if true }}a",
    "{{ else }}",
    "{{ if true }}a{{ else }}b{{ else }}c{{ end }}",
    "{{ range }}{{ end }}",
    "{{ break }}",
    "{{ range $labels }}{{ break 1 }}{{ end }}",
    "{{ $x }}",
    "{{ $x := }}",
    "{{ $x, $y := 1 }}",
    "{{ range $a, $b, $c := $labels }}{{ end }}",
    "{{ nosuch }}",
    "{{ template }}",
    "{{ template x }}",
    "{{ define x }}{{ end }}",
    '{{ if true }}{{ define "x" }}{{ end }}{{ end }}',
    '{{ "unclosed }}',
    "{{ `unclosed }}",
    "{{ 'ab' }}",
    "{{ '' }}",
    '{{ "\\q" }}',
    "{{ 1 | 2 }}",
    "{{ $value | }}",
    "{{ | print }}",
    "{{ (print 1 }}",
    "{{ print 1) }}",
    "{{ ( ) }}",
    "{{ a..b }}",
    "{{ print .. }}",
    "{{ 0x }}",
    "{{ 1a }}",
    "{{ 99999999999999999999999 }}",
    "{{ print # }}",
    "{{ print é! }}",
    "{{ a: }}",
    "{{ /* no comment */ }}",
    "{{/* open }}",
    "{{/* x */ y }}",
    "{{ print 1,2 }}",
    "{{ print @ }}",
    "{{ end }}",
    "a\nb\n{{ nosuch }}",
    "{{ range $i, 1 := $labels }}{{ end }}",
    '{{ with "a" }}{{ else if true }}{{ end }}',
    "{{ print $labels.9 }}",
    "{{ nil.x }}",
    "{{ true.x }}",
    '{{ "a".x }}',
    "{{ break }}{{ range $labels }}{{ end }}",
    "{{ block }}{{ end }}",
    "{{ $ }}{{ $9 }}",
    "{{- }}",
    "{{ 1 = 2 }}",
    "{{ if true }}{{ end",
]


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
