"""`watchdesk up`: what a newcomer sees, the first time and later, and when something is in the way."""

import functools
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.desk import Desk, Process, eventually


def up(desk: Desk) -> Process:
    """Start everything, and return when it says where it is."""
    process = desk.run("up", "--port", str(desk.port))
    eventually(lambda: process.output().count("Watchdesk is at") > 0 or process.popen.poll() is not None)
    return process


@pytest.fixture(scope="module")
def browser() -> "Browser":  # type: ignore[misc]
    """A real Chromium."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*arguments, "--disable-sync"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> "Page":  # type: ignore[misc]
    """A page of its own."""
    opened = browser.new_page()
    yield opened
    opened.close()


def reports(desk: Desk) -> bool:
    """Whether the agent of this machine reports."""
    return "node_load1{" in desk.scrape("/metrics/fleet")


def log_in(page: Page, desk: Desk, password: str) -> None:
    page.goto(desk.url + "/")
    page.fill("input[name=name]", "admin")
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(desk.url + "/")


def test_a_newcomer_sees_a_ticket_appear_and_resolve_without_reloading(desk: Desk, page: Page) -> None:
    process = up(desk)
    password = re.search(r"password (\S+)", process.output())
    assert password, process.output()
    log_in(page, desk, password[1])
    name = socket.gethostname().split(".")[0].lower()
    page.goto(desk.url + "/devices")
    expect(page.get_by_text(name, exact=False).first).to_be_visible()
    page.goto(desk.url + "/")
    page.evaluate("window.neverReloaded = true")
    drill = desk.run("drill", "disk-full")
    row = page.get_by_text("drill-disk-full", exact=False).first
    expect(row).to_be_visible(timeout=30_000)
    assert drill.popen.wait(60) == 0, drill.output()
    expect(page.locator("a.row.done", has_text="drill-disk-full")).to_be_visible(timeout=10_000)
    assert page.evaluate("window.neverReloaded")
    [incident] = desk.incidents(device="drill-disk-full", alertname="DiskFull")
    assert incident["state"] == "resolved"
    assert "resolved by itself" in drill.output()
    page.goto(f"{desk.url}/incidents/{incident['id']}")
    expect(page.locator("svg").first).to_be_visible()
    assert process.stop() == 0


def test_ctrl_c_stops_both_and_a_second_start_goes_on(desk: Desk) -> None:
    first = up(desk)
    assert "password" in first.output()
    eventually(lambda: reports(desk))
    first.signal(signal.SIGINT)
    assert first.popen.wait(15) == 0
    assert desk.command("devices", "--json").stdout.count("instance") == 1
    first.log.unlink()
    second = up(desk)
    assert "password" not in second.output()
    eventually(lambda: reports(desk))
    assert desk.command("devices", "--json").stdout.count("instance") == 1
    assert [one["alertname"] for one in desk.incidents() if one["alertname"] == "HostDown"] == []
    assert second.stop() == 0


def test_two_run_side_by_side(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    other.folder.mkdir()
    try:
        processes = [up(desk), up(other)]
        for one in (desk, other):
            eventually(functools.partial(reports, one))
        assert [process.stop() for process in processes] == [0, 0]
    finally:
        other.end()


def failing(desk: Desk, *words: str) -> str:
    """Run `up` where something is in the way, and return its sentence."""
    done = desk.command(*(words or ("up", "--port", str(desk.port))), check=False)
    assert done.returncode == 1, done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_port_that_is_taken_is_one_sentence(desk: Desk) -> None:
    for taken in (desk.port, desk.port + 1):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", taken))
            busy.listen()
            sentence = failing(desk)
            assert f"127.0.0.1:{taken}" in sentence
            assert "PORT=" in sentence


def test_a_folder_in_use_is_one_sentence(desk: Desk) -> None:
    process = up(desk)
    assert "Another Watchdesk runs on" in failing(desk, "up", "--port", str(desk.port + 10))
    assert process.stop() == 0  # its agent, too


def test_a_folder_that_cannot_be_written_is_one_sentence(desk: Desk) -> None:
    desk.data.parent.joinpath("file").write_text("")
    desk.data = desk.data.parent / "file" / "data"
    assert "cannot be written" in failing(desk)


def test_a_database_of_a_newer_watchdesk_is_one_sentence(desk: Desk) -> None:
    process = up(desk)
    assert process.stop() == 0
    statement = "UPDATE alembic_version SET version_num = 'from-the-future'"
    subprocess.run(
        [
            "python3",
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()",
            str(desk.data / "watchdesk.db"),
            statement,
        ],
        check=True,
    )
    assert "newer" in failing(desk)


def test_a_file_that_is_no_database_is_one_sentence(desk: Desk) -> None:
    desk.data.mkdir()
    (desk.data / "watchdesk.db").write_bytes(os.urandom(8192))
    assert "cannot be used" in failing(desk)


def test_a_configuration_with_a_mistake_is_one_sentence(desk: Desk) -> None:
    desk.configure("web:\n  colour: blue\n")
    assert "watchdesk.yml:2:" in failing(desk)
