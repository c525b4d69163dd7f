"""The Containerfile: what it copies is there, what it installs is all, and the program takes its words."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from collector.config import load
from tests.packaging.test_systemd import MODULES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "container"
LINES = (FOLDER / "Containerfile").read_text().replace("\\\n", " ").splitlines()


def words(instruction: str) -> list[str]:
    """Return what stands behind each line of this instruction."""
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(instruction + " ")]


def test_what_is_copied_is_there() -> None:
    for line in words("COPY"):
        if line.startswith("--from="):
            continue
        *sources, _target = (word for word in line.split() if not word.startswith("--"))
        assert all((ROOT / source).exists() for source in sources), line


def test_all_packages_of_the_collector_are_copied() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {word for line in words("COPY") for word in line.split()}
    assert {name.rstrip("*") for name in wanted} <= copied
    files = {word for line in words("RUN") for word in re.findall(r"requirements/\S+", line)}
    assert files == {"requirements/build.txt", "requirements/collector.txt"}
    assert all((ROOT / name).exists() for name in files)


def test_the_program_takes_the_words() -> None:
    (entry,), (command,) = words("ENTRYPOINT"), words("CMD")
    health = json.loads(next(line for line in LINES if line.startswith("HEALTHCHECK")).partition("CMD ")[2])
    for called in (json.loads(entry) + json.loads(command), health):
        line = [sys.executable, "-m", MODULES[called[0]], *called[1:], "--help"]
        assert subprocess.run(line, capture_output=True, check=False).returncode == 0, called


def test_its_configuration_is_one() -> None:
    config = load(FOLDER / "watchdesk.yml")
    ports = {listen.rpartition(":")[2] for listen in (config.agents.listen, config.web.listen)}
    assert ports == set(words("EXPOSE")[0].split())
