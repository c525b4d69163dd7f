"""The translations: each word of the pages is there in Chinese, with the same places to fill."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import ticketing
from ticketing.web.catalogue import translations

ROOT = Path(ticketing.__file__).parent
MAPPING = [("**.py", "python"), ("web/templates/**.html", "jinja2")]
MAPPING.append(("**/diagnosis/*.json", "ticketing.diagnosis.texts:extract"))  # what agents say
OPTIONS = {"web/templates/**.html": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
HAN = re.compile(r"[\u4e00-\u9fff]")
# The same in both languages.
UNTRANSLATED = {"UPS"}


def extracted() -> set[str]:
    """Return every text of the sources and templates that people see, as it is looked up."""
    found = extract_from_dir(str(ROOT), method_map=MAPPING, options_map=OPTIONS)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found if message}


def chinese() -> Catalog:
    with (ROOT / "locale/zh_CN/LC_MESSAGES/watchdesk.po").open("rb") as source:
        return read_po(source, locale="zh_CN")


def messages(catalogue: Catalog) -> Iterator[tuple[str, str, Message]]:
    for message in catalogue:
        if message.id:
            yield one(message.id), one(message.string), message


def one(text: str | Sequence[str] | None) -> str:
    """Return a text, of a plural its first form."""
    return text if isinstance(text, str) else text[0] if text else ""


def test_every_text_is_translated() -> None:
    words = extracted()
    assert len(words) > 150
    translated = {text: string for text, string, _ in messages(chinese())}
    assert {text for text in words if not translated.get(text)} == set()
    assert {text for text in words if not HAN.search(translated[text])} == UNTRANSLATED


def test_no_translation_is_left_over_or_doubtful() -> None:
    words = extracted()
    for text, _, message in messages(chinese()):
        assert text in words
        assert not message.fuzzy


def test_translations_fill_the_same_places() -> None:
    for text, string, _ in messages(chinese()):
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", string)), text


def test_the_template_of_the_catalogue_is_up_to_date() -> None:
    with (ROOT / "locale/watchdesk.pot").open("rb") as source:
        assert {text for text, _, _ in messages(read_po(source))} == extracted()


@pytest.mark.parametrize(("language", "text"), [("zh_CN", "事件队列"), ("en", "Queue"), ("tlh", "Queue")])
def test_a_language_that_we_do_not_have_is_english(language: str, text: str) -> None:
    assert translations(language).gettext("Queue") == text
