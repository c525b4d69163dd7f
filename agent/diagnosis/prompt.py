"""What speaks to people: a window in their session, or the console. Runs with their rights, and knows only questions.

`watchdesk-agent consent` lists and answers on the console. `watchdesk-agent consent --prompt` shows a window for each
question until there is none left: the user's systemd starts it (watchdesk-consent.path), or the agent itself where it
may. Windows are shown by programs of the desktop (zenity, kdialog, notify-send; osascript on macOS), which are given
words, never a line for a shell.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from agent.diagnosis.consent import PREFIX, RUN
from agent.diagnosis.texts import Words

PATIENCE = 5.0
YES, NO, NOTHING = "yes", "no", ""
KEPT = 50  # copies of what was sent


class Window(NamedTuple):
    """How a program of the desktop asks: its words, and what its end means."""

    words: list[str]
    read: Callable[[int, str], str]


class Question:
    """A question at a socket, and the connection to who asks."""

    def __init__(self, path: str) -> None:
        """Connect, and take the question.

        Raises:
            OSError: nobody asks there (any more), or not us.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE)
        self._data = b""
        try:
            self._socket.connect(path)
            first = self.next(PATIENCE)
        except OSError:
            self._socket.close()
            raise
        if first is None or not isinstance(first.get("question"), dict):
            self._socket.close()
            raise ConnectionRefusedError("this question is not for you")
        self.state = str(first["state"])
        self.said: dict[str, Any] = first["question"]

    def next(self, seconds: float) -> dict[str, Any] | None:
        """Return what is told next, None at the end or when the time is over."""
        until = time.monotonic() + seconds
        while b"\n" not in self._data:
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                more = self._socket.recv(65_536)
            except TimeoutError:
                return None
            except OSError:
                more = b""
            if not more:
                self.state = "over"
                return None
            self._data += more
        line, _, self._data = self._data.partition(b"\n")
        said = json.loads(line)
        return said if isinstance(said, dict) else None

    def answer(self, answer: str) -> None:
        """Say yes or no; a no while it runs ends it.

        Raises:
            OSError: it is over.
        """
        self._socket.sendall(json.dumps({"id": self.said["id"], "answer": answer}).encode() + b"\n")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def questions(folders: Sequence[str]) -> Iterator[Question]:
    """Yield the questions that are for this user."""
    for folder in dict.fromkeys(folders):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) and os.access(folder, os.R_OK) else []
        for name in names:
            if name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    yield Question(os.path.join(folder, name))


def window(title: str, text: str, words: Words, seconds: int, which: Callable[[str], str | None]) -> Window | None:
    """Return how this desktop asks; None if it has none of the programs."""
    yes, no = words("Allow"), words("Refuse")
    if sys.platform == "darwin":
        script = (
            "on run argv\n"
            "display dialog (item 1 of argv) with title (item 2 of argv) buttons {item 4 of argv, item 3 of argv} "
            "default button 1 with icon caution giving up after (item 5 of argv as integer)\nend run"
        )
        said = f"button returned:{yes}"
        return Window(
            ["osascript", "-e", script, text, title, yes, no, str(seconds)],
            lambda code, out: YES if code == 0 and said in out and "gave up:true" not in out else NO,
        )
    if which("zenity"):
        given = ["--no-markup", f"--title={title}", f"--text={text}", f"--ok-label={yes}", f"--cancel-label={no}"]
        return Window(
            ["zenity", "--question", "--default-cancel", f"--timeout={seconds}", "--width=480", *given],
            lambda code, _out: {0: YES, 1: NO}.get(code, NOTHING),
        )
    if which("kdialog"):
        plain = _escaped(text).replace("\n", "<br>")
        given = ["--title", title, "--yes-label", yes, "--no-label", no, "--warningyesno", plain]
        return Window(["kdialog", *given], lambda code, _out: {0: YES, 1: NO}.get(code, NOTHING))
    if which("notify-send"):
        given = ["--urgency=critical", f"--action=yes={yes}", f"--action=no={no}", "--wait", title, _escaped(text)]
        return Window(["notify-send", *given], lambda _code, out: {"yes": YES, "no": NO}.get(out.strip(), NOTHING))
    return None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def stop_window(title: str, text: str, words: Words, which: Callable[[str], str | None]) -> list[str]:
    """Return the words of a program that ends when people want it to stop, nothing if there is none."""
    if sys.platform != "darwin" and which("zenity"):
        return [
            "zenity",
            "--info",
            "--no-markup",
            f"--title={title}",
            f"--text={text}",
            f"--ok-label={words('Stop it')}",
        ]
    return []


def prompt(folders: Sequence[str], words: Words, kept: str) -> int:
    """Show a window for each question until there is none left; return how many were answered."""
    answered = 0
    seen: set[str] = set()
    while True:
        found = [one for one in questions(folders) if one.said["id"] not in seen]
        if not found:
            return answered
        for one in found:
            seen.add(str(one.said["id"]))
            answered += one.state == "asked" and _show(one, words, kept)
            while one.state != "over":  # who starts us does so again as long as there are questions
                one.next(PATIENCE)
            one.close()


def _show(one: Question, words: Words, kept: str) -> bool:
    seconds = int(one.said["answer_seconds"])
    asking = window(words("Watchdesk asks"), words.question(one.said), words, seconds, shutil.which)
    if asking is None:
        return False
    with subprocess.Popen(  # noqa: S603 - words, no shell
        asking.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if not _wait_beside(process, one, seconds):
            return False
        said = asking.read(process.returncode, process.stdout.read(200) if process.stdout is not None else "")
    if not said:
        return False
    with contextlib.suppress(OSError):
        one.answer(said)
        if said == YES:
            _attend(one, words, kept)
    return True


def _wait_beside(process: subprocess.Popen[str], one: Question, seconds: float) -> bool:
    """Wait until the window was closed; False if the question was over before."""
    until = time.monotonic() + seconds
    while process.poll() is None:
        one.next(0.3)
        if one.state == "over" or time.monotonic() > until:
            process.terminate()
            process.wait()
            return False
    return True


def _attend(one: Question, words: Words, kept: str) -> None:
    """Stay while it runs, let people stop it, and keep what was sent."""
    shown: subprocess.Popen[str] | None = None
    began = time.monotonic()
    stopping = stop_window(words("Watchdesk is looking"), words.running(one.said), words, shutil.which)
    try:
        while one.state != "over":
            told = one.next(0.3)
            if told is not None and "result" in told:
                keep(kept, one.said, told["result"])
                return
            if shown is None and stopping and time.monotonic() > began + 1:
                shown = subprocess.Popen(stopping, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
            elif shown is not None and shown.poll() == 0:
                one.answer(NO)
                shown, stopping = None, []
    finally:
        if shown is not None and shown.poll() is None:
            shown.terminate()
            shown.wait()


def keep(folder: str, asked: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Keep a copy of what was sent, for the one who allowed it."""
    with contextlib.suppress(OSError):
        os.makedirs(folder, 0o700, exist_ok=True)
        name = f"{int(time.time()):011d}-{asked['id']}.json"
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump({"name": asked["name"], **result}, file)
        for old in sorted(os.listdir(folder))[:-KEPT]:
            os.unlink(os.path.join(folder, old))


def kept_folder(environ: Mapping[str, str]) -> str:
    """Return where a user's copies are."""
    home = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "share")
    return os.path.join(home, "watchdesk-agent", "sent")


def folders(state: str) -> list[str]:
    """Return where questions may be."""
    return [RUN, state]
