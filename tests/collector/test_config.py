"""The configuration file: what it takes, and how it says what it does not take."""

from pathlib import Path

import pytest

from collector import config
from collector.errors import ConfigError


def load(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / config.FILE_NAME
    path.write_text(text)
    return config.load(path)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert config.load(tmp_path / "none.yml") == config.Config()
    assert load(tmp_path, "# nothing yet\n") == config.Config()


def test_what_is_given_is_taken_and_the_rest_stays(tmp_path: Path) -> None:
    found = load(tmp_path, "agents:\n  listen: '[::1]:9000'\n  interval: 30\nrules:\n  packs: [every, linux]\n")
    assert found.agents.listen == "[::1]:9000"
    assert found.agents.interval == 30
    assert found.rules.packs == ["every", "linux"]
    assert found.web == config.Web()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("web:\n  listen: 127.0.0.1:80\n\n  colour: blue\n", 4, "colour"),
        ("database: x\nagent:\n  tls: true\n", 2, "agent"),
        ("agents:\n  tls: maybe\n", 2, "Expected `bool`"),
        ("agents:\n  interval: [1]\n", 2, "Expected `float | null`"),
        ("agents:\n- 1\n", 1, "Expected `object`"),
        ("a: b: c\n", 1, "not YAML"),
        ("agents: {tls: true\n", 2, "not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert f"watchdesk.yml:{line}: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("listen", ["8080", "localhost:80", "1.2.3.4:99999", "1.2.3:80", ""])
def test_an_address_that_is_none(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigError, match="takes ADDRESS:PORT"):
        load(tmp_path, f"web:\n  listen: '{listen}'\n")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / config.FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError):
        config.load(tmp_path / config.FILE_NAME)


def test_ports_for_two_side_by_side() -> None:
    moved = config.with_ports(config.Config(), 9090)
    assert (moved.web.listen, moved.agents.listen) == ("127.0.0.1:9090", "127.0.0.1:9091")


def test_the_database_url_may_be_a_secret_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("postgresql+psycopg://me:secret@db/watchdesk\n")
    found = load(tmp_path, "database_file: db\n")
    assert found.database_url(tmp_path) == "postgresql+psycopg://me:secret@db/watchdesk"
    with pytest.raises(ConfigError, match="database_file: No such file"):
        load(tmp_path, "database_file: gone\n").database_url(tmp_path)


def test_what_is_shown_can_be_loaded_and_has_no_password(tmp_path: Path) -> None:
    found = load(tmp_path, "database: postgresql://me:secret@db/watchdesk\nlog: {max_bytes: 5}\n")
    shown = config.to_yaml(found)
    assert "secret" not in shown
    assert load(tmp_path, shown).log == found.log
