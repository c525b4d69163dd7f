"""Tasks whose commands answer from recordings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.events import Event
from agent.heavy.tools import NOT_FOUND, Again, Inventory, Output, Task
from agent.probes.host import Host
from tests.agent.helpers import NOW

if TYPE_CHECKING:
    from agent.heavy.tools import Found


class Recorded:
    """Answers the commands whose words begin with a key, the longest one; others are not there. `asked` tells all."""

    def __init__(self, answers: Mapping[str, str | Output]) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    def __call__(self, words: Sequence[str], **_options: object) -> Output:
        self.asked.append(list(words))
        line = " ".join(words)
        known = sorted((key for key in self.answers if line.startswith(key)), key=len)
        if not known:
            return Output(NOT_FOUND, "")
        answer = self.answers[known[-1]]
        return answer if isinstance(answer, Output) else Output(0, answer)


def task(
    answers: Mapping[str, str | Output] | None = None,
    root: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    memory: dict[str, object] | None = None,
    now: float = NOW,
) -> Task:
    """A task on a machine below `root`, whose /proc and /sys are there too."""
    base = str(root) if root is not None else "/nonexistent"
    host = Host(root=base, proc=f"{base}/proc", sys=f"{base}/sys", options=options)
    return Task(host, options or {}, now, memory, Recorded(answers or {}))


def series(found: "Sequence[Found]") -> dict[str, float]:
    """The series of what was found."""
    return {one[0]: one[1] for one in found if isinstance(one, tuple)}


def events(found: "Sequence[Found]") -> list[Event]:
    """The events of what was found."""
    return [one for one in found if isinstance(one, Event)]


def inventories(found: "Sequence[Found]") -> list[Mapping[str, object]]:
    """The parts of the inventories that were found."""
    return [one.parts for one in found if isinstance(one, Inventory)]


def agains(found: "Sequence[Found]") -> list[float]:
    """When the reading wants to come again."""
    return [one.seconds for one in found if isinstance(one, Again)]


def lay(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root
