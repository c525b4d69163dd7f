"""The trail: whatever is missing, changed, moved or cut is found; a full disk does not end it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.diagnosis import audit
from agent.diagnosis.audit import FILE, HEAD, OLD, RESERVE, Audit, verify
from tests.agent.helpers import NOW


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """A folder with a trail of nine entries."""
    for number in range(9):
        Audit(str(tmp_path)).append(NOW + number, "done", {"id": str(number), "arguments": {"count": number}})
    return tmp_path


def test_a_trail_that_nobody_touched_is_whole(trail: Path) -> None:
    assert verify(str(trail)) == []
    assert Audit(str(trail)).head()[0] == 9
    assert [entry["id"] for _, entry in audit.entries(str(trail))] == [str(number) for number in range(9)]


def _without(lines: list[bytes]) -> list[bytes]:
    return lines[:4] + lines[5:]


def _changed(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"count":3', b'"count":4') for line in lines]


def _moved(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def _forged(lines: list[bytes]) -> list[bytes]:
    """Change an entry and give it the right hash, which the next one does not hold."""
    entry = json.loads(lines[3])
    del entry["hash"]
    entry["arguments"] = {}
    return [*lines[:3], audit.seal(entry)[0], *lines[4:]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_without, "missing or moved"),
        (_changed, "the entry was changed"),
        (_moved, "missing or moved"),
        (_forged, "does not continue"),
        (lambda lines: lines[1:], "those before it are missing"),
        (lambda lines: lines[:-1], "are missing"),
        (lambda lines: lines[:-3], "are missing"),
        (lambda _lines: [], "are missing"),
        (lambda lines: [*lines[:4], b"rubbish\n", *lines[4:]], "the entry was changed"),
        (lambda lines: [*lines[:4], lines[4][:30] + b"\n", *lines[5:]], "the entry was changed"),
        (lambda lines: [*lines, lines[-1]], "missing or moved"),
    ],
    ids=["missing", "changed", "moved", "forged", "first", "last", "tail", "all", "rubbish", "torn", "twice"],
)
def test_whatever_was_done_to_it_is_found(trail: Path, change: Callable[[list[bytes]], list[bytes]], what: str) -> None:
    lines = (trail / FILE).read_bytes().splitlines(keepends=True)
    (trail / FILE).write_bytes(b"".join(change(lines)))
    wrong = verify(str(trail))
    assert wrong
    assert any(what in one for one in wrong)


def test_what_was_cut_stays_missing_when_the_trail_goes_on(trail: Path) -> None:
    lines = (trail / FILE).read_bytes().splitlines(keepends=True)
    (trail / FILE).write_bytes(b"".join(lines[:-2]))
    Audit(str(trail)).append(NOW, "done", {})
    assert any("missing or moved" in one for one in verify(str(trail)))


def test_a_head_that_is_missing_or_another(trail: Path) -> None:
    said = (trail / HEAD).read_text()
    (trail / HEAD).write_text(said.replace("9:", "8:"))
    assert verify(str(trail)) == [f"{HEAD} is not of the last entry"]
    (trail / HEAD).unlink()
    assert verify(str(trail))[0].startswith(f"{HEAD} is missing")


def test_a_crash_between_an_entry_and_its_head_is_no_fault(trail: Path) -> None:
    before = (trail / HEAD).read_bytes()
    Audit(str(trail)).append(NOW, "done", {})
    (trail / HEAD).write_bytes(before)
    assert verify(str(trail)) == []
    Audit(str(trail)).append(NOW, "done", {})
    assert verify(str(trail)) == []
    assert Audit(str(trail)).head()[0] == 11


def test_a_line_that_power_cut_short_does_not_spoil_the_next(trail: Path) -> None:
    with (trail / FILE).open("ab") as file:
        file.write(b'{"n":10,"be')
    Audit(str(trail)).append(NOW, "done", {})
    assert [one.partition(": ")[2] for one in verify(str(trail))] == ["the entry was changed"]


def test_it_rolls_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ROLL_AT", 2_000)
    for number in range(30):
        Audit(str(tmp_path)).append(NOW, "done", {"id": str(number)})
    assert (tmp_path / OLD).exists()
    assert verify(str(tmp_path)) == []
    (tmp_path / OLD).unlink()
    assert "those before it are missing" in verify(str(tmp_path))[0]


def test_a_very_long_entry_is_shortened(tmp_path: Path) -> None:
    Audit(str(tmp_path)).append(NOW, "refused", {"arguments": {"x": "y" * 100_000}, "reason": "z" * 1_000})
    assert (tmp_path / FILE).stat().st_size < 1_000
    assert verify(str(tmp_path)) == []


def test_room_is_held_for_a_full_disk(trail: Path) -> None:
    assert (trail / RESERVE).stat().st_size == audit.RESERVED
