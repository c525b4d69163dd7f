"""What fills a disk: real files, on real small file systems."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from agent.diagnosis import disk
from agent.diagnosis.errors import NotFound
from agent.diagnosis.walk import mount_points, unescape, walk
from agent.probes.host import Host
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.helpers import NOW
from tests.disks import small_disk

MB = 1_000_000
DISK = "40m"


def grow(path: Path, megabytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"x" * (megabytes * MB))
    return path


def fill(folder: Path) -> None:
    """Make files until there can be no more."""
    with contextlib.suppress(OSError):
        for number in range(1_000):
            (folder / str(number)).touch()


def test_a_full_disk_is_found_by_what_grew_since_the_last_look(tmp_path: Path) -> None:
    memory: dict[str, object] = {}
    first = time.mktime((2026, 11, 23, 6, 5, 0, 0, 0, -1))
    with small_disk(tmp_path / "disk", DISK) as top:
        grow(top / "srv/data/a", 4)
        grow(top / "var/log/app/old.log", 1)
        diagnose("disk.top_dirs", look(memory=memory, now=first), path=str(top))
        for number in range(4):
            grow(top / f"var/log/app/{number}.log", 5)
        found = diagnose("disk.top_dirs", look(memory=memory, now=first + 8 * 3600), path=str(top))
        assert found["finding"].startswith(f"{top}/var/log/app grew 20 MB since 06:05 and holds 21 MB now; ")
        assert found["data"]["complete"]
        row = next(row for row in found["data"]["directories"] if row["path"] == f"{top}/var/log/app")
        assert row["grown"] == pytest.approx(20 * MB, rel=0.01)
        grow(top / "var/log/app/0.log", 12)
        third = diagnose("disk.top_dirs", look(memory=memory, now=first + 9 * 3600), path=str(top))
        assert "var/log/app grew 12 MB since 14:05, most of it 0.log (17 MB)" in third["finding"]


def test_at_the_first_look_what_is_large_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK) as top:
        grow(top / "home/anna/film.mkv", 20)
        grow(top / "home/anna/small", 1)
        grow(top / "etc/x", 1)
        found = diagnose("disk.top_dirs", path=str(top))
        assert found["finding"].startswith(f"{top}/home/anna holds 21 MB, most of it film.mkv (20 MB, last written ")
        assert found["data"]["files"][0]["path"] == f"{top}/home/anna/film.mkv"


def test_many_small_files_use_up_a_disk_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m,nr_inodes=60") as top:
        (top / "spool").mkdir()
        fill(top / "spool")
        assert diagnose("disk.top_dirs", path=str(top))["finding"].startswith(
            f"{top}/spool has no room for more files: 5"
        )


def test_what_the_files_do_not_explain_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK) as top:
        with grow(top / "gone", 20).open() as kept:
            (top / "gone").unlink()
            said = diagnose("disk.top_dirs", path=str(top))["finding"]
            assert said.startswith(f"The files below {top} hold 0 bytes, but 20 MB are in use: deleted files")
            held = diagnose("disk.deleted_open", path=str(top))
            assert held["finding"] == (
                f"deleted file {top}/gone of 20 MB is still held by {Path('/proc/self/comm').read_text().strip()} "
                f"(pid {os.getpid()})"
            )
            assert held["data"]["files"][0]["fd"] == kept.fileno()
        assert diagnose("disk.deleted_open", path=str(top))["finding"] == (
            f"No process holds deleted files of any size on {top}"
        )


def test_a_process_that_leaks_deleted_files_is_named(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nfor n in range(3):\n f = open(sys.argv[1] + str(n), 'wb'); f.write(b'x' * 3000000)\n"
        " f.flush(); os.unlink(f.name); globals()[f'f{n}'] = f\nprint('ready', flush=True); time.sleep(600)"
    )
    with small_disk(tmp_path / "disk", DISK) as top:
        process = subprocess.Popen([sys.executable, "-c", code, f"{top}/leak"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            process.stdout.readline()
            found = diagnose("disk.deleted_open", path=str(top))
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()
        assert found["finding"].startswith("3 deleted files of together 9 MB are still held by python")
        assert f"(pid {process.pid})" in found["finding"]
        assert found["data"]["bytes"] == pytest.approx(9 * MB, rel=0.02)


def test_a_walk_survives_what_lies_about(tmp_path: Path) -> None:
    grow(Path(os.fsdecode(os.fsencode(tmp_path) + b"/not-\xff-utf8/\xfe")), 1)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "line\nend").mkdir()
    os.mkfifo(tmp_path / "fifo")
    grow(tmp_path / "twice/a", 2)
    os.link(tmp_path / "twice/a", tmp_path / "twice/b")
    found = diagnose("disk.top_dirs", path=str(tmp_path))
    assert found["data"]["directories"][0]["bytes"] == pytest.approx(3 * MB, rel=0.05)
    paths = {row["path"] for row in found["data"]["directories"]}
    assert f"{tmp_path}/not-�-utf8" in paths
    assert f"{tmp_path}/line end" in paths


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_may_not_be_read_is_counted() -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "closed").mkdir(mode=0o700)
        grow(top / "open", 1)
        os.seteuid(65_534)
        try:
            found = diagnose("disk.top_dirs", path=folder)
        finally:
            os.seteuid(0)
        assert found["data"]["unreadable"] == 1
        assert found["data"]["directories"][0]["bytes"] >= MB


def test_a_walk_ends_by_time_and_by_count_and_stays_where_it_began(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number % 3}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 3}/{number}").touch()
    ticks = iter(range(1_000))
    cut = walk(str(tmp_path), frozenset(), 0.0, 1.0, clock=lambda: float(next(ticks)))
    assert not cut.complete
    assert cut.entries == 512
    assert not walk(str(tmp_path), frozenset(), 0.0, 1e18, most=300).complete
    with small_disk(tmp_path / "other", DISK) as other:
        grow(other / "big", 10)
        whole = walk(str(tmp_path), mount_points(Host()), 0.0, 1e18)
        assert whole.complete
        assert whole.root.size < MB
        assert walk(str(tmp_path), frozenset(), 0.0, 1e18).root.size < MB  # by the device, if the table does not tell
        assert "The walk was cut short" not in diagnose("disk.top_dirs", path=str(tmp_path))["finding"]


def test_a_look_that_is_cut_short_says_so(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / str(number)).touch()
    found = diagnose("disk.top_dirs", look(seconds=0.0), path=str(tmp_path))
    assert found["truncated"]
    assert found["finding"].startswith("Seen so far, for the walk was cut short: ")


def test_a_path_that_is_not_there() -> None:
    for name in ("disk.top_dirs", "disk.deleted_open"):
        with pytest.raises(NotFound, match="No such file"):
            diagnose(name, path="/nonexistent")


def test_the_memory_of_looks_stays_small(tmp_path: Path) -> None:
    memory: dict[str, object] = {}
    for number in range(120):
        (tmp_path / f"{number:03}{'x' * 60}").mkdir()
    for at, name in enumerate(f"{number:03}{'x' * 60}" for number in range(10)):
        diagnose("disk.top_dirs", look(memory=memory, now=NOW + at), path=str(tmp_path / name))
    kept = memory["disks"]
    assert isinstance(kept, dict)
    assert len(kept) == disk.LOOKS
    for long in ("a", "b"):
        for number in range(70):
            (tmp_path / f"long-{long}/{number:03}{'y' * 200}").mkdir(parents=True)
        diagnose("disk.top_dirs", look(memory=memory, now=NOW + 20), path=str(tmp_path / f"long-{long}"))
    kept = memory["disks"]
    assert isinstance(kept, dict)
    assert str(tmp_path / "long-b") in kept
    assert len(json.dumps(memory)) < 15_000


def test_escapes_of_the_kernels_tables() -> None:
    assert unescape(rb"/srv/with\040space\011and\134x") == b"/srv/with space\tand\\x"
