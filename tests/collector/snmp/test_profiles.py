"""Profiles: every family gives what its recording should, the rules find their metrics, bad files are refused."""

import re
from pathlib import Path

import pytest

from collector.snmp.byhand import read_recording
from collector.snmp.errors import ProfileError
from collector.snmp.profile import FALLBACK, Profiles, names, read
from collector.snmp.text import text
from tests.collector.snmp.agent import FOLDER

PROFILES = Profiles.load()
RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.snmprec"))
FAMILIES = sorted(profile.name for profile in PROFILES.by_name.values() if profile.match.objects)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_gives_its_series(name: str) -> None:
    wanted = name if name not in FAMILIES else ""
    found = read_recording(FOLDER / f"{name}.snmprec", PROFILES, wanted)
    assert found.profile == name
    assert found.series == (FOLDER / f"{name}.series").read_text().splitlines()


def test_every_family_has_a_recording() -> None:
    assert set(FAMILIES) - {"net-snmp"} <= set(RECORDINGS)  # net-snmp's is the snmpd that other tests run


def test_the_metrics_that_rules_name_are_those_of_profiles() -> None:
    offered = {metric for name in PROFILES.by_name for metric in names(PROFILES.get(name))}
    table = re.split(r"\n### ", (Path(__file__).parents[3] / "docs" / "rules.md").read_text())
    (section,) = [part for part in table if part.startswith("From SNMP")]
    told = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    assert told <= offered


def test_a_device_of_no_known_family_is_still_asked_for_what_all_have() -> None:
    profile = PROFILES.match("1.3.6.1.4.1.424242.1", "Something new")
    assert profile.name == FALLBACK
    assert {"ifOperStatus", "ifHCInOctets", "ifInOctets", "sysUpTime"} <= set(names(profile))


def test_the_longest_object_id_wins_and_a_prefix_ends_at_a_dot() -> None:
    assert PROFILES.match("1.3.6.1.4.1.318.1.3.27", "APC").name == "apc"
    assert PROFILES.match("1.3.6.1.4.1.99", "").name == FALLBACK
    assert PROFILES.match("1.3.6.1.4.1.8072.3.2.10", "Linux SYNOLOGY_x").name == "synology"
    assert PROFILES.match("1.3.6.1.4.1.8072.3.2.10", "Linux x").name == "net-snmp"


HEAD = "profile: x\ntitle: X\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("profile: [", "not YAML"),
        ("title: X\n", "missing required field `profile`"),
        (HEAD + "nonsense: 1\n", "unknown field `nonsense`"),
        (HEAD + "scalars: [{metric: a, oid: none}]\n", r"\$\.scalars\[0\]\.oid"),
        (HEAD + "scalars: [{metric: 9a, oid: 1.3.6.1}]\n", r"\$\.scalars\[0\]\.metric"),
        (HEAD + "class: toaster\n", "toaster"),
        (HEAD + "tables: [{index: ['a:colour'], metrics: []}]\n", "the types are"),
        (HEAD + "tables: [{index: [a], labels: {b: c}, metrics: []}]\n", "'c' is no OID"),
        (HEAD + "match: {sysDescr: '('}\n", "sysDescr"),
    ],
    ids=["yaml", "no name", "unknown key", "oid", "name", "class", "index", "label", "regex"],
)
def test_a_bad_file_is_refused(content: str, words: str) -> None:
    with pytest.raises(ProfileError, match=rf"x\.yml: (.*{words}|.*)") as caught:
        read(content, "x.yml")
    assert re.search(words, str(caught.value))


def test_profiles_that_do_not_fit_together(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text(HEAD + "inherits: [nothing]\n")
    with pytest.raises(ProfileError, match="nothing, which is not there"):
        Profiles.load(tmp_path)
    (tmp_path / "x.yml").write_text(HEAD + "inherits: [x]\n")
    with pytest.raises(ProfileError, match="inherits from itself"):
        Profiles.load(tmp_path)
    (tmp_path / "x.yml").write_text(HEAD)
    (tmp_path / "y.yml").write_text(HEAD)
    with pytest.raises(ProfileError, match="two profiles named x"):
        Profiles.load(tmp_path)
    with pytest.raises(ProfileError, match="no profile z"):
        PROFILES.get("z")


def test_a_file_that_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "x.snmprec"
    for content in ("1.3.6|4\n", "1.3.6.1|99|x\n", "1.3.6.1|2|x\n", "a|2|1\n"):
        path.write_text("# a comment\n" + content)
        with pytest.raises(ProfileError, match="line 2"):
            read_recording(path, PROFILES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"  uplink \0\0", "uplink"),
        ("Büro".encode(), "Büro"),
        ("Büro".encode("latin-1"), "Büro"),
        ("办公室".encode("gb2312"), "办公室"),
        (b"a\x1b[31mred\x00b\r\n", "a [31mred b"),
        (b"x" * 1000, "x" * 200),
        (None, ""),
        (7, "7"),
    ],
    ids=["padded", "utf-8", "latin-1", "gb2312", "control", "long", "none", "number"],
)
def test_strings_of_any_encoding(value: bytes | int | None, expected: str) -> None:
    assert text(value) == expected
