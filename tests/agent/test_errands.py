"""Heavy readings in children: started in time, ended when they hang, taken only when they are whole."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from agent import child, wire
from agent.child import MAX_OUTPUT, Child
from agent.errands import FIRST, MAX_MEMORY, MAX_SERIES, NOTHING_HERE, PAUSE, Errands
from agent.events import Events
from agent.heavy import Heavy, every_heavy, heavy
from tests.agent.collector import TestCollector
from tests.agent.helpers import NOW, Clock, Lines, agent, command, eventually

START = 1_000.0


class Made:
    """Errands whose children run the code that the test gives instead of a reading."""

    def __init__(self, *readings: Heavy, memory: Mapping[str, str] | None = None) -> None:
        self.code: dict[str, str] = {}
        self.started: list[list[str]] = []
        self.kept: list[Mapping[str, str]] = []
        self.log = Lines()
        clock = Clock()
        self.events = Events(clock, clock)
        self.errands = Errands(
            readings, ["--state", "x"], self.start, self.events, self.log, START, memory=memory,
            remember=lambda kept: self.kept.append(dict(kept)),
        )  # fmt: skip

    def start(self, words: Sequence[str]) -> Child:
        self.started.append(list(words))
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        command = [sys.executable, "-I", "-S", "-c", self.code[words[words.index("errand") + 1]]]
        pid = os.posix_spawn(
            sys.executable, command, {}, file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)], setpgroup=0
        )
        os.close(write_end)
        return Child(pid, read_end)

    def through(self, now: float) -> None:
        """Step until the child that runs has ended."""
        eventually(lambda: self.errands.step(now))


@pytest.fixture
def made() -> Iterator[Made]:
    made = Made(Heavy("one", 100.0, budget=10.0))
    yield made
    made.errands.close()


def test_it_runs_when_it_is_due_and_what_it_brought_is_told_from_then_on(made: Made) -> None:
    made.code["one"] = r"print('= node_a{b=\"c d\"} 1.5'); print('= node_b 2'); print('.')"
    assert not made.errands.step(START)
    assert (made.started, made.errands.until) == ([], START + FIRST)
    made.errands.step(START + FIRST)
    assert made.started == [["--state", "x", "errand", "one", "10"]]
    assert made.errands.file >= 0
    made.through(START + FIRST + 1)
    readings = made.errands.readings()
    assert (readings['node_a{b="c d"}'], readings["node_b"]) == (1.5, 2.0)
    assert readings['watchdesk_probe_success{probe="one"}'] == 1.0
    assert made.errands.file == -1
    made.errands.step(START + FIRST + 50)
    assert len(made.started) == 1
    made.errands.step(START + FIRST + 100)
    assert len(made.started) == 2


def test_two_that_are_due_run_one_after_the_other() -> None:
    made = Made(Heavy("one", 100.0), Heavy("two", 100.0))
    made.code = dict.fromkeys(("one", "two"), "print('.')")
    now = START + FIRST
    made.errands.step(now)
    made.errands.step(now)
    assert len(made.started) == 1
    made.through(now)
    made.errands.step(now)
    assert len(made.started) == 1
    made.errands.step(now + PAUSE)
    assert [words[3] for words in made.started] == ["one", "two"]
    made.errands.close()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('= node_a 1')", "without a word"),
        ("print('= node_a 1'); print('? ValueError: what it was')", "what it was"),
        ("raise SystemExit(3)", "without a word"),
        ("import os; os.kill(os.getpid(), 9)", "without a word"),
    ],
)
def test_one_that_does_not_come_to_its_end_gives_nothing(made: Made, code: str, error: str) -> None:
    made.code["one"] = code
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    assert made.errands.readings()['watchdesk_probe_success{probe="one"}'] == 0.0
    assert "node_a" not in made.errands.readings()
    assert error in made.errands.list["one"].error
    assert any("errand failed" in line for line in made.log.lines)


def test_one_that_hangs_is_ended_with_all_that_it_started(made: Made, tmp_path: Path) -> None:
    made.code["one"] = (
        "import os, time; pid = os.posix_spawn('/bin/sleep', ['sleep', '600'], {});"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(pid)); time.sleep(600)"
    )
    made.errands.step(START + FIRST)
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert not made.errands.step(START + FIRST + 9)
    assert made.errands.step(START + FIRST + 10)
    assert made.errands.list["one"].state == "hung"
    grandchild = int((tmp_path / "pid").read_text())

    def gone() -> bool:
        try:
            return "Z" in Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2]
        except OSError:
            return True

    eventually(gone)


def test_a_flood_is_bounded(made: Made) -> None:
    made.code["one"] = "for n in range(10_000): print(f'= node_{n} 1')\nprint('.')"
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    errand = made.errands.list["one"]
    assert (len(errand.readings), errand.dropped) == (MAX_SERIES, 10_000 - MAX_SERIES)


def test_one_that_writes_without_end_is_ended(made: Made) -> None:
    made.code["one"] = "import os\nwhile True: os.write(1, b'= node_x 1\\n' * 5000)"
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    assert made.errands.list["one"].state == "failed"
    assert MAX_OUTPUT < 1 << 23


def test_rubbish_between_good_lines_is_left_out(made: Made) -> None:
    made.code["one"] = (
        'import os; os.write(1, b\'\\xff\\xfe\\x00\\n= node_a 1\\n! nonsense\\n! {"type":1}\\n=\\n\\n' + r".\n')"
    )
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    assert made.errands.list["one"].readings == {"node_a": 1.0}
    assert made.errands.list["one"].dropped == 2


def test_a_value_that_is_none_is_left_out(made: Made) -> None:
    made.code["one"] = "print('= node_a one'); print('= node_b nan'); print('= node_c 1'); print('.')"
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    assert (made.errands.list["one"].readings, made.errands.list["one"].dropped) == ({"node_c": 1.0}, 2)


def test_one_that_found_nothing_of_its_kind_is_not_asked_soon_again(made: Made) -> None:
    made.code["one"] = "print('.')"
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    assert made.errands.list["one"].due == START + FIRST + NOTHING_HERE
    assert 'watchdesk_probe_success{probe="one"}' not in made.errands.readings()


def test_its_events_and_inventory_go_on(made: Made) -> None:
    event = {"type": "log", "source": "sshd", "level": "error", "text": "no", "t": NOW, "attributes": {}}
    made.code["one"] = f"print('! ' + {json.dumps(event)!r}); print('I {{\"data\":{{}}}}'); print('.')"
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    first, second = made.events.drain()
    assert json.loads(first)["source"] == "sshd"
    assert second == b'{"data":{}}'


def test_what_it_wants_to_know_next_time_is_kept_and_handed_over() -> None:
    made = Made(Heavy("one", 100.0), memory={"one": '{"n": 1}'})
    made.code["one"] = f"print('M {{\"n\": 2}}'); print('M ' + 'x' * {MAX_MEMORY + 1}); print('.')"
    made.errands.step(START + FIRST)
    assert made.started[0][-1] == '{"n": 1}'
    made.through(START + FIRST)
    assert made.kept == [{"one": '{"n": 2}'}]


def test_it_may_say_when_it_wants_to_come_again(made: Made) -> None:
    made.code["one"] = "print('W 7'); print('.')"
    made.errands.step(START + FIRST)
    made.through(START + FIRST)
    assert made.errands.list["one"].due == START + FIRST + 7


def test_one_on_demand_is_taken_soon_but_not_too_often(made: Made) -> None:
    asked = Heavy("top", 300.0, on_demand=True)
    made.code["top"] = "print('.')"
    made.errands.ask(asked, START)
    made.errands.step(START)
    assert made.started[0][3] == "top"
    made.through(START)
    assert made.errands.list["top"].due > START + 1e9
    for second in range(1, 300):
        made.errands.ask(asked, START + second)
    assert made.errands.list["top"].due == START + 300


def test_no_process_can_be_had(made: Made) -> None:
    def refuse(_words: Sequence[str]) -> Child:
        raise OSError(11, "Resource temporarily unavailable")

    made.errands._start = refuse
    assert not made.errands.step(START + FIRST)
    assert made.errands.list["one"].state == "failed"


def test_no_child_is_left_when_the_agent_stops(made: Made) -> None:
    made.code["one"] = "import time; time.sleep(600)"
    made.errands.step(START + FIRST)
    pid = made.errands._child.pid if made.errands._child else 0
    made.errands.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_each_systems_table_names_readings_that_are_there(platform: str) -> None:
    folder = Path(child.__file__).parent / "heavy"
    for one in every_heavy(platform).values():
        assert "def read(task: Task" in (folder / f"{one.module}.py").read_text(), one.module
    assert {one.name for one in heavy(platform)} <= every_heavy(platform).keys()


@pytest.mark.parametrize("name", sorted(every_heavy("linux")))
def test_each_reading_of_linux_runs_on_this_machine(name: str, tmp_path: Path) -> None:
    """Whatever this machine has: it comes to its end, and what it gives is in notation."""
    started = child.start(["--state", str(tmp_path), "errand", name, "60"])
    eventually(started.ended, 90)
    lines = started.output().decode().splitlines()
    started.close()
    assert lines[-1:] == ["."], lines
    for line in lines:
        if line.startswith("= "):
            wire.read_series(line[2:].rpartition(" ")[0])
        if line.startswith(("! ", "I ", "M ")):
            json.loads(line[2:])


def test_an_unknown_reading_says_what_there_is(tmp_path: Path) -> None:
    started = child.start(["--state", str(tmp_path), "errand", "nonsense", "5"])
    eventually(started.ended)
    assert b"? ValueError: no reading nonsense; there are: " in started.output()
    started.close()


def test_a_running_agent_sends_them(collector: TestCollector, state: Path) -> None:
    off = "".join(f"probe.{one.name} = off\n" for one in heavy("linux") if one.name != "inventory")
    config = "interval = 1\nheavy.delay = 1\ncheck.here = nagios /bin/echo 'OK | load=1.5;2;3'\n" + off
    with agent(state, config=config):
        name = 'watchdesk_check_perfdata{check="here",label="load"}'
        eventually(lambda: any(row.values.get(name) == 1.5 for row in collector.rows()), 60)
        eventually(lambda: inventories(collector), 60)
        assert set((state / "memory").read_text().split(" = {")[0].split()) <= {"checks", "inventory"}
    said = inventories(collector)
    assert len(said) == 1
    assert said[0]["data"]["software"]


def inventories(collector: TestCollector) -> list[dict[str, dict[str, object]]]:
    told = [json.loads(payload) for kind, payload in collector.taken.frames.values() if kind == wire.Kind.EVENT]
    return [one for one in told if one["type"] == "inventory"]


def test_a_person_can_see_what_a_heavy_reading_sends(state: Path) -> None:
    done = command("probe", "inventory", state=state)
    assert done.returncode == 0, done.stderr
    assert "# TYPE watchdesk_inventory_change_timestamp_seconds gauge" in done.stdout
    assert '#  "type": "inventory",' in done.stdout
    nothing = command("probe", "checks", state=state)
    assert (nothing.returncode, "finds nothing of its kind" in nothing.stderr) == (1, True)


def test_status_tells_them_too(collector: TestCollector, state: Path) -> None:
    with agent(state):
        eventually(lambda: collector.rows())
        told = json.loads(command("status", "--json", state=state).stdout)
        assert told["probes"]["smart"]["state"] == "waiting"
