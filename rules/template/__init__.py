"""Prometheus' alert templates: Go's text/template with Prometheus' functions, written anew, safe and bounded.

A template sees `$labels`, `$value`, `$externalLabels`, `$externalURL` and the dot with the same in capitals. It is
parsed once; each expansion is bounded in steps, output and calls, and a fault in it becomes the text that Prometheus
puts in its place. No template can reach anything but what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rules.errors import TemplateError
from rules.template.functions import FUNCTIONS, Around, CallError, Query
from rules.template.machine import Machine
from rules.template.parser import parse
from rules.template.values import Data

__all__ = ["CallError", "Query", "Scope", "Template", "check"]

_DEFINITIONS: Final = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
# What makes an expansion depend on more than labels: the value, a query, the time, or the whole dot.
_VOLATILE: Final = re.compile(r"[vV]alue|query|now|template|tmpl|block|\$(?![A-Za-z_])|(?<![\w)$])\.(?!\w)")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expansion speaks of: the element of the result, the time, and what surrounds the rule.

    `query(expr, time)` answers (labels, value) pairs, and raises CallError where the query fails. `external_url` is
    $externalURL; `own_url` is what the function externalURL answers, which promtool's tests have none for.
    """

    labels: Mapping[str, str]
    value: float
    now: float
    query: Query
    external_labels: Mapping[str, str]
    external_url: str
    own_url: str | None = None


class Template:
    """A label's or an annotation's text, parsed; TemplateError if it cannot be."""

    def __init__(self, text: str, alert: str = "") -> None:
        self.text = text
        self.static = "{{" not in text
        self._name = f"__alert_{alert}"
        self._whole = _DEFINITIONS + text
        self._trees = {} if self.static else parse(self._whole, self._name, FUNCTIONS)
        self.queries = not self.static and "query" in text
        self.volatile = not self.static and any(
            word in text for word in ("alue", "query", "now", "$ ", "$}", ". ", ".}")
        )

    def expand(self, scope: Scope) -> str:
        """The text for an element; a fault is told in the text, as Prometheus does."""
        if self.static:
            return self.text
        data = Data(scope.labels, scope.external_labels, scope.external_url, scope.value)
        around = Around(scope.now, scope.query, scope.own_url)
        try:
            return Machine(self._whole, self._name, self._trees, around).run(data)
        except TemplateError as error:
            return f"<error expanding template: error executing template {self._name}: {error}>"


def check(text: str, alert: str = "") -> None:
    """Raise TemplateError unless the text can be parsed as a template."""
    Template(text, alert)
