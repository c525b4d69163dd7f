"""What leaves as mail or as a call: text from outside is data there, too."""

import json
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.ticketing.adapters.messages import ANNOTATIONS, message
from tests.ticketing.alerts import alert
from ticketing.adapters.email import template as mail
from ticketing.adapters.webhook import template as call

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} ${7*7}",
    '=HYPERLINK("http://evil.example")',
    "@channel <!here>",
    "one\r\nBcc: victim@example.net\r\n\r\nbody",
    "\x1b[31mred\x1b[0m",
    "abc\u202etxt.exe",
    "=?utf-8?q?=3Cb=3E?= (comment) <a@b.example>",
    "word " * 200,
]


class Reader(HTMLParser):
    """Collects the tags that a mail program would act on, and the text that it would show."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_in_a_mail(tmp_path: Path, text: str) -> None:
    hostile = dict.fromkeys(ANNOTATIONS, text)
    said = message(tmp_path, alert(mount=text, annotations=hostile))
    made = mail.compose(said, "watchdesk@desk.example", text, ["noc@example.net"])
    read = message_from_bytes(made.as_bytes(), policy=policy.default)
    assert read["Bcc"] is None
    assert [address.addr_spec for address in read["To"].addresses] == ["noc@example.net"]
    assert [address.addr_spec for address in read["From"].addresses] == ["watchdesk@desk.example"]
    assert sorted(read.keys()) == sorted(made.keys())
    assert read["Subject"].endswith("[INC-1]")
    bodies = {part.get_content_type(): part.get_content() for part in read.walk() if not part.is_multipart()}
    assert set(bodies) == {"text/plain", "text/html"}
    for body in (*bodies.values(), read["Subject"]):
        assert not {"\x1b", "\u202e"} & set(body)
    assert all(line.isprintable() for line in bodies["text/plain"].splitlines())
    tags = {"html", "head", "meta", "body", "h1", "table", "tr", "th", "td", "p", "a"}
    assert Reader(bodies["text/html"]).tags <= tags


@pytest.mark.parametrize("text", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_in_a_call(tmp_path: Path, text: str) -> None:
    body = call.compose(message(tmp_path, alert(mount=text, annotations={"summary": text})))
    read = json.loads(body)
    assert read["incident"]["number"] == "INC-1"
    assert b"\r" not in body
    assert b"\n" not in body
    assert not {"\x1b", "\u202e", "\r"} & set(read["subject"] + read["text"] + read["incident"]["summary"])
