"""container.state: what the runtime says of containers: which ended, why, and how often they were started again."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from datetime import datetime

from agent.diagnosis.arguments import name
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.words import count_of, moment, size
from agent.heavy.tools import listing, mapping, number, strings
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

# Docker's own, and podman's, which speaks the same (docs.docker.com/reference/api/engine, v1.40).
SOCKETS = {"docker": "/run/docker.sock", "podman": "/run/podman/podman.sock"}
SECONDS = 5.0
MAX_ANSWER = 4 << 20
MAX_CONTAINERS = 200
MANY_RESTARTS = 3

KILLED = "container %(name)s (%(image)s) was killed at %(at)s because its memory of %(limit)s ran out"
LOOPS = (
    "container %(name)s (%(image)s) restarts again and again: %(count)s times so far, it ended with %(code)s at %(at)s"
)
ENDED = "container %(name)s (%(image)s) ended at %(at)s with exit code %(code)s"
NO_START = "container %(name)s (%(image)s) could not be started: %(error)s"
SICK = "container %(name)s (%(image)s) runs, but its health check fails (%(count)s times in a row)"
PAUSED = "container %(name)s (%(image)s) is paused"
RUNS = "container %(name)s (%(image)s) runs since %(at)s"
FINE = "%(count)s containers run, %(stopped)s ended in order"
NO_SUCH = "There is no container %(name)s; there are: %(names)s"
CLOSED = "%(runtime)s is there, but the agent may not ask it (%(error)s)"

ROW = {
    "name": "name", "image": "name", "state": "name", "code": "number", "restarts": "number", "started": "number",
    "ended": "number", "killed_for_memory": "truth", "memory_limit": "number", "error": "text", "health": "name",
    "failures": "number", "policy": "name",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Which one; "" is all, and the worst is named."""

    name: str = name("")


class OverSocket(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


@diagnosis(
    "container.state", Container, privacy="names", seconds=30, systems=("linux",),
    findings=(KILLED, LOOPS, ENDED, NO_START, SICK, PAUSED, RUNS, FINE, NO_SUCH, CLOSED),
    output={"runtime": "name", "containers": [ROW]},
)  # fmt: skip
def state(look: Look, asked: Container) -> Found:
    """Containers that ended, were killed for memory, restart again and again, or are not healthy."""
    closed = None
    for runtime, path in SOCKETS.items():
        try:
            rows = _containers(look.host.root + path, asked.name)
        except (FileNotFoundError, ConnectionRefusedError):
            continue
        except (OSError, ValueError, http.client.HTTPException) as error:
            closed = Found(CLOSED, {"runtime": runtime, "error": getattr(error, "strerror", None) or str(error)})
            continue
        return _explain(look, runtime, asked.name, rows)
    if closed is not None:
        return closed
    raise NotFound("a runtime of containers (docker or podman)")


def _containers(path: str, wanted: str) -> list[dict[str, object]]:
    listed = [mapping(one) for one in listing(get(path, "/containers/json?all=1"))][:MAX_CONTAINERS]
    names = [(_name(one), strings(one.get("Id"))) for one in listed]
    chosen = [(name, identity) for name, identity in names if wanted in ("", name) or identity.startswith(wanted)]
    rows = [
        of_inspect(mapping(get(path, f"/containers/{identity}/json"))) for _, identity in chosen if identity.isalnum()
    ]
    return rows or [{"name": name} for name, _ in names]


def _name(one: dict[str, object]) -> str:
    names = listing(one.get("Names"))
    return clean(strings(names[0]) if names else "", 128).lstrip("/")


def get(path: str, target: str) -> object:
    """Ask the runtime.

    Raises:
        OSError, http.client.HTTPException: it does not answer.
        ValueError: not with a document.
    """
    connection = OverSocket(path)
    try:
        connection.request("GET", "/v1.40" + target)
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER + 1)
        if answer.status != 200 or len(data) > MAX_ANSWER:
            raise ValueError(f"it answers {answer.status}")
        return json.loads(data)
    finally:
        connection.close()


def of_inspect(told: dict[str, object]) -> dict[str, object]:
    """Return what `GET /containers/ID/json` says; its environment, arguments and mounts are left out."""
    state, config, limits = (mapping(told.get(part)) for part in ("State", "Config", "HostConfig"))
    health = mapping(state.get("Health"))
    return {
        "name": clean(strings(told.get("Name")), 128).lstrip("/"), "image": clean(strings(config.get("Image")), 200),
        "state": clean(strings(state.get("Status")), 32), "code": number(state.get("ExitCode")),
        "restarts": number(told.get("RestartCount")), "started": _time(state.get("StartedAt")),
        "ended": _time(state.get("FinishedAt")), "killed_for_memory": state.get("OOMKilled") is True,
        "memory_limit": number(limits.get("Memory")), "error": strings(state.get("Error")),
        "health": clean(strings(health.get("Status")), 32), "failures": number(health.get("FailingStreak")),
        "policy": clean(strings(mapping(limits.get("RestartPolicy")).get("Name")), 32),
    }  # fmt: skip


def _time(value: object) -> float | None:
    """Return the time of 2026-11-23T10:11:12.123456789Z; year 1 stands for never."""
    text = strings(value)
    try:
        at = datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    except ValueError:
        return None
    return at if at > 0 else None


def _explain(look: Look, runtime: str, wanted: str, rows: list[dict[str, object]]) -> Found:
    data: dict[str, object] = {"runtime": runtime, "containers": [row for row in rows if "state" in row]}
    known = [row for row in rows if "state" in row]
    if not known:
        names = ", ".join(str(row["name"]) for row in rows[:20])
        if not wanted:
            return Found(FINE, {"count": 0, "stopped": 0}, data)
        return Found(NO_SUCH, {"name": wanted, "names": names or "-"}, data)
    verdicts = [(*judge(row), row) for row in known]
    rank, text, row = max(verdicts, key=lambda verdict: verdict[0])
    if rank < 3 and not wanted:
        running = sum(row["state"] == "running" for row in known)
        return Found(FINE, {"count": running, "stopped": len(known) - running}, data)
    at = number(row["started" if text == RUNS else "ended"])
    limit = number(row["memory_limit"]) or 0
    values: dict[str, str | float] = {
        "name": str(row["name"]), "image": str(row["image"]), "at": moment(at, look.now) if at else "?",
        "code": count_of(row["code"]), "error": str(row["error"]),
        "limit": size(limit) if limit else "the machine",
        "count": count_of(row["failures" if text == SICK else "restarts"]),
    }  # fmt: skip
    return Found(text, values, data)


def judge(row: dict[str, object]) -> tuple[int, str]:
    """Return (how bad it is, sentence)."""
    restarts, code = number(row["restarts"]) or 0, number(row["code"]) or 0
    if row["state"] == "restarting" or (row["state"] == "running" and restarts >= MANY_RESTARTS):
        return (8, KILLED) if row["killed_for_memory"] else (7, LOOPS)
    if row["state"] in ("exited", "dead", "created") and row["error"]:
        return 6, NO_START
    if row["killed_for_memory"] and row["state"] != "running":
        return 8, KILLED
    if row["state"] in ("exited", "dead") and code not in (0, 143):
        return 5, ENDED
    if row["health"] == "unhealthy":
        return 4, SICK
    if row["state"] == "paused":
        return 3, PAUSED
    return (1, RUNS) if row["state"] == "running" else (0, ENDED)
