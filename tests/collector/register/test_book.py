"""The register as a file: what it takes, how it says what is wrong, and that it comes out as it went in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import watchdesk
from collector.cli.devices import register as add_commands
from collector.database import open_database
from collector.errors import RegisterError
from collector.register import Register
from collector.register.book import load

FILE = """
sites:
  hq.acme: {people: 42, contact: {name: 王芳, phone: "+86 21 5555"}, timezone: Asia/Shanghai}
devices:
  sw1.hq.acme: {class: network, role: core}
  ups1.hq.acme: {class: ups, rack: R1}
  fs01.hq.acme:
    class: server
    parent: sw1
    port: Gi0/3
    criticality: 1
    rack: R1
    power: ups1
    services: [{name: File share, users: 42}]
  "10.0.0.7:9100": {customer: acme, site: hq, class: server, parent: sw1.hq.acme}
"""


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    engine = open_database(f"sqlite:///{tmp_path / 'watchdesk.db'}")
    yield Register(engine)
    engine.dispose()


def test_a_file_says_what_hangs_on_what() -> None:
    book = load(FILE, "acme.yml")
    topology = book.topology()
    server = topology.devices["fs01.hq.acme"]
    assert (server.parent, server.power, server.users) == ("sw1.hq.acme", "ups1.hq.acme", 42)
    assert [above.name for above in topology.above(server)] == ["sw1"]
    switch = topology.devices["sw1.hq.acme"]
    assert [below.instance for below in topology.below(switch)] == ["10.0.0.7:9100", "fs01.hq.acme"]
    assert topology.site("acme", "hq").contact.name == "王芳"
    assert book.targets()["10.0.0.7:9100"] == {
        "instance": "10.0.0.7:9100",
        "customer": "acme",
        "site": "hq",
        "class": "server",
    }


def test_devices_are_found_by_what_labels_call_them() -> None:
    topology = load(FILE, "acme.yml").topology()
    for name in ("fs01", "fs01.hq.acme", "FS01:9100", "fs01.corp.example"):
        found = topology.named("acme", "hq", name)
        assert found is not None
        assert found.name == "fs01"
    assert topology.named("acme", "hq", "fs02") is None
    assert topology.named("charlie", "hq", "fs01.hq.acme") is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("devices:\n  a.b.c:\n    colour: red\n", 3, "colour"),
        ("devices:\n  a.b.c: {}\n  d.b.c:\n    parent: e\n", 4, "no device 'e'"),
        ("devices:\n  a.b.c:\n    parent: a\n", 3, "its own parent"),
        ("devices:\n  d.b.c:\n    parent: a\n  a.b.c: {parent: d}\n", 3, "circle"),
        ("devices:\n  a.b.c: {}\n  a.b.x:\n    parent: a.b.c\n", 4, "of this customer"),
        ("devices:\n  a: {}\n", 2, "not host.site.customer"),
        ("devices:\n  a.b.c: {class: toaster}\n", 2, "no class"),
        ("devices:\n  a.b.c:\n    criticality: 4\n", 3, "<= 3"),
        ("devices:\n  a.b.c:\n    services: [{users: 3}]\n", 3, "name"),
        ("sites:\n  acme: {}\n", 2, "SITE.CUSTOMER"),
        ("sites:\n  hq.acme:\n    timezone: Mars/Olympus\n", 3, "time zone"),
        ("sites:\n  hq.acme:\n    people: -1\n", 3, ">= 0"),
        ("devices: [1]\n", 1, "object"),
        ("devices: {\n", 2, "not YAML"),
        ("a: 1\n", 1, "unknown field"),
        ("- 1\n", 1, "object"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(RegisterError) as caught:
        load(text, "acme.yml")
    assert str(caught.value).startswith(f"acme.yml:{line}: ")
    assert says in str(caught.value)


def test_into_the_register_and_out_again(register: Register) -> None:
    text = FILE.replace('"10.0.0.7:9100": {customer: acme, site: hq,', "db01.hq.acme: {")
    register.take_over(load(text, "acme.yml"), 1000.0)
    first = register.export()
    register.take_over(load(first, "again.yml"), 2000.0)
    assert register.export() == first
    facts, sites = register.facts()
    assert {device.instance: device for device in facts.values()} == load(text, "acme.yml").devices
    assert sites == list(load(text, "acme.yml").sites.values())
    server = register.device_by_instance("fs01.hq.acme")
    assert server is not None
    parent = register.parent(server.id)
    assert parent is not None
    assert (parent.parent, parent.port, parent.how, parent.since) == ("sw1.hq.acme", "Gi0/3", "manual", 1000.0)


def test_all_of_a_file_or_nothing(register: Register) -> None:
    with pytest.raises(RegisterError, match=r"10\.0\.0\.7"):
        register.take_over(load(FILE, "acme.yml"), 1000.0)
    assert register.devices() == []


def test_manual_beats_derived(register: Register) -> None:
    register.take_over(load("devices: {a.hq.acme: {}, b.hq.acme: {}, c.hq.acme: {}, x.hq.eve: {}}", "f.yml"), 1.0)
    ids = {device.name: device.id for device in register.devices()}
    assert register.set_parent(ids["a"], ids["b"], how="lldp", port="1", evidence="seen", now=5.0)
    assert register.set_parent(ids["a"], ids["b"], how="mac", port="2", evidence="seen again", now=6.0)
    parent = register.parent(ids["a"])
    assert parent is not None
    assert (parent.port, parent.how, parent.since) == ("2", "mac", 5.0)
    assert register.set_parent(ids["a"], ids["c"], now=7.0)
    assert not register.set_parent(ids["a"], ids["b"], how="lldp", now=8.0)
    parent = register.parent(ids["a"])
    assert parent is not None
    assert (parent.parent, parent.how) == ("c.hq.acme", "manual")
    with pytest.raises(RegisterError, match="circle"):
        register.set_parent(ids["c"], ids["a"], now=9.0)
    with pytest.raises(RegisterError, match="another customer"):
        register.set_parent(ids["b"], ids["x"], now=9.0)
    with pytest.raises(RegisterError, match="no device 99"):
        register.set_parent(ids["b"], 99, now=9.0)
    assert register.set_parent(ids["a"], None, now=10.0)
    assert register.parent(ids["a"]) is None
    assert not register.set_parent(ids["a"], ids["b"], how="lldp", now=11.0)


def test_the_commands(tmp_path: Path) -> None:
    if "devices" not in watchdesk.commands:
        add_commands(watchdesk)
    data = tmp_path / "data"
    data.mkdir()
    open_database(f"sqlite:///{data / 'watchdesk.db'}").dispose()
    file = tmp_path / "acme.yml"
    file.write_text(FILE.replace('"10.0.0.7:9100": {customer: acme, site: hq,', "db01.hq.acme: {"), "utf-8")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(watchdesk, ["--data", str(data), "devices", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "4 devices and 1 sites" in run("import", str(file))
    assert "parent: sw1.hq.acme" in run("export")
    run("set-parent", "db01.hq.acme", "fs01.hq.acme", "--port", "2")
    shown = run("show", "db01.hq.acme")
    assert "parent: fs01.hq.acme, port: 2, how: manual" in shown
    assert '"children": ["db01.hq.acme"]' in run("show", "fs01.hq.acme", "--json")
    run("set-parent", "db01.hq.acme")
    assert "parent: fs01" not in run("show", "db01.hq.acme")


def test_devices_are_read_while_somebody_writes(register: Register) -> None:
    """As the hooks of diagnoses do, in the transaction in which they ask: to wait would be to wait for oneself."""
    with register.engine.begin():
        assert register.devices() == []
