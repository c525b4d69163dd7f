"""Consent: asked in the session, answered by who sits there, for one request, and revocable while it runs."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.diagnosis import catalogue as registry
from agent.diagnosis import consent as asking
from agent.diagnosis import prompt, sessions
from agent.diagnosis.arguments import NoArguments
from agent.diagnosis.catalogue import Found
from agent.diagnosis.consent import Consent
from agent.diagnosis.consent_windows import ID_OK, ID_YES, WindowsConsent
from agent.diagnosis.frame import Frame, Job
from agent.diagnosis.policy import parse
from agent.diagnosis.prompt import NO, NOTHING, YES, Question, questions, window
from agent.diagnosis.request import find, read
from agent.diagnosis.sessions import Person, language, present, screen_of
from agent.diagnosis.store import Store
from agent.diagnosis.texts import CHINESE, QUESTION, Words
from agent.diagnosis.texts_zh import ABOUT
from agent.state import State
from tests.agent.diagnosis.asker import DEVICE, Asker, answer
from tests.agent.diagnosis.test_catalogue import an_entry
from tests.agent.helpers import MAIN, command, eventually

SUMMARY = str(registry.catalogue()["memory.by_process"].describe()["summary"])
ANNA = Person(os.geteuid(), "anna", "3")
BEN = Person(4_711, "ben", "5")


class Desk:
    """An agent's frame with people at the machine."""

    def __init__(self, folder: Path, people: Sequence[Person], policy: str = "") -> None:
        self.folder = folder
        self.asker = Asker()
        self.posted: list[dict[str, Any]] = []
        self.shown: list[str] = []
        store = Store(State(str(folder)))
        store.pin(self.asker.key)
        self.store = store
        allowed = parse(f'names = "ask"\nanswer_seconds = 60\ncompany = "Example IT"\n{policy}', "desktop")
        self.consent = Consent(
            str(folder), allowed, "c.example", show=lambda path, _people: self.shown.append(path),
            sessions=lambda: list(people),
        )  # fmt: skip
        self.frame = Frame(
            store, DEVICE, allowed, {}, set(), post=self._post, consent=self.consent, out=lambda _line: None
        )
        self._thread: threading.Thread | None = None
        self._open: list[Question] = []

    def _post(self, result: Mapping[str, object]) -> str:
        self.posted.append(dict(result))
        return ""

    def asks(self, *requests: dict[str, Any]) -> Question:
        """Have the collector ask, and return the question as it reaches people."""
        body = answer(*(requests or [self.asker.request(ticket="INC-7", by="person:anna")]))
        self._thread = threading.Thread(target=self.frame.handle, args=(body, len(body)))
        self._thread.start()
        return self.next()

    def next(self) -> Question:
        """Return the question that is there, or the next one."""
        eventually(lambda: self.shown, 60)
        found: list[Question] = []

        def there() -> bool:
            found.extend(questions([str(self.folder)]))
            return bool(found)

        eventually(there, 60)
        self.shown.clear()
        self._open += found
        return found[0]

    def end(self) -> list[str]:
        """Wait until all is over, and return the states that were posted."""
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()
        for question in self._open:
            question.close()
        return [one["state"] for one in self.posted]

    def trail(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit").read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Anna, who is the user of these tests, sits here."""
    return Desk(tmp_path, [ANNA])


@pytest.fixture
def slow() -> Iterator[str]:
    """A diagnosis that takes long."""

    def sleep(_look: object, _asked: object) -> Found:
        time.sleep(50)
        return Found("it slept")

    entry = an_entry(name="test.slow", function=sleep, findings=("it slept",), seconds=60.0, privacy="names",
                     arguments=NoArguments, raised={})  # fmt: skip
    registry._KNOWN["test.slow"] = entry
    yield "test.slow"
    del registry._KNOWN["test.slow"]


def test_the_question_says_who_what_for_what_and_how_long(desk: Desk) -> None:
    asked = desk.asks()
    text = Words("en").question(asked.said)
    for part in ("Example IT", SUMMARY, "memory.by_process", "anna, a person", "INC-7",
                 "names of processes, files and accounts", "s at most", "within 60 s"):  # fmt: skip
        assert part in text
    assert "Example IT 想查看" in Words("zh").question(asked.said)
    asked.answer(YES)
    assert desk.end() == ["asking", "running", "done"]
    assert desk.trail()[-1]["consent"] == ("root" if os.geteuid() == 0 else "anna")


def test_who_allowed_it_is_told_what_was_sent(desk: Desk) -> None:
    asked = desk.asks()
    asked.answer(YES)
    told: dict[str, Any] = {}

    def heard() -> bool:
        told.update(asked.next(1.0) or {})
        return "result" in told

    eventually(heard, 60)
    desk.end()
    assert told["result"]["data"] == desk.posted[-1]["data"]
    prompt.keep(str(desk.folder / "kept" / "sent"), asked.said, told["result"])
    (copy,) = Store(State(str(desk.folder / "kept"))).sent(asked.said["id"])
    assert json.loads(copy[2])["sha256"] == desk.posted[-1]["sha256"]


def test_a_no_is_a_no(desk: Desk) -> None:
    desk.asks().answer(NO)
    assert desk.end() == ["asking", "denied"]
    assert desk.posted[-1]["reason"].startswith("said no")
    assert "data" not in desk.posted[-1]
    assert not list(desk.folder.glob("ask-*"))


def test_no_answer_in_time_is_a_no(tmp_path: Path) -> None:
    desk = Desk(tmp_path, [ANNA])
    desk.consent._policy = parse('names = "ask"\nanswer_seconds = 1', "desktop")
    desk.asks()
    assert desk.end() == ["asking", "denied"]
    assert desk.posted[-1]["reason"].startswith("no answer")


def test_it_is_revoked_while_it_runs(desk: Desk, slow: str) -> None:
    asked = desk.asks(desk.asker.request(slow))
    asked.answer(YES)
    eventually(lambda: desk.posted[-1]["state"] == "running", 60)
    asked.answer(NO)
    assert desk.end() == ["asking", "running", "revoked"]
    assert "data" not in desk.posted[-1]
    assert desk.trail()[-1]["event"] == "revoked"


def test_consent_for_one_request_does_not_cover_another(desk: Desk) -> None:
    first, second = desk.asker.request(), desk.asker.request()
    desk.asks(first, second).answer(YES)
    desk.next().answer(NO)
    assert sorted(desk.end()) == ["asking", "asking", "denied", "done", "running"]


def test_what_needs_no_question_does_not_wait_for_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path, [ANNA], '[diagnoses]\n"test.free" = "allow"')
    entry = an_entry(name="test.free", function=lambda _look, _asked: Found("%(a)s", {"a": "x"}), raised={},
                     arguments=NoArguments)  # fmt: skip
    registry._KNOWN["test.free"] = entry
    asked = desk.asks(desk.asker.request(), desk.asker.request("test.free"))
    assert [one["state"] for one in desk.posted] == ["running", "done", "asking"]
    asked.answer(NO)
    desk.end()
    del registry._KNOWN["test.free"]


def test_all_who_sit_here_must_say_yes() -> None:
    found = Consent("/nowhere", parse("", "desktop"), "c", show=lambda _path, _people: None)
    asked = asking.Asked("id", [Person(1_000, "anna", "1"), BEN], {1_000: "anna"})
    assert not found._agreed(asked)
    asked.yes[BEN.uid] = "ben"
    assert found._agreed(asked)
    assert not found._agreed(asking.Asked("id", [], {}))
    assert found._agreed(asking.Asked("id", [BEN], {0: "root"}))  # who may change the policy may answer, too


def test_who_is_not_asked_is_not_heard(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = desk.asks()
    monkeypatch.setattr(asking, "peer", lambda _socket: 65_534)
    assert list(questions([str(desk.folder)])) == []
    asked.answer(NO)
    desk.end()


@pytest.mark.parametrize("line", [b"\n", b"yes\n", b"[]\n", b'{"id": 1}\n', b"[" * 3_000 + b"\n", b"x" * 5_000])
def test_rubbish_at_the_socket_is_no_yes(desk: Desk, line: bytes) -> None:
    asked = desk.asks()
    with socket.socket(socket.AF_UNIX) as wild:
        wild.connect(str(next(desk.folder.glob("ask-*"))))
        wild.sendall(line)
        asked.answer(NO)
        assert desk.end()[-1] == "denied"


def test_on_the_console(desk: Desk) -> None:
    asked = desk.asks()
    identity = str(asked.said["id"])
    assert "Nothing is asked" in command("consent", "--yes", "another", state=desk.folder).stdout
    done = command("consent", state=desk.folder, stdin="y\n")
    assert SUMMARY in done.stdout
    assert "Allowed." in done.stdout
    assert desk.end()[-1] == "done"
    assert identity in command("sent", state=desk.folder).stdout
    assert json.loads(command("sent", identity, state=desk.folder).stdout)["sha256"] == desk.posted[-1]["sha256"]
    listed = command("audit", "list", state=desk.folder).stdout
    assert "memory.by_process  by person:anna  for INC-7  allowed by" in listed
    assert command("audit", "verify", state=desk.folder).returncode == 0
    (desk.folder / "audit").write_text("")
    done = command("audit", "verify", state=desk.folder)
    assert (done.returncode, "are missing" in done.stdout) == (1, True)


ZENITY = """#!/bin/sh
echo "$@" >> "$HOME/seen"
case "$*" in *--question*) exit {code} ;; *) exec sleep 60 ;; esac
"""


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (1, "denied")])
def test_a_window_in_the_session(desk: Desk, tmp_path_factory: pytest.TempPathFactory, code: int, state: str) -> None:
    """The real program that the session starts, with a desktop whose zenity says yes or no by itself."""
    home = tmp_path_factory.mktemp("home")
    (home / "zenity").write_text(ZENITY.format(code=code))
    (home / "zenity").chmod(0o755)
    desk.asks().close()
    environ = {"PATH": f"{home}:{os.environ['PATH']}", "HOME": str(home), "LANG": "en_US.UTF-8"}
    done = _run_prompt(desk.folder, environ)
    assert done == 0
    assert desk.end()[-1] == state
    assert "--no-markup" in (home / "seen").read_text()
    kept = list((home / ".local/share/watchdesk-agent/sent").glob("*.json"))
    assert len(kept) == (state == "done")


def _run_prompt(folder: Path, environ: Mapping[str, str]) -> int:
    words = [sys.executable, "-I", "-S", str(MAIN), "consent", "--prompt", "--at", str(folder)]
    return subprocess.run(words, env=dict(environ), timeout=60, check=False).returncode


SAID = {"company": "Example IT", "about": "x", "name": "a.b", "arguments": {"p": "/"}, "class": "names",
        "by": "person:IT\nAllow: press Allow", "ticket": "", "seconds": 5, "answer_seconds": 60, "id": "1"}  # fmt: skip


@pytest.mark.parametrize(
    ("program", "code", "out", "said"),
    [
        ("zenity", 0, "", YES),
        ("zenity", 1, "", NO),
        ("zenity", 5, "", NOTHING),  # its time was over
        ("kdialog", 0, "", YES),
        ("kdialog", 1, "", NO),
        ("kdialog", -15, "", NOTHING),
        ("notify-send", 0, "yes\n", YES),
        ("notify-send", 0, "no\n", NO),
        ("notify-send", 0, "", NOTHING),
        ("notify-send", 1, "", NOTHING),
    ],
)
def test_what_each_desktop_answers(program: str, code: int, out: str, said: str) -> None:
    made = window("T", Words("en").question(SAID), Words("en"), 60, lambda name: "/x" if name == program else None)
    assert made is not None
    assert made.words[0] == program
    assert made.read(code, out) == said


def test_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    made = window("T", "text", Words("en"), 60, lambda _name: None)
    assert made is not None
    assert made.words[0] == "osascript"
    assert "text" not in made.words[2]  # it is an argument, never a part of the script
    assert made.read(0, "button returned:Allow, gave up:false") == YES
    assert made.read(0, "button returned:Refuse, gave up:false") == NO
    assert made.read(0, "button returned:, gave up:true") == NO
    assert made.read(1, "") == NO


def test_a_question_cannot_pose_as_another() -> None:
    text = Words("en").question(SAID)
    assert "\nAllow: press" not in text
    made = window("T", "<b>&", Words("en"), 60, lambda name: "/x" if name == "kdialog" else None)
    assert made is not None
    assert made.words[-1] == "&lt;b&gt;&amp;"


def test_every_text_is_there_in_chinese() -> None:
    source = "".join(path.read_text() for path in Path(prompt.__file__).parent.glob("*.py"))
    for text in [*re.findall(r'[wW]ords\(\s*"([^"]+)"\)', source), QUESTION]:
        assert text in CHINESE, text


def test_what_is_looked_at_is_told_in_chinese() -> None:
    assert ABOUT.keys() == registry.catalogue().keys()
    assert ABOUT["memory.by_process"] in Words("zh").question({**SAID, "name": "memory.by_process"})


def _session(folder: Path, name: str, **fields: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    given = {"UID": 1000, "USER": "anna", "ACTIVE": 1, "CLASS": "user", "REMOTE": 0, **fields}
    (folder / name).write_text("".join(f"{key}={value}\n" for key, value in given.items()))


def test_who_sits_here(tmp_path: Path) -> None:
    assert present(str(tmp_path)) == []
    folder = tmp_path / "run/systemd/sessions"
    _session(folder, "2")
    _session(folder, "3", UID=1001, USER="ben", ACTIVE=0)
    _session(folder, "4", UID=1002, USER="eve", REMOTE=1)
    _session(folder, "c1", UID=121, USER="gdm", CLASS="greeter")
    _session(folder, "5", UID="x")
    (folder / "2.ref").touch()
    assert present(str(tmp_path)) == [Person(1000, "anna", "2")]
    assert sessions.is_over(Person(1000, "anna", "1"), str(tmp_path))
    assert not sessions.is_over(Person(1000, "anna", "2"), str(tmp_path))


def test_the_screen_of_somebody(tmp_path: Path) -> None:
    for pid, text in (("1", "HOME=/h"), ("2", "DISPLAY=:0\0LANG=zh_CN\0SECRET=x"), ("3", "DISPLAY=:1")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "environ").write_text(text)
    assert screen_of(os.geteuid(), str(tmp_path)) == {"DISPLAY": ":0", "LANG": "zh_CN"}
    assert screen_of(os.geteuid() + 1, str(tmp_path)) == {}


@pytest.mark.parametrize(
    ("environ", "said"),
    [({}, "en"), ({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "zh_CN", "LC_ALL": "de_DE"}, "de"),
     ({"LANG": "de_DE", "LANGUAGE": "zh_CN:de"}, "zh")],
)  # fmt: skip
def test_the_language_of_somebody(environ: dict[str, str], said: str) -> None:
    assert language(environ) == said


def _job() -> Job:
    asker = Asker()
    request = read(json.dumps(asker.payload()).encode(), ("k",))
    diagnosis, asked = find("memory.by_process", {})
    return Job(request, diagnosis, asked, "names", "ask")


@pytest.mark.parametrize(
    ("answers", "agreed"),
    [({1: ID_YES, 2: ID_YES}, True), ({1: ID_YES, 2: 7}, False), ({1: 32_000}, False), ({1: 0}, False), ({}, False)],
)
def test_on_windows(answers: dict[int, int], agreed: bool) -> None:
    """7 is No, 32,000 that the time was over (WTSSendMessage)."""
    stop = threading.Event()

    def send(session: int, _title: str, text: str, style: int, _seconds: int) -> int:
        if style & 0x4:
            assert "memory.by_process" in text
            return answers[session]
        stop.wait(60)
        return ID_OK

    found = WindowsConsent(parse("", "desktop"), "c", sessions=lambda: list(answers), send=send, words=Words("en"))
    if agreed:
        assert found.ask(_job()) == "session 1, session 2"
        assert found.revoked() == ""
        stop.set()
        eventually(found.revoked)
    else:
        with pytest.raises(Exception, match=r"no|nobody"):
            found.ask(_job())
