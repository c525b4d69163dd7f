"""Label matchers, by Prometheus' rules: regular expressions are RE2's and match the whole value; absent is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import re2
from numpy.typing import NDArray

from rules.errors import PromQLError
from rules.growing import fit
from rules.labels import NAME, Codes, Strings

Op = Literal["=", "!=", "=~", "!~"]
_UNKNOWN: Final = 0
_YES: Final = 2
_ANY_BYTE: Final = re2.compile(r"(?s)(?:[^\\]|\\[^CQ])*\\C")


def regex(pattern: str) -> re2.Pattern:
    """Return the compiled pattern, anchored at both ends; the dot matches line ends too, as in Prometheus 3.

    Raises:
        PromQLError: not a regular expression of RE2.
    """
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.max_mem = 8 << 20
    if _ANY_BYTE.match(pattern):
        raise PromQLError(f"not a regular expression: {pattern[:100]!r} (\\C, a byte, is not known to Prometheus)")
    try:
        re2.compile(pattern, options)  # alone, for `a)(b` is sound between parentheses
        return re2.compile(f"^(?:{pattern})$", options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise PromQLError(f"not a regular expression: {pattern[:100]!r} ({reason})") from None


class Matcher:
    """One matcher of a selector; remembers its answer for each label value."""

    __slots__ = ("_known", "_of", "_regex", "label", "negated", "op", "value")

    def __init__(self, label: str, op: Op, value: str) -> None:
        self.label = label
        self.op = op
        self.value = value
        self.negated = op.startswith("!")
        self._regex = regex(value) if op.endswith("~") else None
        self._known: NDArray[np.int8] = np.zeros(64, np.int8)
        self._of: Strings | None = None

    def test(self, text: str) -> bool:
        """Whether a label with this value is selected."""
        if self._regex is None:
            return (text == self.value) is not self.negated
        return (self._regex.fullmatch(text) is not None) is not self.negated

    def match(self, codes: Codes, strings: Strings) -> NDArray[np.bool_]:
        """Return for each code whether its value is selected."""
        if self._regex is None:
            equal: NDArray[np.bool_] = codes == strings.codes.get(self.value, -1)
            return ~equal if self.negated else equal
        if self._of is not strings:
            self._of, self._known = strings, np.zeros(64, np.int8)
        self._known = fit(self._known, len(strings.texts))
        known = self._known[codes]
        if (known == _UNKNOWN).any():
            for code in np.unique(codes[known == _UNKNOWN]).tolist():
                self._known[code] = 1 + self.test(strings.texts[code])
            known = self._known[codes]
        chosen: NDArray[np.bool_] = known == _YES
        return chosen

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.op}"{value}"'


class Selector:
    """The matchers of a selector. `name` is the metric name where one is given by equality."""

    __slots__ = ("labels", "matchers", "name", "text")

    def __init__(self, matchers: list[Matcher]) -> None:
        names = [m.value for m in matchers if m.label == NAME and m.op == "=" and m.value]
        self.name = names[0] if names else None
        self.matchers = [m for m in matchers if not (m.label == NAME and m.op == "=" and m.value == self.name)]
        self.labels = frozenset(m.label for m in self.matchers)
        self.text = f"{self.name or ''}{{{','.join(sorted(map(str, self.matchers)))}}}"

    def has_name(self, name: str) -> bool:
        """Whether series of this metric may be selected."""
        if self.name is not None and name != self.name:
            return False
        return all(m.test(name) for m in self.matchers if m.label == NAME)

    def test(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels, the name among them, is selected."""
        if self.name is not None and labels.get(NAME) != self.name:
            return False
        return all(m.test(labels.get(m.label, "")) for m in self.matchers)
