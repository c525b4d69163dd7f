"""label_replace() and label_join()."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np
import re2

from rules.errors import EvaluationError, PromQLError
from rules.labels import Codes
from rules.matchers import regex
from rules.promql.frames import Frame, Relabelled
from rules.promql.node import VectorNode
from rules.promql.vec import Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet

_NO_UTF8: Final = "\ufffd"
_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


class Relabel(VectorNode):
    """A vector with one label set anew; what each label set becomes is worked out once."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, target: str) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector
        self.target = target
        self._base: Frame | None = None
        self._frame: Relabelled | None = None

    def _eval(self, moment: Moment) -> Vec:
        self.check()
        vec = self.vector.eval(moment)
        if self._base is not vec.frame or self._frame is None:
            if self._base is None or self._base.strings is not vec.frame.strings:
                self.forget()
            self._base = vec.frame
            self._frame = Relabelled(vec.frame)
        if self._frame.n < vec.frame.n:
            self._frame.add({self.target: self.codes(vec.frame, self._frame.n)})
        return Vec(self._frame, vec.values, vec.mask, vec.order).checked()

    def forget(self) -> None:
        """Forget what is known of codes: they have other meanings now."""

    def check(self) -> None:
        """Raise EvaluationError if the arguments make no sense."""
        if not self.target or _NO_UTF8 in self.target:
            raise EvaluationError(f"invalid destination label name: {self.target!r}")

    @abstractmethod
    def codes(self, frame: Frame, start: int) -> Codes:
        """Return the label's new codes for the elements from `start` on."""


class Replace(Relabel):
    """label_replace(v, target, replacement, source, regex)"""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, args: list[str]) -> None:
        super().__init__(fleet, text, vector, args[0])
        _, self.replacement, self.source, self.pattern = args
        self._regex: re2.Pattern | None = None
        self._known: dict[int, int] = {}

    def forget(self) -> None:
        self._known.clear()

    def check(self) -> None:
        super().check()
        if self._regex is None:
            try:
                self._regex = regex(self.pattern)
            except PromQLError as error:
                raise EvaluationError(f"invalid regular expression in label_replace(): {error.message}") from None

    def codes(self, frame: Frame, start: int) -> Codes:
        codes = frame.column(self.target)[start : frame.n].copy()
        for at, code in enumerate(frame.column(self.source)[start : frame.n].tolist()):
            fresh = self._known.get(code)
            if fresh is None:
                fresh = self._known[code] = self._replaced(self.fleet.strings.texts[code])
            if fresh >= 0:
                codes[at] = fresh
        return codes

    def _replaced(self, text: str) -> int:
        match = self._regex.fullmatch(text) if self._regex is not None else None
        return -1 if match is None else self.fleet.strings.code(expand(self.replacement, match))


def expand(template: str, match: re2.Match) -> str:
    """Return the template with $1, ${1}, $name, ${name} and $$ replaced, as Go does: an unknown group is empty."""
    names = match.re.groupindex

    def group(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        number = int(name) if name.isascii() and name.isdigit() else names.get(name, -1)
        if not 0 <= number <= match.re.groups:
            return ""
        return match.group(number) or ""

    return _REFERENCE.sub(group, template)


class Join(Relabel):
    """label_join(v, target, separator, sources…)"""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, args: list[str]) -> None:
        super().__init__(fleet, text, vector, args[0])
        self.separator = args[1]
        self.sources = args[2:]
        self._known: dict[tuple[int, ...], int] = {}

    def forget(self) -> None:
        self._known.clear()

    def check(self) -> None:
        super().check()
        if "" in self.sources:
            raise EvaluationError("invalid source label name in label_join(): ''")

    def codes(self, frame: Frame, start: int) -> Codes:
        if not self.sources:
            return frame.strings.encode([""] * (frame.n - start))
        columns = [frame.column(source)[start : frame.n].tolist() for source in self.sources]
        texts = self.fleet.strings.texts
        for key in set(zip(*columns, strict=True)):
            if key not in self._known:
                self._known[key] = self.fleet.strings.code(self.separator.join(texts[code] for code in key))
        return np.array([self._known[key] for key in zip(*columns, strict=True)], np.int32)
