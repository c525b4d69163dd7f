"""Go's text/template, cut into tokens (go: text/template/parse/lex.go)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

LEFT: Final = "{{"
RIGHT: Final = "}}"
SPACES: Final = " \t\r\n"
KEYWORDS: Final = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"}
)


class Token(NamedTuple):
    """A token: its kind, its text as written, its offset; an `error` token ends the stream."""

    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        """As Go shows it in its errors."""
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.text}>"
        shown = self.text[:10].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{shown}"' + ("..." if len(self.text) > 10 else "")


class LexError(Exception):
    """The text of an error token, and where it stands."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a template, `eof` or `error` last."""
    at = 0
    try:
        while (start := text.find(LEFT, at)) >= 0:
            trim = text.startswith("- ", start + 2) or text[start + 2 : start + 4] in ("-\t", "-\r", "-\n")
            plain = text[at:start].rstrip(SPACES) if trim else text[at:start]
            if plain:
                yield Token("text", plain, at)
            inside = start + (3 if trim else 2)
            comment = inside + 1 if trim else inside
            if text.startswith("/*", comment):
                at, cut = _comment(text, comment)
            else:
                yield Token("left", LEFT, start)
                at, cut = yield from _action(text, inside)
            if cut:
                while at < len(text) and text[at] in SPACES:
                    at += 1
        if at < len(text):
            yield Token("text", text[at:], at)
        yield Token("eof", "", len(text))
    except LexError as error:
        yield Token("error", str(error), error.at)


def _comment(text: str, at: int) -> tuple[int, bool]:
    """The offset behind a comment's closing delimiter, and whether that trims."""
    end = text.find("*/", at)
    if end < 0:
        raise LexError("unclosed comment", at)
    end += 2
    if text.startswith(RIGHT, end):
        return end + 2, False
    if text[end : end + 1] in tuple(SPACES) and text.startswith("-" + RIGHT, end + 1):
        return end + 4, True
    raise LexError("comment ends before closing delimiter", at)


def _action(text: str, at: int) -> Generator[Token, None, tuple[int, bool]]:
    """The tokens of an action; returns the offset behind it, and whether its end trims."""
    depth = 0
    while True:
        if text.startswith(RIGHT, at):
            if depth:
                raise LexError("unclosed left paren", at)
            yield Token("right", RIGHT, at)
            return at + 2, False
        if at >= len(text):
            raise LexError("unclosed action", at)
        if text[at] in SPACES:
            end = at
            while end < len(text) and text[end] in SPACES:
                end += 1
            if text.startswith("-" + RIGHT, end):
                if depth:
                    raise LexError("unclosed left paren", end)
                yield Token("right", RIGHT, end + 1)
                return end + 3, True
            yield Token("space", text[at:end], at)
            at = end
            continue
        token = _token(text, at)
        depth += {"(": 1, ")": -1}.get(token.kind, 0)
        yield token
        if depth < 0:
            raise LexError("unexpected right paren U+0029 ')'", at)
        at += len(token.text)


def _token(text: str, at: int) -> Token:
    c = text[at]
    if c in "=(),|":
        return Token(c, c, at)
    if c == ":":
        if text.startswith(":=", at):
            return Token(":=", ":=", at)
        raise LexError("expected :=", at)
    if c == '"':
        return Token("string", _quoted(text, at, '"', "unterminated quoted string"), at)
    if c == "'":
        return Token("char", _quoted(text, at, "'", "unterminated character constant"), at)
    if c == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise LexError("unterminated raw quoted string", at)
        return Token("string", text[at : end + 1], at)
    if c == "$":
        return _word(text, at, "variable")
    if c == "." and not text[at + 1 : at + 2].isdigit():
        return _word(text, at, "field")
    if c in "+-.0123456789":
        return _number(text, at)
    if _alphanumeric(c):
        return _word(text, at, "identifier")
    if c.isascii() and c.isprintable():
        return Token("other", c, at)
    raise LexError(f"unrecognized character in action: {_unicode(c)}", at)


def _word(text: str, at: int, kind: str) -> Token:
    """An identifier, a $variable or a .field; what follows must end it."""
    end = at + (kind != "identifier")
    while end < len(text) and _alphanumeric(text[end]):
        end += 1
    if end < len(text) and text[end] not in SPACES + ".,|:)(" and not text.startswith(RIGHT, end):
        raise LexError(f"bad character {_unicode(text[end])}", at)
    word = text[at:end]
    if kind == "identifier":
        if word in KEYWORDS:
            kind = word
        elif word in ("true", "false"):
            kind = "bool"
    elif word == ".":
        kind = "dot"
    return Token(kind, word, at)


def _number(text: str, at: int) -> Token:
    end = at + (text[at] in "+-")
    digits = "0123456789_"
    if text[end : end + 1] == "0" and text[end + 1 : end + 2] in tuple("xXoObB"):
        digits = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}[text[end + 1].lower()]
        end += 2
    end = _run(text, end, digits)
    if text[end : end + 1] == ".":
        end = _run(text, end + 1, digits)
    if text[end : end + 1] in (("p", "P") if len(digits) > 11 else ("e", "E")):
        end += 1
        end = _run(text, end + (text[end : end + 1] in ("+", "-")), "0123456789_")
    if text[end : end + 1] == "i":
        end += 1
    if end < len(text) and _alphanumeric(text[end]):
        raise LexError(f'bad number syntax: "{text[at : end + 1]}"', at)
    return Token("number", text[at:end], at)


def _run(text: str, at: int, allowed: str) -> int:
    while at < len(text) and text[at] in allowed:
        at += 1
    return at


def _quoted(text: str, at: int, quote: str, fault: str) -> str:
    end = at + 1
    while end < len(text) and text[end] != "\n":
        if text[end] == quote:
            return text[at : end + 1]
        end += 2 if text[end] == "\\" else 1
    raise LexError(fault, at)


def _alphanumeric(c: str) -> bool:
    return c == "_" or c.isalnum()


def _unicode(c: str) -> str:
    return f"U+{ord(c):04X}" + (f" '{c}'" if c.isprintable() else "")
