"""The catalogue: every entry within the caps, every argument within its bounds, every output as it is declared."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from agent.diagnosis import arguments
from agent.diagnosis.arguments import choice, name, number, path, read, spec, target, text, truth, url, whole
from agent.diagnosis.catalogue import (
    CLASSES,
    FAMILIES,
    MAX_BYTES,
    MAX_SECONDS,
    SYSTEMS,
    Diagnosis,
    Found,
    catalogue,
    diagnosis,
    one,
)
from agent.diagnosis.errors import Refusal
from agent.diagnosis.output import MAX_TEXT, OutputError, canonical, cap, finished, sha256
from tests.agent.helpers import command


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """An argument of each kind."""

    host: str = target()
    note: str = text("", most=5)
    unit: str = name("")
    where: str = path("/")
    kind: str = choice("a", "b")
    count: int = whole(3, 1, 5)
    share: float = number(0.5, 0, 1)
    deep: bool = truth()
    address: str = url("")


def an_entry(**changes: Any) -> Diagnosis:
    """An entry that is not in the catalogue."""
    members: dict[str, Any] = {
        "name": "test.it", "function": lambda _look, _asked: Found(""), "arguments": Everything, "findings": ("%(a)s",),
        "output": {"list": [{"n": "number", "who": "name", "said": "text"}], "on": "truth"}, "privacy": "health",
        "cost": "light", "seconds": 1.0, "bytes": 2_000, "systems": SYSTEMS, "raised": {"deep": "content"},
    }  # fmt: skip
    return Diagnosis(**members | changes)


@pytest.mark.parametrize("entry", catalogue().values(), ids=list(catalogue()))
def test_each_entry_can_be_told_and_keeps_the_caps(entry: Diagnosis) -> None:
    told = json.loads(json.dumps(entry.describe()))
    assert told["summary"].endswith(".")
    assert told["privacy"] in CLASSES
    assert set(told["systems"]) <= set(SYSTEMS)
    assert told["systems"]
    assert 0 < entry.seconds <= MAX_SECONDS
    assert 0 < entry.bytes <= MAX_BYTES
    assert set(entry.raised) <= set(told["arguments"])
    for bounds in told["arguments"].values():
        assert bounds["type"] in arguments.TYPES
        if "default" in bounds:
            read_again = read(entry.arguments, {**_required(entry), **_defaults(entry)})
            assert read_again


def _defaults(entry: Diagnosis) -> dict[str, object]:
    return {key: bounds["default"] for key, bounds in spec(entry.arguments).items() if "default" in bounds}


def _required(entry: Diagnosis) -> dict[str, object]:
    """Return something that will do for each argument that must be given."""
    some: dict[str, object] = {"text": "https://a.example/", "int": 1, "float": 1.0, "bool": True}
    found = {}
    for key, bounds in spec(entry.arguments).items():
        if "default" not in bounds:
            found[key] = some[bounds["type"]]
            if bounds["type"] == "text" and not bounds["pattern"].startswith("https"):
                found[key] = "/a" if "/" in bounds["pattern"] else "a"
    return found


def test_each_is_found_in_the_family_that_is_named_for_it() -> None:
    named = {name: family for family, names in FAMILIES.items() for name in names}
    assert {name: entry.function.__module__.rpartition(".")[2] for name, entry in catalogue().items()} == named
    assert one("memory.by_process") is catalogue()["memory.by_process"]
    assert one("memory.all") is None


def test_good_arguments_are_taken_with_their_defaults() -> None:
    asked = read(Everything, {"host": "db.acme.example", "count": 5, "share": 1, "address": "https://a.example:8/x?y"})
    assert asked == Everything(host="db.acme.example", count=5, share=1.0, address="https://a.example:8/x?y")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "host is missing"),
        ({"host": "a", "else": 1}, "no argument 'else'"),
        ({"host": 5}, "host is not of type text"),
        ({"host": "-oProxyCommand=x"}, "host is not what it must be"),
        ({"host": "a;reboot"}, "host is not what it must be"),
        ({"host": "$(reboot)"}, "host is not what it must be"),
        ({"host": "a\nb"}, "host is not what it must be"),
        ({"host": "a", "note": "123456"}, "note is longer"),
        ({"host": "a", "note": "-x"}, "note is not"),
        ({"host": "a", "note": "a\x00"}, "note is not"),
        ({"host": "a", "unit": "--now"}, "unit is not"),
        ({"host": "a", "unit": "../x"}, "unit is not"),
        ({"host": "a", "where": "etc"}, "where is not"),
        ({"host": "a", "where": "/var/../etc"}, "where is not"),
        ({"host": "a", "where": "/.."}, "where is not"),
        ({"host": "a", "where": "C:\\x\\..\\y"}, "where is not"),
        ({"host": "a", "where": "\\\\server\\share"}, "where is not"),
        ({"host": "a", "kind": "c"}, "kind is none of a, b"),
        ({"host": "a", "count": 6}, "count is not between"),
        ({"host": "a", "count": True}, "count is not of type"),
        ({"host": "a", "count": 1.0}, "count is not of type"),
        ({"host": "a", "share": float("nan")}, "share is not between"),
        ({"host": "a", "deep": "yes"}, "deep is not of type"),
        ({"host": "a", "address": "file:///etc/shadow"}, "address is not"),
        ({"host": "a", "address": "http://user:word@b.example/"}, "address is not"),
    ],
)
def test_arguments_out_of_bounds_are_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(Refusal, match=why) as refused:
        read(Everything, given)
    assert refused.value.reason == "arguments"


def test_some_arguments_need_a_higher_class() -> None:
    entry = an_entry()
    assert entry.privacy_of(read(Everything, {"host": "a"})) == "health"
    assert entry.privacy_of(read(Everything, {"host": "a", "deep": True})) == "content"


def test_what_is_found_is_redacted_and_hashed() -> None:
    data = {"list": [{"n": 1, "who": "a\x1b[31mb", "said": "password=hunter2 ok"}], "on": None}
    result = finished(an_entry(), Found("%(a)s", {"a": "token: abc fell"}, data))
    assert result["finding"] == "token: [redacted] fell"
    assert result["data"]["list"][0] == {"n": 1, "who": "a [31mb", "said": "password=[redacted] ok"}
    assert result["sha256"] == sha256(result["data"])
    assert not result["truncated"]


@pytest.mark.parametrize(
    "data",
    [{"other": 1}, {"list": [1]}, {"list": [{"n": "1"}]}, {"on": 1}, {"list": [{"who": 5}]}, {"list": {"n": 1}}],
)
def test_what_is_not_declared_does_not_leave(data: dict[str, object]) -> None:
    with pytest.raises(OutputError):
        finished(an_entry(), Found("%(a)s", {"a": "x"}, data))


def test_a_sentence_that_is_not_declared_does_not_leave() -> None:
    with pytest.raises(OutputError):
        finished(an_entry(), Found("something else"))


def test_too_much_is_cut_at_the_cap() -> None:
    many = [{"n": float(number), "who": "w" * (MAX_TEXT + 50)} for number in range(50)]
    result = finished(an_entry(), Found("%(a)s", {"a": "x"}, {"list": many}))
    assert result["truncated"]
    assert len(canonical(result["data"])) <= 2_000
    assert cap({"list": ["x" * 5_000]}, 100) == ({"list": None}, True)


def test_nobody_takes_a_name_twice_or_more_than_there_is() -> None:
    for wrong in ({"seconds": 500.0}, {"bytes": 1 << 20}, {"findings": ()}):
        with pytest.raises(ValueError, match=r"test\.wrong"):
            diagnosis("test.wrong", **{"privacy": "health", "output": {}, "findings": ("x",)} | wrong)(
                an_entry().function
            )
    with pytest.raises(ValueError, match=r"memory\.by_process"):
        diagnosis("memory.by_process", privacy="health", output={}, findings=("x",))(an_entry().function)


def test_the_catalogue_is_told_as_json_lines() -> None:
    lines = [json.loads(line) for line in command("diagnoses", "--json").stdout.splitlines()]
    assert [line["name"] for line in lines] == list(catalogue())


def test_a_person_here_sees_what_would_be_sent() -> None:
    said = json.loads(command("diagnose", "memory.by_process", "count=2").stdout)
    assert len(said["data"]["processes"]) == 2
    assert said["data"]["processes"][0]["name"] in said["finding"]
    assert said["sha256"] == sha256(said["data"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("memory.all",), "no diagnosis 'memory.all'"),
        (("memory.by_process", "count=many"), "count is not of type int"),
        (("memory.by_process", "size=1"), "no argument 'size'"),
    ],
)
def test_a_wrong_question_says_what_is_wrong(words: tuple[str, ...], why: str) -> None:
    done = command("diagnose", *words)
    assert done.returncode == 1
    assert why in done.stderr
