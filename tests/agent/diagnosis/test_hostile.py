"""A collector in an attacker's hands against a real agent: nothing executes, changes or leaves; all is on record."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.diagnosis.arguments import spec
from agent.diagnosis.audit import entries, verify
from agent.diagnosis.catalogue import catalogue
from agent.diagnosis.request import MAX_REQUESTS
from agent.state import FILES, FOLDERS
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.agent.diagnosis.asker import Asker, answer
from tests.agent.helpers import AgentProcess, agent, enrolled, eventually

METACHARACTERS = (
    "; touch {mark}", "$(touch {mark})", "`touch {mark}`", "| touch {mark}", "&& touch {mark} #", "\ntouch {mark}\n",
    "' ; touch {mark} ; '", "../../../../bin/touch {mark}", "{mark}\x00", "__import__('os').system('touch {mark}')",
    "-oProxyCommand=touch {mark}", "--output={mark}",
)  # fmt: skip
VERBS = (
    "", "shell", "exec", "run", "update", "uninstall", "config", "restart", "read", "write", "download", "../errand",
    "errand", "memory", "memory.", "memory.by_process\n", "MEMORY.BY_PROCESS", "agent.errand", "os.system",
    "__import__", "screen.show", "input.type", "disk.wipe", "file.read", "file.write", "process.kill",
)  # fmt: skip


class Victim:
    """A real agent, the collector that has turned against it, and what that collector can sign."""

    def __init__(self, collector: TestCollector, state: Path, process: AgentProcess, asker: Asker) -> None:
        self.collector = collector
        self.state = state
        self.process = process
        self.asker = asker

    def trail(self) -> list[dict[str, Any]]:
        """Return the entries of the local audit."""
        return [entry for _, entry in entries(str(self.state))]

    def send(self, body: bytes, attempts: int = 1) -> list[dict[str, Any]]:
        """Give an answer to the call that is held, and return what the audit has of it when all was dealt with."""
        before = len(self.trail())
        self.collector.waiting.put(body)

        def dealt_with() -> bool:
            ends = [entry for entry in self.trail()[before:] if entry["event"] not in ("running", "asking")]
            return len(ends) >= attempts

        eventually(dealt_with, 60)
        return self.trail()[before:]

    def send_all(self, signed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send requests of which nothing is run, as many as an answer may hold in each; return their entries."""
        parts = [signed[at : at + MAX_REQUESTS] for at in range(0, len(signed), MAX_REQUESTS)]
        ends = [entry for part in parts for entry in self.send(answer(*part), len(part))]
        return [entry for entry in ends if entry["event"] != "running"]

    def outcome(self, **request: Any) -> dict[str, Any]:
        """Send one request that the collector's own key has signed, and return the last entry of the audit about it."""
        return self.send(answer(self.asker.request(**request)))[-1]


@pytest.fixture(scope="module")
def victim(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """One agent for all of it: what comes later finds it alive still."""
    asker = Asker()
    with running(authority) as collector:
        collector.diagnosis_key = asker.key
        collector.hold = 30
        state = enrolled(collector, tmp_path_factory.mktemp("hostile") / "state")
        (state / "policy.toml").write_text('names = "allow"\ncontent = "deny"\nbudget = 10000\n')
        with agent(state) as process:
            yield Victim(collector, state, process, asker)
            assert process.alive
            assert verify(str(state)) == []


def snapshot(victim: Victim) -> set[str]:
    """Return the programs that run below the agent."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == victim.process.pid and words[0]:  # one that has just ended has no words any more
            found.add(words[0].decode())
    return found


def test_a_sound_request_shows_that_the_way_is_open(victim: Victim) -> None:
    request = victim.asker.payload(arguments={"count": 2})
    entry = victim.send(answer(victim.asker.sign(request)))[-1]
    assert entry["event"] == "done"
    eventually(lambda: any(one["id"] == request["id"] and one["state"] == "done" for one in victim.collector.results))
    (result,) = [one for one in victim.collector.results if one["id"] == request["id"] and one["state"] == "done"]
    assert result["sha256"] == entry["sha256"]
    assert result["finding"] == entry["finding"]
    assert len(result["data"]["processes"]) == 2
    assert result["audit"].startswith(f"{entry['n']}:")


def test_verbs_that_there_are_not(victim: Victim) -> None:
    entries_of = victim.send_all([victim.asker.request(verb) for verb in VERBS])
    assert {entry["event"] for entry in entries_of} == {"refused"}
    assert {entry["reason"].split(":")[0] for entry in entries_of} == {"unknown", "malformed"}


def test_every_verb_with_metacharacters(victim: Victim, tmp_path: Path) -> None:
    """Each argument of each diagnosis that takes a text has some of them; all together are a lot of answers."""
    texts = [text.format(mark=tmp_path / "mark") for text in METACHARACTERS]
    attempts: list[tuple[str, dict[str, object]]] = [("memory.by_process", {"count": text}) for text in texts]
    attempts += [("memory.by_process", {text: 1}) for text in texts]
    for name, entry in catalogue().items():
        for number, (argument, bounds) in enumerate(spec(entry.arguments).items()):
            some = texts[number % 6 :: 6] if bounds["type"] == "text" else texts[number % 12 :: 12]
            attempts += [(name, {argument: text}) for text in some]
    entries_of = victim.send_all([victim.asker.request(name, arguments=given) for name, given in attempts])
    # A process may be called anything, so that some of it is a fair question, to which there is no answer.
    assert {entry["event"] for entry in entries_of} <= {"refused", "failed"}, entries_of
    assert sum(entry["event"] == "refused" for entry in entries_of) > len(attempts) * 0.8
    assert not any(tmp_path.iterdir())


WRONG: dict[str, dict[str, Any]] = {
    "an older protocol": {"v": 0},
    "a newer protocol": {"v": 2},
    "another kind": {"kind": "shell"},
    "an action": {"kind": "action", "dry_run": False},
    "another device": {"device": "server.hq.acme"},
    "another customer": {"device": "pc.hq.other"},
    "expired": {"issued": 1_600_000_000, "expires": 1_600_000_300},
    "from the future": {"issued": 4_000_000_000, "expires": 4_000_000_300},
    "for ever": {"expires": 4_000_000_000},
    "a command": {"command": "id"},
    "a path as id": {"id": "../../../../../../../../../../etc/x"},
    "arguments of a list": {"arguments": ["a"]},
    "an unknown argument": {"arguments": {"shell": "id"}},
    "an argument out of bounds": {"arguments": {"count": 10**9}},
    "an argument of another type": {"arguments": {"count": [1]}},
    "no arguments at all": {"arguments": None},
    "control characters": {"by": "person:\x1b]0;x\x07"},
}


def test_requests_that_its_own_key_has_signed(victim: Victim) -> None:
    ids = [str(uuid.uuid4()) for _ in WRONG]
    signed = [victim.asker.request(**{"id": name, **wrong}) for name, wrong in zip(ids, WRONG.values(), strict=True)]
    entries_of = victim.send_all(signed)
    assert [entry["event"] for entry in entries_of] == ["refused"] * len(WRONG)
    assert {one["state"] for one in victim.collector.results if one["id"] in ids} <= {"refused"}


def test_the_same_bytes_again(victim: Victim) -> None:
    signed = victim.asker.request()
    assert victim.send(answer(signed))[-1]["event"] == "done"
    assert victim.send(answer(signed))[-1]["reason"].startswith("replayed")
    seen = victim.send(answer(*[signed] * 16), 16)
    assert {entry["event"] for entry in seen} == {"refused"}


def test_an_id_that_is_known_is_answered_again_and_not_run(victim: Victim) -> None:
    identity = str(uuid.uuid4())
    assert victim.outcome(id=identity)["event"] == "done"
    assert victim.outcome(id=identity)["event"] == "repeated"
    eventually(lambda: sum(one["id"] == identity and one["state"] == "done" for one in victim.collector.results) == 2)
    first, second = (one for one in victim.collector.results if one["id"] == identity and one["state"] == "done")
    assert first == second


def test_the_signature_of_another_key(victim: Victim) -> None:
    stranger = Asker()
    before = len(victim.collector.results)
    assert victim.send(answer(stranger.request()))[-1]["reason"].startswith("key")
    forged = {**stranger.request(), "key": victim.asker.key_id}
    assert victim.send(answer(forged))[-1]["reason"].startswith("signature")
    swapped = {**victim.asker.request(), "payload": victim.asker.request()["payload"]}
    assert victim.send(answer(swapped))[-1]["reason"].startswith("signature")
    assert len(victim.collector.results) == before  # nothing is answered to who is nobody


@pytest.mark.parametrize(
    "body",
    [b"rm -rf /", b'{"requests": 1}', b"[" * 60_000, b'"' * 200_000],
    ids=["text", "number", "brackets", "long"],
)
def test_rubbish(victim: Victim, body: bytes) -> None:
    assert victim.send(body)[-1]["event"] == "refused"


def test_an_answer_without_end_is_none(victim: Victim) -> None:
    """More than the agent reads of any answer: the call fails, and the next one is sound again."""
    victim.collector.waiting.put(b"x" * 300_000)
    assert victim.outcome()["event"] == "done"


def test_what_the_policy_denies(victim: Victim) -> None:
    policy = victim.state / "policy.toml"
    kept = policy.read_text()
    policy.write_text(kept.replace('names = "allow"', 'names = "deny"'))
    entry = victim.outcome()
    assert (entry["event"], entry["reason"].split(":")[0]) == ("denied", "policy")
    policy.write_text(kept)
    policy.chmod(0o666)
    assert victim.outcome()["event"] == "denied"
    policy.chmod(0o600)
    assert victim.outcome()["event"] == "done"
    policy.write_text(kept.replace("10000", "1"))
    assert victim.outcome()["reason"].startswith("budget")
    policy.write_text(kept)


def test_what_it_was_told_is_counted_and_raises_alarm(victim: Victim) -> None:
    victim.send(b"rubbish")
    name = 'watchdesk_agent_diagnosis_refused_total{reason="malformed"}'
    eventually(lambda: (victim.collector.latest(name) or 0.0) > 0)
    events = [event for event in victim.collector.said(4) if event["type"] == "security"]
    assert {event["source"] for event in events} == {"diagnosis"}
    assert {event["level"] for event in events} == {"error"}
    assert all("refused a request of the collector" in str(event["text"]) for event in events)


def test_another_key_is_not_taken_for_the_collectors(victim: Victim) -> None:
    pinned = (victim.state / "diagnosis.key").read_text()
    victim.collector.diagnosis_key = Asker().key
    assert victim.send(answer(Asker().request()))[-1]["reason"].startswith("key")
    assert (victim.state / "diagnosis.key").read_text() == pinned
    victim.collector.diagnosis_key = victim.asker.key


def test_after_all_that_nothing_has_changed(victim: Victim) -> None:
    """The files of the agent are those that it makes, its configuration is as it was, and only its own program runs."""
    assert {path.name for path in victim.state.iterdir()} <= {*FILES, *FOLDERS}
    assert (victim.state / "agent.conf").read_text() == "interval = 1\n"
    assert all("python" in name for name in snapshot(victim))
    sent = [json.loads(path.read_text()) for path in (victim.state / "sent").iterdir()]
    assert {one["name"] for one in sent if one["state"] == "done"} == {"memory.by_process"}
    assert victim.process.alive
