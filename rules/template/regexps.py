"""`match` and `reReplaceAll` on RE2, which never backtracks."""

from __future__ import annotations

import functools
import re
from typing import Any, Final

import re2

from rules.template.builtins import CallError

MAX_PATTERN: Final = 10_000
MAX_WORK: Final = 4 << 20  # characters that a replacement may make

_REFERENCE: Final = re.compile(rb"\$(?:\$|\{(\w+)\}|(\w+))")
_WORDS: Final = (
    ("missing )", "missing closing )"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
)


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise CallError(f"the regular expression is longer than {MAX_PATTERN:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        shown = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        for theirs, ours in _WORDS:
            shown = shown.replace(theirs, ours)
        reason, colon, rest = shown.partition(": ")
        raise CallError(f"error parsing regexp: {reason}" + (f": `{rest}`" if colon else "")) from None


def match(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text."""
    return _compiled(pattern).search(text) is not None


def replace(pattern: str, new: str, text: str) -> str:
    """Go's ReplaceAllString: `$1`, `${name}` and `$$` in what is put in."""
    try:
        compiled = _compiled(pattern)
    except CallError as error:
        raise CallError(f"regexp: Compile({_shown(pattern)}): {error}") from None
    source = text.encode("utf-8", "surrogatepass")
    template = new.encode("utf-8", "surrogatepass")
    out: list[bytes] = []
    at = done = made = 0
    while at <= len(source) and (found := compiled.search(source, at)) is not None:
        start, end = found.span()
        out.append(source[done:start])
        if end > done or start == 0:  # not where an empty match follows another match
            put = _expand(template, found)
            made += len(put) + 64
            if made > MAX_WORK:
                raise CallError(f"the replacement makes more than {MAX_WORK:,} characters")
            out.append(put)
        done = end
        at = max(end, at + _width(source, at))
    out.append(source[done:])
    return b"".join(out).decode("utf-8", "replace")


def _width(source: bytes, at: int) -> int:
    """How many bytes the character at an offset has; 1 at the end."""
    first = source[at] if at < len(source) else 0
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _expand(template: bytes, found: Any) -> bytes:
    def put(reference: re.Match[bytes]) -> bytes:
        name = (reference[1] or reference[2] or b"").decode("ascii")
        if not name:
            return b"$"
        try:
            group = found.group(int(name) if name.isdigit() else name)
        except (IndexError, KeyError, re2.error):
            return b""
        return bytes(group or b"")

    return _REFERENCE.sub(put, template) if b"$" in template else template


def _shown(pattern: str) -> str:
    return f"`{pattern}`" if "`" not in pattern else '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'
