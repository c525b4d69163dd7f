"""The agent's packages: what is in them, and that they run, report, upgrade and go without a trace."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from agent.service_linux import USER
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.agent.helpers import ROOT, eventually
from tests.packaging.roots import Root, bootstrap, copy

BUILD = ROOT / "packaging" / "agent" / "build.py"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a clean system")
DEBIAN_PYTHON = Path("/usr/bin/python3")


def build_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("watchdesk_packages", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(kind: str, folder: Path) -> Path:
    """Build a package as people do."""
    done = subprocess.run([sys.executable, BUILD, kind, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture
def collector() -> Iterator[TestCollector]:
    with running(Authority()) as made:
        yield made


@contextmanager
def process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone at the end, and what it started too: a child that changed its user outlives `unshare`."""
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        if started.poll() is None:
            for child in Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
            started.kill()
        started.wait(10)


def reports(tree: Path, collector: TestCollector, state: Path) -> None:
    """Run the program of an unpacked package with the system's Python: it enrols, reports and says goodbye."""
    program = [
        str(DEBIAN_PYTHON),
        "-IS",
        str(tree / "usr/lib/watchdesk-agent/agent/__main__.py"),
        "--state",
        str(state),
    ]
    enrol = [*program, "enrol", collector.enrolment_token(), "--name", "pc"]
    done = subprocess.run(enrol, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with process([*program, "run"]) as agent:
        eventually(lambda: collector.rows() or agent.poll() is not None)
        agent.terminate()
        assert agent.wait(20) == 0
    assert collector.said(5)[0]["reason"] == "stop"
    assert collector.rows()[0].values["node_load1"] >= 0


@pytest.mark.skipif(not DEBIAN_PYTHON.exists(), reason="Debian's Python is not installed")
def test_what_the_deb_unpacks_reports(collector: TestCollector, tmp_path: Path) -> None:
    deb = built("deb", tmp_path / "out")
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path / "tree"], check=True)
    reports(tmp_path / "tree", collector, tmp_path / "state")


@pytest.mark.skipif(not DEBIAN_PYTHON.exists(), reason="Debian's Python is not installed")
def test_what_the_rpm_unpacks_reports(collector: TestCollector, tmp_path: Path) -> None:
    rpm = built("rpm", tmp_path / "out")
    archive = subprocess.run(["rpm2archive", "-n", "-"], input=rpm.read_bytes(), capture_output=True, check=True).stdout
    (tmp_path / "tree.tar").write_bytes(archive)
    with tarfile.open(tmp_path / "tree.tar") as tar:
        tar.extractall(tmp_path / "tree", filter="data")
    reports(tmp_path / "tree", collector, tmp_path / "state")


def test_the_same_sources_give_the_same_deb_and_tar(tmp_path: Path) -> None:
    for kind in ("deb", "tar"):
        first, second = built(kind, tmp_path / f"{kind}1"), built(kind, tmp_path / f"{kind}2")
        assert first.read_bytes() == second.read_bytes()


def test_it_holds_the_agent_and_nothing_else() -> None:
    files = build_module().files()
    program = {path for path in files if path.endswith(".py")}
    assert {path.split("/")[3] for path in program} == {"agent"}
    assert not any("test" in path or "__pycache__" in path for path in files)
    assert files["usr/bin/watchdesk-agent"].mode == 0o755


@pytest.mark.parametrize("name", ["INSTALLED", "REMOVED_BEFORE", "REMOVED_AFTER"])
def test_maintainer_scripts_are_sound(name: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(getattr(build_module(), name))
    assert subprocess.run(["sh", "-n", tmp_path / "script"], check=False).returncode == 0


@pytest.mark.parametrize("words", [[], ["deb"], ["msi", "out"]])
def test_wrong_use(words: list[str]) -> None:
    assert subprocess.run([sys.executable, BUILD, *words], capture_output=True, check=False).returncode == 2


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Root:
    return bootstrap(tmp_path_factory.mktemp("debian") / "root")


@pytest.fixture
def root(debian: Root, tmp_path: Path) -> Root:
    """A clean Debian for one test."""
    return copy(debian, tmp_path / "root")


def install(root: Root, deb: Path) -> None:
    shutil.copy(deb, root.folder / "root" / deb.name)
    root.run("dpkg", "--install", f"/root/{deb.name}")
    (root.folder / "root" / deb.name).unlink()


@pytest.mark.soak
@needs_root
def test_the_deb_in_a_clean_debian(root: Root, collector: TestCollector, tmp_path: Path) -> None:
    before = root.files()
    deb = built("deb", tmp_path / "out")
    install(root, deb)
    state = ("--state", "/var/lib/watchdesk-agent")
    root.run(
        "su",
        "-s",
        "/bin/sh",
        USER,
        "-c",
        f"watchdesk-agent {' '.join(state)} enrol - --name pc",
        stdin=collector.enrolment_token(),
    )
    with process(
        root.command(
            "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "watchdesk-agent", *state, "run"
        )
    ):
        eventually(lambda: len(collector.rows()) > 1)
    token = (root.folder / "var/lib/watchdesk-agent/token").read_text()
    install(root, deb)  # as an upgrade: it stays who it is
    assert (root.folder / "var/lib/watchdesk-agent/token").read_text() == token
    assert collector.retired == 0
    root.run("dpkg", "--purge", "watchdesk-agent")
    assert collector.retired == 1
    assert root.files() - before == set()
    assert USER not in (root.folder / "etc/passwd").read_text()


@pytest.mark.soak
@needs_root
def test_the_rpm_in_a_clean_tree(collector: TestCollector, tmp_path: Path) -> None:
    rpm = built("rpm", tmp_path / "out")
    tree = tmp_path / "tree"
    command = ["rpm", "--root", str(tree), "--nodeps", "--noscripts"]
    debian = ["--force-debian"] if Path("/etc/debian_version").exists() else []  # whose rpm refuses otherwise
    subprocess.run([*command, *debian, "--install", str(rpm)], check=True)
    reports(tree, collector, tmp_path / "state")
    subprocess.run([*command, "--erase", "watchdesk-agent"], check=True)
    # What Python has written beside its sources is removed by the package's script, which has not run here.
    ours = [path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    left = [path for path in ours if "rpm" not in str(path.relative_to(tree))]
    assert left == []
