"""A full disk is what a diagnosis may be about: it is verified, carried out and recorded all the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.diagnosis.audit import RESERVE, verify
from agent.diagnosis.store import Store
from agent.state import State
from tests import disks
from tests.agent.diagnosis.asker import answer
from tests.agent.diagnosis.test_consent import Desk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with disks.small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def fill(disk: Path) -> None:
    """Write until nothing more can be written."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def test_it_is_carried_out_and_recorded_on_a_full_disk(disk: Path) -> None:
    desk = Desk(disk, [], '[diagnoses]\n"memory.by_process" = "allow"\n')
    with desk.store.held():
        desk.store.seen.within(0.0, 0.0)
        desk.store.audit.reserve()
    fill(disk)
    assert os.statvfs(disk).f_bavail == 0
    signed = desk.asker.request()
    for body in (answer(signed), answer(signed)):
        desk.frame.handle(body, len(body))
    assert [one["state"] for one in desk.posted] == ["running", "done"]
    assert [entry["event"] for entry in desk.trail()] == ["running", "done", "refused"]
    assert desk.trail()[-1]["reason"].startswith("replayed")
    assert verify(str(disk)) == []


def test_what_cannot_be_recorded_is_not_done(disk: Path) -> None:
    desk = Desk(disk, [], '[diagnoses]\n"memory.by_process" = "allow"\n')
    with desk.store.held():
        desk.store.seen.within(0.0, 0.0)
        desk.store.audit.reserve()
    (disk / RESERVE).unlink()
    (disk / RESERVE).mkdir()  # so that no room can be had
    fill(disk)
    body = answer(desk.asker.request())
    with pytest.raises(OSError, match=r"space|directory"):
        desk.frame.handle(body, len(body))
    assert desk.posted == []
    assert Store(State(str(disk))).sent() == []
