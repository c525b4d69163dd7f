"""Asking people on Windows: the service has a box shown in each session in which somebody works.

Written from Microsoft's documentation (WTSEnumerateSessions, WTSSendMessage); never run on Windows. The reading of the
answers is tested with what that documents.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping

from agent.diagnosis.consent import question
from agent.diagnosis.errors import Denied
from agent.diagnosis.frame import Job
from agent.diagnosis.policy import Policy
from agent.diagnosis.texts import Words

YES_NO, QUESTION, SECOND_BUTTON, ON_TOP = 0x4, 0x20, 0x100, 0x1000
OK_ONLY = 0x0
ID_OK, ID_YES = 1, 6
ACTIVE = 0  # WTSActive
CHINESE = 0x04  # the primary language of a LANGID

Send = Callable[[int, str, str, int, int], int]


class WindowsConsent:
    """A box in each active session; all must say yes. While it runs, another box stops it."""

    def __init__(
        self,
        policy: Policy,
        company: str,
        *,
        sessions: Callable[[], list[int]] | None = None,
        send: Send | None = None,
        words: Words | None = None,
    ) -> None:
        self._policy = policy
        self._company = policy.company or company
        self._sessions = sessions or active_sessions
        self._send = send or send_message
        self._words = words or Words(language())
        self._taken_back = ""

    def ask(self, job: Job) -> str:
        """Return in which sessions people said yes.

        Raises:
            Denied: no, or nobody in time, or nobody is here.
        """
        self._taken_back = ""
        seconds = self._policy.answer_seconds
        said = question(job, self._company, seconds)
        found = self._sessions()
        if not found:
            raise Denied("nobody", "nobody works at this machine now")
        style = YES_NO | QUESTION | SECOND_BUTTON | ON_TOP
        answers: dict[int, int] = {}

        def ask_one(session: int) -> None:
            answers[session] = self._send(
                session, self._words("Watchdesk asks"), self._words.question(said), style, seconds
            )

        threads = [threading.Thread(target=ask_one, args=(session,), daemon=True) for session in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 5)
        if any(answers.get(session) != ID_YES for session in found):
            raise Denied("said no", "somebody said no, or gave no answer in time")
        text = self._words.running(said)
        for session in found:
            threading.Thread(target=self._offer_stop, args=(session, text, job.diagnosis.seconds), daemon=True).start()
        return ", ".join(f"session {session}" for session in found)

    def _offer_stop(self, session: int, text: str, seconds: float) -> None:
        if self._send(session, self._words("Watchdesk is looking"), text, OK_ONLY | ON_TOP, int(seconds) + 1) == ID_OK:
            self._taken_back = f"session {session}"

    def files(self) -> list[int]:
        """Nothing can be waited for."""
        return []

    def revoked(self) -> str:
        """Return in which session it was stopped, "" if in none."""
        return self._taken_back

    def tell(self, result: Mapping[str, object]) -> None:
        """What was sent is kept by the agent alone: `watchdesk-agent sent`, as administrator."""

    def close(self) -> None:
        """Boxes end by themselves."""


def active_sessions() -> list[int]:
    """Return the sessions in which somebody works."""
    library = ctypes.WinDLL("wtsapi32")  # type: ignore[attr-defined]  # Windows alone

    class Session(ctypes.Structure):
        _fields_ = (("id", ctypes.c_uint32), ("name", ctypes.c_wchar_p), ("state", ctypes.c_int))

    found, count = ctypes.POINTER(Session)(), ctypes.c_uint32()
    if not library.WTSEnumerateSessionsW(None, 0, 1, ctypes.byref(found), ctypes.byref(count)):
        return []
    try:
        return [found[at].id for at in range(count.value) if found[at].state == ACTIVE and found[at].id != 0]
    finally:
        library.WTSFreeMemory(found)


def send_message(session: int, title: str, text: str, style: int, seconds: int) -> int:
    """Show a box in a session, and return what was pressed; 0 or 32,000 if nothing was in time."""
    library = ctypes.WinDLL("wtsapi32")  # type: ignore[attr-defined]  # Windows alone
    answer = ctypes.c_uint32()
    # Lengths are in bytes; texts are UTF-16.
    shown = library.WTSSendMessageW(
        None, session, title, 2 * len(title), text, 2 * len(text), style, seconds, ctypes.byref(answer), True
    )
    return int(answer.value) if shown else 0


def language() -> str:
    """Return the two letters of the system's language, as far as there are texts in it."""
    library = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]  # Windows alone
    return "zh" if library.GetUserDefaultUILanguage() & 0x3FF == CHINESE else "en"
