"""The configuration file: what it may say, and where it is wrong."""

import pytest

from agent.config import parse
from agent.errors import ConfigError

PROBES = ("cpu", "disk")


def test_an_empty_file_gives_the_defaults() -> None:
    config = parse("", "agent.conf", PROBES)
    assert (config.interval, config.log_level, config.spool_max_bytes) == (None, "info", 64 << 20)
    assert config.drill is None


def test_everything_can_be_said() -> None:
    text = """
    # how often
    interval = 5m
    log_level=debug
    goodbye_ttl = 1h
    nice = 0
    timeout = 20s
    spool_max_bytes = 1.5M
    spool_max_age = 2d
    probe.cpu = off
    probe.disk = on
    filesystem.exclude_mounts = /mnt, /srv/
    filesystem.exclude_types = nfs4
    drill = cpu
    drill_state = /tmp/some where
    """
    config = parse(text, "agent.conf", PROBES)
    assert (config.interval, config.log_level, config.goodbye_ttl, config.nice) == (300, "debug", 3_600, 0)
    assert (config.timeout, config.spool_max_bytes, config.spool_max_age) == (20, 1_572_864, 172_800)
    assert config.probes == {"cpu": False, "disk": True}
    assert config.options == {"filesystem.exclude_mounts": "/mnt, /srv/", "filesystem.exclude_types": "nfs4"}
    assert (config.drill, config.drill_state) == ("cpu", "/tmp/some where")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("intervall = 5", "unknown key intervall"),
        ("interval = 0", "not between 1 s and 3600 s"),
        ("interval = nan", "not a value such as"),
        ("interval = 1_0", "not a value such as"),
        ("interval = -5", "not a value such as"),
        ("interval = ٣", "not a value such as"),
        ("interval =", "has no value"),
        ("interval", "not `key = value`"),
        ("= 5", "not `key = value`"),
        ("log_level = loud", "none of: debug, info, warning, error"),
        ("nice = 20", "not a whole number"),
        ("spool_max_bytes = 1", "not between 64K"),
        ("spool_max_age = 1x", "not a value such as"),
        ("probe.cpu = yes", "neither on nor off"),
        ("probe.nothing = on", "no probe nothing; there are: cpu, disk"),
        ("drill = flood", "none of: disk-full"),
        ("drill = cpu", "drill needs drill_state"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"agent\.conf, line 3: ") as caught:
        parse(f"# first\n\n{line}\n", "agent.conf", PROBES)
    assert message in str(caught.value)
    assert caught.value.line == 3


def test_a_key_may_be_given_once() -> None:
    with pytest.raises(ConfigError, match=r"line 2: interval is given twice \(first in line 1\)"):
        parse("interval = 5\ninterval = 6", "agent.conf", PROBES)
