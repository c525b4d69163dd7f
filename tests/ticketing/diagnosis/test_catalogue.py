"""The provider's copy of the catalogue: it saves devices from questions that they would refuse."""

import pytest

from ticketing.diagnosis.asked import Subject
from ticketing.diagnosis.catalogue import load
from ticketing.errors import Refused

CATALOGUE = load()
AGENT = Subject(1, "fs01.hq.acme", "acme", "linux")
SWITCH = Subject(2, "sw1.hq.acme", "acme", agent=False, polled=True)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("disk.top_dirs", {"path": "/var", "count": "5"}, {"path": "/var", "count": 5}),
        ("disk.top_dirs", {}, {}),
        ("net.capture", {"payload": "yes"}, {"payload": True}),
        ("net.tcp", {"host": "db", "port": 5432}, {"host": "db", "port": 5432}),
    ],
)
def test_arguments_are_read_as_their_types(name: str, given: dict[str, object], expected: dict[str, object]) -> None:
    assert CATALOGUE.find(name).check(given) == expected


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("disk.top_dirs", {"path": "x" * 5000}),
        ("disk.top_dirs", {"path": "/var\n/etc"}),
        ("disk.top_dirs", {"count": "nan"}),
        ("disk.top_dirs", {"count": "1e400"}),
        ("disk.top_dirs", {"count": "51"}),
        ("disk.top_dirs", {"count": None}),
        ("disk.top_dirs", {"paths": "/"}),
        ("process.top", {"sort": "name"}),
        ("net.tcp", {"host": "db"}),
        ("net.capture", {"payload": "perhaps"}),
        ("snmp.mac", {"mac": "nonsense"}),
    ],
)
def test_others_are_refused(name: str, given: dict[str, object]) -> None:
    with pytest.raises(Refused):
        CATALOGUE.find(name).check(given)


def test_an_unknown_name_is_refused() -> None:
    for name in ("shell.run", "", "disk", "disk.top_dirs;ls"):
        with pytest.raises(Refused, match="no diagnosis"):
            CATALOGUE.find(name)


def test_agents_and_network_gear_are_asked_different_things() -> None:
    for entry in CATALOGUE.all():
        assert entry.fits(SWITCH) == entry.name.startswith("snmp.")
        assert not (entry.name.startswith("snmp.") and entry.fits(AGENT))


def test_arguments_may_ask_for_more() -> None:
    capture = CATALOGUE.find("net.capture")
    assert capture.privacy_of({"payload": True}) == "content"
    assert capture.privacy_of({"payload": False}) == "names"
