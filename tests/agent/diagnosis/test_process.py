"""Who takes the processor and the memory: real processes that run away."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import process as module
from agent.diagnosis.errors import NotFound
from agent.diagnosis.processes import Process, ancestors, of_stat, processes, starter, traffic
from agent.diagnosis.words import command_line, moment, shown_path, size
from agent.probes.host import Host
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.helpers import ROOT, eventually
from tests.agent.recorded import lay


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A process that says when it is ready."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def test_a_runaway_process_is_found_with_its_parent(tmp_path: Path) -> None:
    """In a process namespace, where no test that runs beside it takes the processor."""
    (tmp_path / "runaway.py").write_text("while True: pass\n")
    cron = tmp_path / "cron"
    cron.symlink_to("/bin/sh")
    # Who started the shell is to blame, not the shell.
    job = f"sh -c 'cd {tmp_path}; nice -n -10 {sys.executable} -m runaway --password=hunter2; true'; true"
    script = '"$1" -c "$2" & sleep 0.5; shift 2; exec "$@"'
    agent = [sys.executable, "-m", "agent", "diagnose", "process.top"]
    done = subprocess.run(
        ["unshare", "-pfm", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", str(cron), job, *agent],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "-m runaway --password=[redacted] (pid " in found["finding"]
    assert ", started by cron, uses " in found["finding"]
    first = found["data"]["processes"][0]
    assert first["percent"] > 0
    assert [name.partition(" ")[0] for name in first["parents"]][:2] == ["sh", "cron"]
    assert "hunter2" not in done.stdout


def below(pid: int) -> list[str]:
    """Return the numbers of a process' children."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_process_with_those_it_has_started() -> None:
    with running("sh", "-c", "sleep 600 & sleep 601 & echo ready; wait") as started:
        names = [Path(f"/proc/{pid}/comm") for pid in below(started.pid)]
        eventually(lambda: {name.read_text() for name in names} == {"sleep\n"}, 60)  # each was a shell at first
        found = diagnose("process.tree", pid=started.pid)
        children = found["data"]["children"]
        assert {row["command"] for row in children} == {"sleep 600", "sleep 601"}
        assert f"(pid {started.pid}) was started by " in found["finding"]
        assert "with 2 processes below it" in found["finding"]
        for row in children:
            os.kill(row["pid"], 9)


def test_who_holds_the_memory(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/1/stat": stat(1, "systemd", 0, 3_000), "proc/77/stat": stat(77, "java", 1, 1_500_000)})
    lay(tmp_path, {"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 100000 kB\n"})
    found = diagnose("memory.by_process", look(tmp_path))
    assert found["finding"].startswith("java (pid 77), started by systemd, holds 6.1 GB of 8.2 GB memory")
    lay(tmp_path, {f"proc/{pid}/stat": stat(pid, "php-fpm", 1, 400_000) for pid in range(100, 108)})
    (tmp_path / "proc/77/stat").unlink()
    assert diagnose("memory.by_process", look(tmp_path))["finding"] == (
        "8 processes php-fpm together hold 13 GB of 8.2 GB memory; started by systemd"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [("Shmem: 5000000 kB\n", "Files in memory"), ("SUnreclaim: 5000000 kB\n", "The kernel itself"),
     ("HugePages_Total: 2000\nHugepagesize: 2048 kB\n", "Huge pages keep 4.2 GB"), ("", "No single process explains")],
)  # fmt: skip
def test_memory_that_no_process_holds(tmp_path: Path, line: str, said: str) -> None:
    lay(tmp_path, {"proc/1/stat": stat(1, "init", 0, 10), "proc/meminfo": "MemTotal: 8000000 kB\n" + line})
    assert diagnose("memory.by_process", look(tmp_path))["finding"].startswith(said)


def stat(pid: int, name: str, parent: int, pages: int) -> str:
    return f"{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 10 10 0 0 20 0 1 0 100 1 {pages} 0 0"


def test_a_real_memory_hog() -> None:
    code = "x = bytearray(b'1' * 200_000_000); print('ready', flush=True); import time; time.sleep(600)"
    with running(sys.executable, "-c", code) as hog:
        rows = diagnose("memory.by_process", count=50)["data"]["processes"]
        mine = next(row for row in rows if row["pid"] == hog.pid)
        assert mine["memory"] > 200_000_000
        assert diagnose("process.top", sort="memory", count=50)["data"]["processes"][0]["memory"] >= mine["memory"]


def test_traffic_with_disks(tmp_path: Path) -> None:
    code = (
        "import os, sys\nf = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
        "print('ready', flush=True)\np = os.getppid()\n"
        "while p == os.getppid(): os.pwrite(f, b'x' * 4_000_000, 0); os.fsync(f)"
    )
    with running(sys.executable, "-c", code, str(tmp_path / "busy")) as busy:
        found = diagnose("process.top", sort="io")
        assert busy.pid in [row["pid"] for row in found["data"]["processes"]]
        assert "a second" in found["finding"]


def test_a_tree_that_is_not_there() -> None:
    assert diagnose("process.tree", name="no-such-program")["finding"] == "There is no process no-such-program"
    assert diagnose("process.tree", pid=4_194_303)["finding"] == "There is no process 4194303"


def test_no_processes(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/1/stat": "garbage"})
    with pytest.raises(NotFound):
        diagnose("process.top", look(tmp_path))


def test_processors_that_wait_or_are_stolen() -> None:
    assert module.shares_of([0] * 8, [10, 0, 10, 40, 20, 0, 0, 20]) == {"busy": 40.0, "iowait": 20.0, "steal": 20.0}
    assert module.shares_of([], [])["busy"] == 0.0


def test_a_circle_of_parents_ends() -> None:
    table = {1: Process(1, 2, "a"), 2: Process(2, 1, "b")}
    assert [one.name for one in ancestors(table, table[1])] == ["b"]
    assert starter(table, table[1]) == "b"
    assert module.descendants(table, table[1]) == [table[2]]


def test_more_processes_than_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.diagnosis.processes.MAX_PROCESSES", 500)
    for pid in range(1, 550):
        folder = tmp_path / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "stat").write_text(stat(pid, "worker", 1, pid))
    assert len(processes(Host(proc=str(tmp_path / "proc")))) == 500


@given(st.text(max_size=200))
def test_fuzz_stat(line: str) -> None:
    of_stat(line)
    traffic(line)
    assert of_stat("7 (" + line + ") S 1 1 1 0 -1 0 0 0 0 0 10 10 0 0 20 0 1 0 100 1 5 0 0") is not None


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["mysql", "-uroot", "-phunter2", "db"], "mysql -uroot -p[redacted] db"),
        (
            ["/usr/bin/curl", "-u", "anna:hunter2", "https://x.example"],
            "/usr/bin/curl -u anna:[redacted] https://x.example",
        ),
        (["curl", "https://anna:hunter2@x.example/a"], "curl https://[redacted]@x.example/a"),
        (["sshpass", "-p", "hunter2", "ssh", "x"], "sshpass -p [redacted] ssh x"),
        (["redis-cli", "-a", "hunter2"], "redis-cli -a [redacted]"),
        (["app", "--db-password", "hunter2", "-v"], "app --db-password [redacted] -v"),
        (["app", "--api-key=hunter2"], "app --api-key=[redacted]"),
        (["snmpwalk", "-v2c", "-c", "hunter2", "host"], "snmpwalk -v2c -c [redacted] host"),
        (["java", "-Dtoken=hunter2", "-jar", "x.jar"], "java -Dtoken=[redacted] -jar x.jar"),
        (["env", "DB_PASSWORD=hunter2", "app"], "env DB_PASSWORD=[redacted] app"),
        (["sh", "-c", "mysql -phunter2"], "sh -c mysql -p[redacted]"),
        ([], ""),
    ],
)
def test_command_lines_lose_their_secrets(words: list[str], shown: str) -> None:
    assert command_line(words) == shown


def test_numbers_and_times_for_people() -> None:
    assert [size(amount) for amount in (0, 999, 1_000, 1_550_000, 24_000_000_000, -5_000)] == [
        "0 bytes", "999 bytes", "1 kB", "1.6 MB", "24 GB", "-5 kB",
    ]  # fmt: skip
    noon = 1_790_000_000.0
    assert len(moment(noon, noon)) == 5
    assert len(moment(noon - 86_400, noon)) == 16
    assert len(shown_path(b"/" + b"x" * 5_000)) <= 300
