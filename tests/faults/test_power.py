"""Power that fails at any moment: what was acknowledged is on the disk by then.

A collector runs under strace; what it wrote to its log, synced and answered is played again. At each moment only what
was synced is on the disk: a log of that must have every push that had been answered.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from agent import wire
from agent.wire import Kind
from collector.log import Reader, RecordKind
from tests.e2e.desk import BIN, Desk, Process, eventually
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import prepare, token
from tests.faults.seeds import new_seed
from tests.faults.sender import Sender

PUSHES = 40
_CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(.*)$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_UNFINISHED, _RESUMED = "<unfinished ...>", " resumed>"


class Disk:
    """The log's files as a power failure would leave them, and how many pushes had been answered."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}
        self.synced: dict[str, int] = {}
        self.answered = 0
        self._names: dict[int, str] = {}

    def play(self, lines: Iterable[str]) -> Iterator[str]:
        """Take the lines of strace in their order, and yield what happened that matters.

        A call that another thread interrupts has two lines: an answer counts from the first, all else at the second.
        """
        pending: dict[str, str] = {}
        for line in lines:
            found = _CALL.match(line)
            if found is None:
                continue
            thread, call, rest = found.groups()
            if rest.endswith(_UNFINISHED):
                pending[thread] = rest.removesuffix(_UNFINISHED)
                yield from self._answer(call, pending[thread])
            elif _RESUMED in rest:
                yield from self._done(call, pending.pop(thread, "") + rest.partition(_RESUMED)[2])
            else:
                yield from self._answer(call, rest)
                yield from self._done(call, rest)

    def _answer(self, call: str, rest: str) -> Iterator[str]:
        if call != "openat" and self._name(rest) is None:
            answers = _data(rest).count(b"HTTP/1.1 204")
            self.answered += answers
            if answers:
                yield "answer"

    def _done(self, call: str, rest: str) -> Iterator[str]:
        name = self._name(rest)
        result = rest.rpartition("= ")[2]
        if (
            call == "openat"
            and result.isdigit()
            and (path := _data(rest).decode()).endswith(".log")
            and "/log/" in path
        ):
            self._names[int(result)] = path
            self.written.setdefault(path, b"")
        elif call == "close":
            self._names.pop(_descriptor(rest), None)
        elif call == "write" and name is not None:
            self.written[name] += _data(rest)
            yield "write"
        elif call == "fdatasync" and name is not None and result == "0":
            self.synced[name] = len(self.written[name])
            yield "sync"

    def _name(self, rest: str) -> str | None:
        return self._names.get(_descriptor(rest))


def _descriptor(rest: str) -> int:
    found = re.match(r"\((\d+)", rest)
    return int(found[1]) if found else -1


def _data(rest: str) -> bytes:
    return b"".join(bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(rest))


def sound(disk: Disk, folder: Path, torn: random.Random) -> int:
    """How many frames with rows a log of what is on the disk has; of what was not synced, any part may be there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in disk.written.items():
        end = disk.synced.get(name, 0)
        (folder / Path(name).name).write_bytes(content[: end + torn.randrange(len(content) - end + 1)])
    reader, count = Reader(folder), 0
    while records := reader.read(1 << 62):
        frames = (wire.read_frame(record.body) for record in records if record.kind == RecordKind.FRAME)
        count += sum(frame is not None and frame.kind == Kind.ROWS and frame.epoch < 1 << 62 for frame in frames)
    return count


def trace(desk: Desk, seed: int) -> Path:
    """Let a collector that is traced take some pushes, one after the other; return what strace saw."""
    prepare(desk)
    sender = Sender(desk.port + 1, token(desk), random.Random(seed))
    seen = desk.folder / "trace"
    calls = "trace=openat,close,write,writev,sendto,sendmsg,fdatasync"
    command = ["strace", "-f", "-qq", "-xx", "-s", "1000000", "-e", calls, "-e", "signal=none", "-o", str(seen)]
    command += [str(BIN / "watchdesk"), "--data", str(desk.data), "serve", "--port", str(desk.port)]
    desk.collector = Process(command, desk.folder / "serve.log")
    desk.processes.append(desk.collector)
    eventually(desk.ready, seconds=90, otherwise=desk.collector.output)
    sender.hangs_up = False
    for _ in range(PUSHES):
        sender.read()
        sender.drain()
    (traced,) = subprocess.run(
        ["pgrep", "-P", str(desk.collector.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["kill", "-KILL", traced], check=True)
    desk.collector.popen.wait(30)
    return seen


@pytest.mark.timeout(240)
def test_what_was_acknowledged_is_on_the_disk_at_every_moment(tmp_path: Path) -> None:
    seed = new_seed()
    with run_desk(tmp_path) as desk:
        seen = trace(desk, seed)
    disk, chance = Disk(), random.Random(seed)
    moments = Counter(
        _held(disk, tmp_path / "replayed", chance, f"seed {seed}: after {what}")
        for what in disk.play(seen.read_text().splitlines())
    )
    assert disk.answered == PUSHES, moments
    assert sum(moments.values()) > 3 * PUSHES


def _held(disk: Disk, folder: Path, chance: random.Random, told: str) -> bool:
    found = sound(disk, folder, chance)
    assert found >= disk.answered, told
    return found > disk.answered
