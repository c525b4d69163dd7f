"""From text to promql_parser's tree.

The parser is given a text in which what it does not know, or gets wrong, is replaced: strings are written in one
way; regular expressions are numbers of a list (it would judge them by another library's syntax, we ask RE2); so are
the times of `@` (it has none before 1970); `holt_winters` bears its new name; `1_000` is 1000.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import promql_parser

from rules.errors import PromQLError
from rules.promql.lexer import Token, duration_value, number_value, quoted, string_value, tokens

MAX_LENGTH: Final = 100_000
MAX_DEPTH: Final = 100
MAX_TERMS: Final = 2_000
RENAMED: Final = {"holt_winters": "double_exponential_smoothing"}
_REGEX: Final = ("=~", "!~")


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed expression. Regular expressions in the tree are `~N` or `|~N`, a number in `regexes`; `@ N` likewise."""

    text: str
    tokens: tuple[Token, ...]
    tree: Any
    regexes: tuple[Token, ...]
    times: tuple[float, ...]

    def pattern(self, written: str) -> tuple[str, int]:
        """Return the regular expression that stands for `written` in the tree, and its place."""
        token = self.regexes[int(written.rpartition("~")[2])]
        return string_value(token), token.at

    def place(self, word: str) -> int:
        """Return the place of the first token that is this word, or -1."""
        return next((token.at for token in self.tokens if token.text == word), -1)


def parse(expr: str) -> Source:
    """Return the tree of an expression.

    Raises:
        PromQLError: not PromQL, or too long or too deep to be evaluated.
    """
    if len(expr) > MAX_LENGTH:
        raise PromQLError(f"an expression of {len(expr)} characters, at most {MAX_LENGTH}", MAX_LENGTH)
    found = tuple(tokens(expr))
    _check_size(found)
    written, regexes, times = _rewrite(_named(found))
    try:
        tree = promql_parser.parse(written)
    except ValueError as error:
        raise _located(str(error), found) from None
    return Source(expr, found, tree, regexes, times)


def _check_size(found: tuple[Token, ...]) -> None:
    depth = 0
    signs = 0
    for token in found:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        signs = signs + 1 if token.text in "+-" else 0
        if depth > MAX_DEPTH or signs > MAX_DEPTH:
            raise PromQLError(f"nested deeper than {MAX_DEPTH}", token.at)
        if token.kind == "op" and token.text not in "()[]{},=+-*/%^<>!@:" and token.text not in _OPERATORS:
            raise PromQLError(f"unexpected character {token.text!r}", token.at)
    if len(found) > MAX_TERMS:
        raise PromQLError(f"an expression of {len(found)} tokens, at most {MAX_TERMS}", found[MAX_TERMS].at)


_OPERATORS: Final = ("=~", "!~", "==", "!=", ">=", "<=")


_LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_TAKEN: Final = frozenset({"anchored", "smoothed"})  # names, that the parser takes for operators of its own


def _named(found: tuple[Token, ...]) -> tuple[Token, ...]:
    """Return the tokens with the names that the parser does not take for names in quotes."""
    out: list[Token] = []
    place = ""  # what the tokens are in: "{", or "(" for a list of labels
    for at, token in enumerate(found):
        before = found[at - 1].text if at else ""
        following = found[at + 1].text if at + 1 < len(found) else ""
        if token.text == "{" or (token.text == "(" and before.lower() in _LISTS):
            place = token.text
        elif token.text in ")}":
            place = ""
        word = token.text.lower() if token.kind == "word" else ""
        if token.text == "{" and before.lower() in _TAKEN and out[-1].text == "}":
            out[-1] = Token("op", ",", token.at)
        elif word in _TAKEN and not place:
            name = Token("string", quoted(token.text), token.at)
            out += [Token("op", "{", token.at), name, Token("op", "}", token.at)]
        elif word in _TAKEN or (word == "or" and place == "{" and following in _MATCHING):
            out.append(Token("string", quoted(token.text), token.at))
        else:
            out.append(token)
    return tuple(out)


_MATCHING: Final = ("=", "!=", *_REGEX)


def _rewrite(found: tuple[Token, ...]) -> tuple[str, tuple[Token, ...], tuple[float, ...]]:
    regexes: list[Token] = []
    times: list[float] = []
    out: list[str] = []
    at = 0
    while at < len(found):
        token = found[at]
        before = found[at - 1].text if at else ""
        following = found[at + 1].text if at + 1 < len(found) else ""
        if token.kind == "string" and before in _REGEX:
            # A pattern is not empty where =~, and matches the empty text where !~, so that neither is taken for a
            # matcher that chooses everything; the compiler looks at the real one.
            out.append(f'"{"|" if before == "!~" else ""}~{len(regexes)}"')
            regexes.append(token)
        elif token.kind == "string":
            out.append(quoted(string_value(token)))
        elif token.kind == "number":
            if math.isinf(number_value(token.text)):
                raise PromQLError(f"a number out of range: {token.text[:50]}", token.at)
            out.append(token.text.replace("_", ""))
        elif token.text in RENAMED and following == "(":
            out.append(RENAMED[token.text])
        elif token.text == "@":
            out.append("@")
            taken = _time(found[at + 1 : at + 3], times)
            if taken:
                out.append(str(len(times) - 1))
                at += taken
        else:
            out.append(token.text)
        at += 1
    return " ".join(out), tuple(regexes), tuple(times)


def _time(following: tuple[Token, ...], times: list[float]) -> int:
    """Note the number after an @, and return how many tokens it is of."""
    sign = 1.0
    taken = 0
    if following and following[0].text in "+-":
        sign = -1.0 if following[0].text == "-" else 1.0
        taken = 1
    if taken >= len(following) or following[taken].kind not in ("number", "duration"):
        return 0
    time = following[taken]
    times.append(sign * (number_value(time.text) if time.kind == "number" else duration_value(time.text)))
    return taken + 1


_NAMED: Final = re.compile(r"(?:function|name|call to|operation:?|label) '([^']+)'|^'([^']+)'")


def _located(message: str, found: tuple[Token, ...]) -> PromQLError:
    """Return the parser's error with the place of what it names, as far as it names something."""
    if message == "invalid promql query":
        message = "not a PromQL expression"
    named = _NAMED.search(message)
    if named is not None:
        word = named.group(1) or named.group(2)
        for token in found:
            if token.text == word or RENAMED.get(token.text) == word:
                return PromQLError(message, token.at)
    if "inside brackets" in message or any(_calculates(found, at) for at in range(len(found))):
        message += " (calculating with durations is experimental in Prometheus, and not supported)"
    if not found:
        return PromQLError(message, 0)
    if "unclosed" in message or "end of input" in message:
        return PromQLError(message, found[-1].at + len(found[-1].text))
    return PromQLError(message)


def _calculates(found: tuple[Token, ...], at: int) -> bool:
    """Whether a duration that begins here is an expression, not a literal."""
    following = found[at + 1 : at + 3]
    if found[at].text != "offset" or not following:
        return False
    if following[0].text in "+-":
        following = following[1:]
    return bool(following) and following[0].text in ("(", "step", "range", "min_of", "max_of")
