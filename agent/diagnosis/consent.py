"""Asking people: the question waits at a socket, which whoever sits at the machine may answer, and take back.

The process of the request listens; what speaks to people (agent/diagnosis/prompt.py) runs with their rights, and the
kernel says whose they are. All who sit here must say yes; one no, or no answer in time, is a no. Root may answer for
the machine. A yes is for one request of one class, and ends with the session in which it was said.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agent.diagnosis.errors import Denied
from agent.diagnosis.frame import Job
from agent.diagnosis.policy import Policy
from agent.diagnosis.sessions import Person, is_over, present

RUN = "/run/watchdesk-agent"
PREFIX = "ask-"
PLATFORM: str = sys.platform
MAX_CLIENTS = 16
MAX_LINE = 4_096


class Client:
    """Somebody's connection: whose it is, and what has come."""

    __slots__ = ("data", "socket", "uid")

    def __init__(self, connected: socket.socket, uid: int) -> None:
        self.socket = connected
        self.uid = uid
        self.data = b""

    def send(self, said: Mapping[str, object]) -> None:
        """Tell them; who does not listen misses it."""
        try:
            self.socket.sendall(json.dumps(said).encode() + b"\n")
        except OSError:
            return


class Asked(NamedTuple):
    """What people are asked about now: the request's id, who must answer, and who has said yes."""

    id: str
    people: Sequence[Person]
    yes: dict[int, str]


class Consent:
    """The questions of one process, one after the other."""

    def __init__(
        self,
        folder: str,
        policy: Policy,
        company: str,
        *,
        show: Callable[[str, Sequence[Person]], None],
        sessions: Callable[[], list[Person]] = present,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`show` has the question at a socket shown to people; `company` asks if the policy does not name one."""
        self._folder = folder
        self._policy = policy
        self._company = policy.company or company
        self._show = show
        self._sessions = sessions
        self._monotonic = monotonic
        self._listener: socket.socket | None = None
        self._path = ""
        self._clients: list[Client] = []
        self._asked: Asked | None = None
        self._question: dict[str, object] = {}
        self._taken_back = ""

    def ask(self, job: Job) -> str:
        """Return who said yes.

        Raises:
            Denied: no, or nobody in time.
        """
        self._open()
        self._asked = asked = Asked(job.request.id, self._sessions(), {})
        self._question = question(job, self._company, self._policy.answer_seconds)
        self._show(self._path, asked.people)
        until = self._monotonic() + self._policy.answer_seconds
        try:
            while not self._agreed(asked):
                left = until - self._monotonic()
                if left <= 0:
                    raise Denied("no answer", f"nobody said yes within {self._policy.answer_seconds} s")
                self._listen(min(left, 1.0))
        except Denied:
            self.close()
            raise
        self._tell_all({"state": "running", "id": asked.id})
        return ", ".join(asked.yes.values())

    def _agreed(self, asked: Asked) -> bool:
        needed = {person.uid for person in asked.people}
        return 0 in asked.yes or (bool(asked.yes) and needed <= asked.yes.keys())

    def files(self) -> list[int]:
        """Return what to wait for while it runs."""
        listening = [self._listener.fileno()] if self._listener is not None else []
        return listening + [client.socket.fileno() for client in self._clients]

    def revoked(self) -> str:
        """Return who took the consent back, "" if nobody did."""
        if self._asked is None:
            return ""
        self._listen(0.0)
        for person in self._asked.people:
            if person.uid in self._asked.yes and is_over(person) and self._sessions is present:
                return f"{person.name}, by ending the session,"
        return self._taken_back

    def tell(self, result: Mapping[str, object]) -> None:
        """Show what is sent to those who were asked, and end the question."""
        if self._asked is not None:
            self._tell_all({"state": "sent", "id": self._asked.id, "result": dict(result)})
        self.close()

    def close(self) -> None:
        """Take the question away."""
        for client in self._clients:
            client.socket.close()
        if self._listener is not None:
            self._listener.close()
            os.unlink(self._path)
        self._clients, self._listener, self._asked, self._taken_back = [], None, None, ""

    def _open(self) -> None:
        self.close()
        self._path = os.path.join(self._folder, f"{PREFIX}{os.getpid()}")
        _sweep(self._folder)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self._path)
        os.chmod(self._path, 0o666)  # noqa: S103 - who connects is looked at, see _accept
        self._listener.listen(MAX_CLIENTS)

    def _listen(self, seconds: float) -> None:
        """Take what people say within the time."""
        assert self._listener is not None  # noqa: S101 - for the type checker
        ready, _, _ = select.select([self._listener, *(client.socket for client in self._clients)], [], [], seconds)
        for client in [client for client in self._clients if client.socket in ready]:
            self._hear(client)
        if self._listener in ready:
            self._accept(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        connected, _ = listener.accept()
        uid = peer(connected)
        if len(self._clients) >= MAX_CLIENTS or uid not in self._may_answer():
            connected.close()
            return
        connected.settimeout(2.0)
        client = Client(connected, uid)
        self._clients.append(client)
        running = self._asked is not None and self._agreed(self._asked)
        client.send({"state": "running" if running else "asked", "question": self._question})

    def _may_answer(self) -> set[int]:
        people = {person.uid for person in self._asked.people} if self._asked is not None else set()
        return {0, *people} if people or os.geteuid() == 0 else {0, os.geteuid()}

    def _hear(self, client: Client) -> None:
        try:
            data = client.socket.recv(MAX_LINE)
        except OSError:
            data = b""
        client.data += data
        if not data or len(client.data) > MAX_LINE:
            self._clients.remove(client)
            client.socket.close()
            return
        *lines, client.data = client.data.split(b"\n")
        for line in lines:
            self._heard(client, line)

    def _heard(self, client: Client, line: bytes) -> None:
        said = _document(line)
        asked = self._asked
        if asked is None or said.get("id") != asked.id:
            return
        who = next((person.name for person in asked.people if person.uid == client.uid), f"user {client.uid}")
        answer = said.get("answer")
        if answer == "yes" and not self._agreed(asked):
            asked.yes[client.uid] = who if client.uid else "root"
        elif answer == "no" and self._agreed(asked):
            self._taken_back = who
        elif answer == "no":
            raise Denied("said no", f"{who} said no")

    def _tell_all(self, said: Mapping[str, object]) -> None:
        for client in self._clients:
            client.send(said)


def question(job: Job, company: str, seconds: int) -> dict[str, object]:
    """Return what people must know to answer: who, what exactly, what for, and for how long."""
    request = job.request
    return {
        "id": request.id, "company": company, "by": request.by, "ticket": request.ticket, "name": request.name,
        "about": str(job.diagnosis.describe()["summary"]), "class": job.privacy, "arguments": dict(request.arguments),
        "seconds": job.diagnosis.seconds, "bytes": job.diagnosis.bytes, "answer_seconds": seconds,
    }  # fmt: skip


def peer(connected: socket.socket) -> int:
    """Return whose process is at the other end, as the kernel knows it; -1 if it cannot be known."""
    if PLATFORM == "linux":
        return int(struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
    if PLATFORM == "darwin":  # struct xucred: version, uid, …
        return int(struct.unpack_from("2I", connected.getsockopt(0, 1, 76))[1])
    return -1


def folder_for(state: str, run: str = RUN) -> str:
    """Return where the questions of an agent are: at the system's place if it is the system's agent, else beside its
    state, where only its own user can answer.
    """
    if not state.startswith(("/var/lib/", "/Library/")):
        return state
    if os.geteuid() == 0:
        os.makedirs(run, 0o755, exist_ok=True)
        os.chmod(run, 0o755)  # noqa: S103 - everybody may see that somebody is asked
    return run if os.access(run, os.W_OK) else state


def _sweep(folder: str) -> None:
    """Take away the questions of processes that were killed, and one of our own number."""
    for name in os.listdir(folder):
        pid = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and pid.isdigit() and (int(pid) == os.getpid() or not _lives(int(pid))):
            os.unlink(os.path.join(folder, name))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _document(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
