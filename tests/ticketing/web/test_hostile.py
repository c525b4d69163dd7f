"""Text from outside is data wherever it is shown: nothing in it acts on the page, the terminal or the reader."""

import html
import re
from html.parser import HTMLParser

import pytest

from tests.ticketing.web.world import World

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea></bdi></title><svg onload=alert(1)>",
    "{{7*7}}{% include 'login.html' %}{#",
    "${7*7}#{7*7}<%= 7*7 %>",
    '=HYPERLINK("http://evil.example")',
    "@channel %(name)s %s {0} &lt;b&gt; &amp;amp;",
    "javascript:alert(1)",
    "]]><!-- --!>",
]
ACTING = [
    ("one\r\nSet-Cookie: x=1", "one Set-Cookie: x=1"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("abc\u202etxt.exe", "abctxt.exe"),
    ("nul\x00 bell\x07", "nul bell"),
]


class Reader(HTMLParser):
    """Collects what a browser would show, and what it would run."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.tags: set[str] = set()
        self.acts: list[tuple[str, str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if (
                name.startswith("on")
                or name == "style"
                or (name in {"href", "src", "action"} and not (value or "").startswith(("/", "#")))
            ):
                self.acts.append((tag, name, value))

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    @property
    def text(self) -> str:
        return "".join(self.shown)


def pages_of(world: World, incident: int) -> dict[str, Reader]:
    nora = world.person("nora")
    return {path: Reader(nora.get(path).text) for path in ("/", "/devices", f"/incidents/{incident}")}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_reads_back_as_it_is(world: World, text: str) -> None:
    incident = world.alert(
        mountpoint=text,
        name=text[:60],
        summary=text,
        impact=text,
        first_steps=text,
        closes=text,
        diagnosis=text,
        value_unit=text,
    )
    nora = world.person("nora")
    assert nora.post(f"/incidents/{incident}/comment", text=text).status_code == 303
    known = pages_of(world, world.alert("globex-mail"))
    for (path, page), (_, plain) in zip(pages_of(world, incident).items(), known.items(), strict=True):
        assert text in page.text, path
        assert page.tags <= plain.tags | {"figure", "svg", "code"}, path
        assert page.acts == [], path
    told = nora.get(f"/api/incidents/{incident}")
    assert told.headers["content-type"] == "application/json"
    assert told.json()["summary"] == text
    assert told.json()["timeline"][-1]["data"]["text"] == text
    found = Reader(nora.client.get("/", params={"q": text[:60]}).text)
    assert text in found.text
    assert found.acts == []


@pytest.mark.parametrize(("text", "harmless"), ACTING)
def test_what_acts_on_a_terminal_or_a_reader_is_gone(world: World, text: str, harmless: str) -> None:
    incident = world.alert(mountpoint=text, summary=text)
    for path, page in pages_of(world, incident).items():
        assert harmless in re.sub(r"\s+", " ", page.text), path
        assert not re.search("[\x00\x07\x1b\u202e]", page.text), path


def test_a_search_for_markup_is_shown_as_text(world: World) -> None:
    answer = world.person("nora").client.get(
        "/", params={"q": '"><script>alert(1)</script>', "customer": "<b>", "site": "'x"}
    )
    assert html.escape('"><script>alert(1)</script>', quote=False).replace('"', "&#34;") in answer.text
    assert Reader(answer.text).acts == []
    assert "<b>" not in answer.text.replace("<b>0</b>", "").replace("<b>2</b>", "").replace("<b>4</b>", "").replace(
        "<b>1</b>", ""
    )


def test_hostile_headers_and_cookies_harm_nothing(world: World) -> None:
    visitor = world.visitor()
    for language in ("zh;q=2", "../../etc/passwd", "zh" * 5000, "en;q=0.1,zh;q=0.9", ";;;,,,q="):
        assert visitor.get("/login", accept_language=language).status_code == 200
    cookie = "; ".join(f'watchdesk-{name}-1="<script>"' for name in ("session", "language", "theme", "visitor"))
    assert visitor.get("/login", cookie=cookie).status_code == 200
    assert visitor.get("/", cookie=cookie).status_code == 303
