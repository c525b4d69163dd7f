"""The Windows package: what is in its tables; and (soak) that it installs, serves, reports and goes under Wine."""

import hashlib
import importlib.util
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from agent import service_windows
from agent.service_windows import POWER, SHUTDOWN, STOP, SUSPENDS, Control, run_until_stopped
from tests.agent.authority import Authority
from tests.agent.collector import TestCollector, running
from tests.agent.helpers import ROOT, eventually
from tests.packaging.wine import Windows, interpreter, wheels

BUILD = ROOT / "packaging" / "windows" / "build.py"
STATE = "ProgramData/watchdesk-agent"


def build_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("watchdesk_msi", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zipped(**files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


EMBEDDED = {
    "python.exe": b"MZ",
    "pythonw.exe": b"MZ",
    "python311.dll": b"MZ",
    "python311.zip": b"PK",
    "python311._pth": b"import site\n",
}
PSUTIL = {"psutil/__init__.py": b"", "psutil/_psutil_windows.pyd": b"MZ", "psutil/tests/test_a.py": b""}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of an interpreter that is none."""
    build = build_module()
    made: Path = build.msi(build.files(zipped(**EMBEDDED), zipped(**PSUTIL)), tmp_path_factory.mktemp("msi"))
    return made


def table(package: Path, name: str) -> list[list[str]]:
    """Return the rows of a table of the package."""
    told = subprocess.run(["msiinfo", "export", package, name], capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in told.splitlines()[3:]]


def test_it_holds_interpreter_agent_and_psutil(package: Path) -> None:
    names = {row[2].rpartition("|")[2] for row in table(package, "File")}
    assert {"python.exe", "python311._pth", "__main__.py", "service_windows.py", "_psutil_windows.pyd"} <= names
    assert {"test_a.py", "test_agent.py"} & names == set()
    components = {row[0]: row[1] for row in table(package, "Component")}
    assert len(set(components.values())) == len(components)
    assert {row[1] for row in table(package, "FeatureComponents")} == components.keys()


def test_the_service_and_its_moments(package: Path) -> None:
    ((_, name, _, kind, start, *_, account, _, arguments, component, _),) = table(package, "ServiceInstall")
    assert (name, kind, start) == (service_windows.NAME, "16", "2")
    assert account == r"NT AUTHORITY\LocalService"
    assert arguments == r'-I "[INSTALLDIR]lib\agent\__main__.py" windows-service'
    (python,) = [row for row in table(package, "File") if row[2].endswith("pythonw.exe")]
    assert python[1] == component
    order = {row[0]: (int(row[2]), row[1]) for row in table(package, "InstallExecuteSequence")}
    assert order["InstallServices"][0] < order["Enrol"][0] < order["StartServices"][0]
    assert order["StopServices"][0] < order["Retire"][0] < order["RemoveFiles"][0]
    assert "NOT Installed" in order["Enrol"][1]
    assert "NOT UPGRADINGPRODUCTCODE" in order["Retire"][1]
    actions = {row[0]: row for row in table(package, "CustomAction")}
    assert all(row[2] == python[0] and int(row[1]) & 1024 for row in actions.values())  # deferred, by our interpreter
    assert ["MsiHiddenProperties", "TOKEN"] in table(package, "Property")


def test_where_the_interpreter_looks_is_ours() -> None:
    content = build_module().files(zipped(**EMBEDDED), zipped(**PSUTIL))
    assert content["python/python311._pth"] == b"python311.zip\n.\n..\\lib\n"


@pytest.mark.parametrize("name", ["../x", "/x", "a\\b"])
def test_a_package_that_leaves_its_folder_is_refused(name: str) -> None:
    build = build_module()
    with pytest.raises(build.BuildError):
        build.files(zipped(**{**EMBEDDED, name: b""}), zipped(**PSUTIL))
    with pytest.raises(build.BuildError):
        build.files(zipped(x=b""), zipped(**PSUTIL))
    with pytest.raises(build.BuildError, match="version"):
        list(build.compiled({}, "39"))


def test_inputs_with_another_hash_are_refused(tmp_path: Path) -> None:
    python, psutil = tmp_path / "python.zip", tmp_path / "psutil.whl"
    python.write_bytes(zipped(**EMBEDDED))
    psutil.write_bytes(zipped(**PSUTIL))
    right = hashlib.sha256(python.read_bytes()).hexdigest()
    for given, wrong in (("0" * 64, python), (right, psutil)):
        options = ["--python", str(python), "--python-sha256", given, "--psutil", str(psutil), str(tmp_path / "o")]
        words = [sys.executable, str(BUILD), *options]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"{wrong} has the SHA-256" in done.stderr
    assert list((tmp_path / "o").iterdir()) == []


class Heard:
    """Stands for an agent."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def stop(self, reason: str, ttl: float | None = None) -> None:
        self.said.append((reason, ttl))

    def nap(self) -> None:
        self.said.append("nap")


def test_what_the_service_manager_asks_for_reaches_the_agent() -> None:
    agent, control = Heard(), Control()
    assert not control.take(POWER, SUSPENDS)  # before there is an agent
    control.hear(agent)  # type: ignore[arg-type]
    assert agent.said == []
    assert not control.take(POWER, SUSPENDS)
    assert not control.take(POWER, 7)  # it has woken up
    assert not control.take(4, 0)
    assert control.take(SHUTDOWN, 0)
    assert control.stopped
    assert agent.said == ["nap", ("shutdown", 7 * 86_400.0)]
    early, control = Heard(), Control()
    assert control.take(STOP, 0)
    control.hear(early)  # type: ignore[arg-type]
    assert early.said == [("stop", None)]


def test_a_service_that_is_not_enrolled_waits(tmp_path: Path) -> None:
    control, looks = Control(), []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            control.take(STOP, 0)

    assert run_until_stopped(control, str(tmp_path), sleep) == 0
    assert len(looks) == 3


def test_elsewhere_the_service_says_where_it_belongs() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "agent/__main__.py", "windows-service"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Windows" in done.stderr


@pytest.fixture
def windows(tmp_path: Path) -> Iterator[Windows]:
    made = Windows(tmp_path / "wine")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def collector() -> Iterator[TestCollector]:
    with running(Authority()) as made:
        yield made


@pytest.mark.soak
def test_under_wine_it_installs_serves_and_goes(windows: Windows, collector: TestCollector, tmp_path: Path) -> None:
    build = build_module()
    panda, psutil = wheels(tmp_path)
    content = build.files(interpreter(panda, psutil, tmp_path).read_bytes(), build.checked(psutil, build.pinned()))
    package = build.msi(content, tmp_path)
    token = collector.enrolment_token()
    code, said = windows.run("msiexec", "/i", str(package), "/qn", f"TOKEN={token}")
    assert code == 0, said
    state = windows.drive / STATE

    def until(condition: Callable[[], object]) -> None:
        """Wait; Wine's services go on only when something else happens in the same Wine, so that something does."""

        def looked() -> object:
            windows.run("cmd", "/c", "ver")
            return condition()

        eventually(looked, 180)

    until(collector.rows)
    assert collector.rows()[0].values["node_memory_MemTotal_bytes"] > 0
    assert collector.said(1)[0]["os"] == "windows"
    windows.run("net", "stop", service_windows.NAME)
    until(lambda: collector.said(5))
    assert collector.said(5)[0]["reason"] == "stop"
    device = (state / "token").read_text()
    windows.run("msiexec", "/i", str(package), "/qn", "REINSTALL=ALL", "REINSTALLMODE=vomus")
    assert (state / "token").read_text() == device
    code, said = windows.run("msiexec", "/x", str(package), "/qn")
    assert code == 0, said
    until(lambda: collector.retired == 1)
    assert not state.exists()
    assert not [path for path in windows.drive.glob("Program Files/Watchdesk Agent/**/*") if path.is_file()]
