"""The systemd units: sound, hardened, and calling the programs as they are to be called."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import service_linux

SYSTEMD = Path(__file__).parents[2] / "packaging" / "systemd"
UNITS = {
    "watchdesk.service": (SYSTEMD / "watchdesk.service").read_text(),
    "watchdesk-agent.service": service_linux.unit("/var/lib/watchdesk-agent", "/usr/bin/watchdesk-agent"),
}
MODULES = {"watchdesk": "collector", "watchdesk-agent": "agent"}

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
each_unit = pytest.mark.parametrize("name", UNITS)


def settings(name: str) -> Iterator[tuple[str, str]]:
    """Yield (key, value) of a unit's lines."""
    for line in UNITS[name].splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield key, value


def command(name: str) -> list[str]:
    """Return the words of ExecStart."""
    (line,) = (value for key, value in settings(name) if key == "ExecStart")
    return line.split()


@needs_systemd
@each_unit
def test_systemd_takes_the_unit(name: str, tmp_path: Path) -> None:
    """The programs are not installed where the unit has them: something else stands in for them here."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNITS[name], flags=re.MULTILINE)
    (tmp_path / name).write_text(text)
    verify = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, check=False)
    assert (verify.returncode, verify.stdout + verify.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(("name", "at_most"), [("watchdesk.service", 15), ("watchdesk-agent.service", 40)])
def test_exposure_stays_low(name: str, at_most: int, tmp_path: Path) -> None:
    """In tenths of systemd's scale, where a unit without any hardening has 96."""
    (tmp_path / name).write_text(UNITS[name])
    security = ["systemd-analyze", "security", "--offline=true", f"--threshold={at_most}", str(tmp_path / name)]
    assert subprocess.run(security, capture_output=True, check=False).returncode == 0


@each_unit
def test_the_program_takes_the_command(name: str, tmp_path: Path) -> None:
    program, *words = command(name)
    module = MODULES[Path(program).name]
    words = [word.replace("/var/lib", str(tmp_path)) for word in words]
    called = [sys.executable, "-m", module, *words, "--help"]
    answer = subprocess.run(called, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    wrong = subprocess.run([*called[:-1], "--no-such-option"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


@each_unit
def test_users_are_made(name: str) -> None:
    text = (SYSTEMD / "watchdesk.sysusers").read_text() + service_linux.SYSUSERS
    made = re.findall(r"^u (\S+) ", text, flags=re.MULTILINE)
    unit = dict(settings(name))
    assert unit["User"] == unit["Group"]
    assert unit["User"] in made
    assert f"/var/lib/{unit['StateDirectory']}" in " ".join(command(name))


def test_the_agent_sees_the_file_systems_that_all_see() -> None:
    keys = {key for key, _ in settings("watchdesk-agent.service")}
    own_view = {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ReadOnlyPaths", "InaccessiblePaths"}
    own_view |= {"ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "PrivateMounts"}
    assert keys & own_view == set()
