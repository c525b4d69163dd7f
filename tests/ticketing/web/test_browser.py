"""The pages in a real browser: live without reloading, and nothing lost that a person is typing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.ticketing.web.world import PASSWORD, WAIT, World
from ticketing.scope import EVERYTHING

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=WAIT * 1000)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser, world: World) -> Iterator[BrowserContext]:
    """A browser in Suzhou, in which every word on the console is an error."""
    made = browser.new_context(base_url=world.url, locale="en-GB", timezone_id="Asia/Shanghai")
    made.set_default_timeout(WAIT * 1000)
    said: list[str] = []
    made.on("console", lambda message: said.append(spoken(message)))
    made.on("weberror", lambda error: said.append(str(error.error)))
    yield made
    made.close()
    assert [text for text in said if text] == []


def spoken(message: ConsoleMessage) -> str:
    # A refused form or a lost session is no fault of the page, but the browser says so.
    return "" if re.search("responded with a status of (401|409)", message.text) else message.text


@pytest.fixture
def page(context: BrowserContext) -> Page:
    made = context.new_page()
    sign_in(made)
    return made


def sign_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Name").fill("nora")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#live")).to_have_text("live")


def row(page: Page, incident: int) -> Locator:
    return page.locator(f"#i{incident}")


def mark_document(page: Page) -> None:
    """Leave a mark that a reload would wipe out."""
    page.evaluate("window.sameDocument = true")


def assert_same_document(page: Page) -> None:
    assert page.evaluate("window.sameDocument") is True


def test_a_ticket_appears_and_resolves_without_a_reload(page: Page, world: World) -> None:
    mark_document(page)
    incident = world.alert("acme-fs01", mountpoint="/live")
    expect(row(page, incident)).to_contain_text("/live is 96% full")
    expect(row(page, incident)).to_contain_text("open")
    expect(page).to_have_title(f"({world.store.counts(EVERYTHING).total}) Queue · Watchdesk")
    world.alert("acme-fs01", mountpoint="/live", state="resolved")
    expect(row(page, incident)).to_contain_text("resolved")
    assert_same_document(page)


def test_a_half_written_comment_survives_what_happens_meanwhile(page: Page, world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/comment", severity="warning")
    page.goto(f"/incidents/{incident}")
    expect(page.locator("#live")).to_have_text("live")
    mark_document(page)
    page.locator("details#resolve summary").click()
    page.locator("#resolve select").select_option("workaround")
    box = page.locator("#comment")
    box.fill("The backup of last wee")
    box.evaluate("box => box.setSelectionRange(4, 10)")
    world.alert("acme-fs01", mountpoint="/comment", severity="critical")
    expect(page.locator("#newest")).to_contain_text("it got worse")
    expect(box).to_have_value("The backup of last wee")
    expect(box).to_be_focused()
    assert box.evaluate("box => [box.selectionStart, box.selectionEnd]") == [4, 10]
    expect(page.locator("details#resolve")).to_have_attribute("open", "")
    expect(page.locator("#resolve select")).to_have_value("workaround")
    assert_same_document(page)
    page.locator("#comment").fill("The backup of last week.")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator("#newest")).to_contain_text("The backup of last week.")
    expect(page.locator("#comment")).to_have_value("")


def test_what_a_person_does_takes_part_in_what_others_see(page: Page, context: BrowserContext, world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/two")
    page.goto(f"/incidents/{incident}")
    other = context.new_page()
    other.goto(f"/incidents/{incident}")
    expect(other.locator("#live")).to_have_text("live")
    page.get_by_role("button", name="Acknowledge").click()
    expect(other.locator(".standing")).to_contain_text("acknowledged")
    expect(other.get_by_role("button", name="Acknowledge")).to_have_count(0)
    page.close()  # it held the stream; the other takes it over
    world.alert("acme-fs01", mountpoint="/two", state="resolved")
    expect(other.locator(".standing")).to_contain_text("resolved")


def test_a_draft_outlives_a_reload_and_is_gone_once_sent(page: Page, world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/draft")
    page.goto(f"/incidents/{incident}")
    page.locator("#comment").fill("half a thought")
    page.reload()
    expect(page.locator("#comment")).to_have_value("half a thought")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator("#newest")).to_contain_text("half a thought")
    page.reload()
    expect(page.locator("#comment")).to_have_value("")


def test_times_are_the_viewers_own(page: Page, world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/time")
    page.goto(f"/incidents/{incident}")
    shown = page.locator("#newest time")
    expect(shown).not_to_contain_text("UTC")
    utc = shown.get_attribute("datetime") or ""
    local = page.evaluate("iso => new Date(iso).toLocaleTimeString('en-GB', {timeZone: 'Asia/Shanghai'})", utc)
    expect(shown).to_have_text(local)


def test_language_and_colours(page: Page) -> None:
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Colours: as the system").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("link", name="事件队列")).to_be_visible()
    expect(page.locator("#live")).to_have_text("实时")
    assert page.locator("html").get_attribute("lang") == "zh-CN"


def test_the_keyboard_goes_down_the_queue_and_into_it(page: Page, world: World) -> None:
    first, second = (world.alert("globex-mail", mountpoint=f"/key{i}") for i in range(2))
    page.goto("/?q=/key")
    page.keyboard.press("j")
    expect(page.locator(f"#i{second} a")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    expect(page.locator(f"#i{first} a")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{world.url}/incidents/{first}")
    page.keyboard.press("c")
    page.keyboard.type("jku/?")
    expect(page.locator("#comment")).to_have_value("jku/?")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page).to_have_url(f"{world.url}/")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_without_script_everything_works_by_reloading(browser: Browser, world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/plain")
    context = browser.new_context(base_url=world.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/incidents/{incident}")
    page.get_by_label("Name").fill("nora")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".standing")).to_contain_text("acknowledged")
    expect(page.locator("#newest time")).to_contain_text("UTC")
    context.close()


@pytest.mark.parametrize(
    "path", ["/", "/devices", "/rules", "/outbox", "/quiet", "/devices/1", "/incidents/{}", "/?q=nothing"]
)
def test_a_phone_shows_all_of_it(page: Page, world: World, path: str) -> None:
    incident = world.alert("acme-fs01", summary="x" * 200 + " " + "word " * 50, mountpoint="/" + "long" * 40)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path.format(incident))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_text_runs_nothing(page: Page, world: World) -> None:
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    incident = world.alert("acme-fs01", mountpoint=attack, summary=attack, first_steps=attack)
    expect(row(page, incident)).to_contain_text(attack)
    page.goto(f"/incidents/{incident}")
    expect(page.locator("h1")).to_contain_text(attack)
    assert "owned" not in page.title().replace(attack, "")
    assert page.locator("main img").count() == 0


def test_signed_out_elsewhere_leads_to_the_login(page: Page, context: BrowserContext, world: World) -> None:
    other = context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
