"""What must not leave the machine inside a text: control characters, passwords, tokens, addresses of people.

Without regular expressions, for the running agent does not load them. A text is taken word by word: a value behind a
name such as `password=` or `--token`, the credentials of a URL, a mail address, and anything that looks like a key.
"""

from __future__ import annotations

MAX_TEXT = 4_000
HIDDEN = "[redacted]"
NAMES = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api_key", "api-key", "credential",
    "authorization", "cookie", "private_key", "access_key", "session_id", "sessionid",
)  # fmt: skip
SCHEMES = ("bearer", "basic", "digest", "negotiate")
KEY_LENGTH = 24  # of letters and digits mixed; a word of a language is not, and a UUID has its dashes
_KEY_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-=.")


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text in one line, without control characters and lone surrogates, cut to `limit` characters."""
    text = text[: limit + 1]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def redact(text: str, limit: int = MAX_TEXT) -> str:
    """Return the cleaned text without what is nobody's business."""
    out: list[str] = []
    hide_next = False
    named = False  # the word before is a name such as token, which tells nothing by itself
    for word in clean(text, limit).split(" "):
        if hide_next and word:
            is_mark = word.lower().strip("\"':,") in SCHEMES or word in ("=", ":")
            out.append(word if is_mark else HIDDEN)
            hide_next = is_mark
        elif named and word in ("=", ":"):
            out.append(word)
            hide_next = True
        else:
            shown, hide_next = _word(word)
            out.append(shown)
        named = _is_secret_name(word)
    return " ".join(out)[:limit]  # what stands for a word may be longer than the word


def _word(word: str) -> tuple[str, bool]:
    """Return what is shown of a word, and whether the next one is its value."""
    lower = word.lower()
    for mark in ("=", ":"):
        name, found, value = word.partition(mark)
        if found and not value.startswith("//") and _is_secret_name(name):
            return (f"{name}{mark}{HIDDEN}", False) if value.strip("\"'") else (word, True)
    if _is_secret_name(lower) and (lower.startswith("-") or lower.endswith(("=", ":"))):
        return word, True
    if lower.strip("\"':,") in SCHEMES[:2] and word[:1].isupper():
        return word, True
    if "@" in word:
        return _address(word), False
    return (HIDDEN if _is_key(word.strip("\"'()[]<>,;")) else word), False


def _is_secret_name(name: str) -> bool:
    lower = name.lower()
    return any(secret in lower for secret in NAMES)


def _address(word: str) -> str:
    """Return a URL without its credentials, or what stands for a mail address."""
    scheme, slashes, rest = word.partition("://")
    if slashes:
        credentials, at, host = rest.partition("@")
        return f"{scheme}://{HIDDEN}@{host}" if at and "/" not in credentials else word
    name, _, domain = word.partition("@")
    # foo@bar.service is a unit of systemd.
    if name and "." in domain and not domain.endswith((".service", ".socket", ".timer", ".mount", ".slice")):
        return HIDDEN
    return word


def _is_key(word: str) -> bool:
    if len(word) < KEY_LENGTH or word.count("/") > 1 or word.count("-") > 3 or word.count(".") > 2:
        return False
    if not _KEY_CHARS.issuperset(word) or _is_host(word):
        return False
    digits = sum(char.isdigit() for char in word)
    return 3 <= digits <= len(word) - 4


def _is_host(word: str) -> bool:
    """Whether it names a machine or a unit: short parts of small letters, behind the last dot letters alone."""
    *parts, last = word.split(".")
    is_named = bool(parts) and last.isalpha() and all(len(part) < KEY_LENGTH for part in parts)
    return is_named and word == word.lower() and not {"+", "/", "_", "="} & set(word)
