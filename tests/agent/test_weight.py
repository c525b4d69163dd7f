"""What the running agent loads: each module here was weighed, and a new one is a decision."""

import subprocess
import sys
from pathlib import Path

from tests.agent.collector import TestCollector
from tests.agent.helpers import ROOT, agent, eventually

# 0.5 to 4 MB each. (typing, re and enum come with agent/wire.py.)
TOO_HEAVY = (
    "argparse asyncio base64 ctypes dataclasses email http inspect json logging pathlib psutil random selectors signal "
    "site socket sqlite3 ssl subprocess tempfile threading traceback urllib uuid encodings.idna"
)


def test_the_running_agent_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import agent.start, agent.status, agent.probes as p;"
        "p.discover(); print('\\n'.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert set(TOO_HEAVY.split()) & set(done.stdout.split()) == set()


def test_run_starts_itself_over_without_site_packages(collector: TestCollector, state: Path) -> None:
    (state / "agent.conf").write_text("interval = 1\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "--state", str(state), "run"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: collector.rows())
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert words[1:3] == [b"-I", b"-S"]
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert "_psutil" not in mapped
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_no_more_threads_than_one_between_readings(collector: TestCollector, state: Path) -> None:
    with agent(state) as process:
        eventually(lambda: len(collector.rows()) > 1)
        eventually(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1)


def test_memory_stays_within_its_bounds(collector: TestCollector, state: Path) -> None:
    """Not the bench's figure, but what would show a leak or a new heavy module at once."""
    with agent(state) as process:
        eventually(lambda: len(collector.rows()) > 3)
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
        private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))
        assert private < 12_000  # KB; 7,500 with Debian's Python
