"""Builds the Windows package with wixl:

    python packaging/windows/build.py --python python-3.11.9-embed-amd64.zip --python-sha256 HASH \\
        --psutil psutil-…-win_amd64.whl FOLDER

The interpreter is python.org's embeddable package, whose hash its builder gives; the wheel is one of those whose hashes
are in requirements/agent.txt. What is not what it should be is not packed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import py_compile
import re
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import quoteattr

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent import __version__  # noqa: E402 - of this checkout
from agent.service_windows import NAME  # noqa: E402

SOURCE = Path(__file__).with_name("watchdesk-agent.wxs")
PYTHON = "python/pythonw.exe"  # the one that wants no console: a service and an installer have none
SEARCHED = "{archive}\n.\n..\\lib\n"  # python3xx._pth: where the interpreter looks, and nowhere else
COMMAND = '@"%~dp0python\\python.exe" -I "%~dp0lib\\agent\\__main__.py" %*\r\n'
OURS = uuid.UUID("0d2a8a64-7a3c-4a55-9a0e-0b3f3f1f3a52")  # components keep their ids from version to version
SERVICE = f"""\
<ServiceInstall Id="Service" Name="{NAME}" DisplayName="Watchdesk agent" Type="ownProcess" Start="auto"
  ErrorControl="normal" Account="NT AUTHORITY\\LocalService" Vital="yes"
  Description="Brings the health of this machine to its IT service provider"
  Arguments="-I &quot;[INSTALLDIR]lib\\agent\\__main__.py&quot; windows-service" />
<ServiceControl Id="Service" Name="{NAME}" Start="install" Stop="both" Remove="uninstall" Wait="yes" />
"""


class BuildError(Exception):
    """Something that goes in is not what it should be."""


def checked(path: Path, hashes: set[str]) -> bytes:
    """Return a file's content.

    Raises:
        BuildError: its SHA-256 is none of `hashes`.
    """
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found not in hashes:
        raise BuildError(f"{path} has the SHA-256 {found}, which is not an expected one")
    return data


def pinned() -> set[str]:
    """Return the hashes of psutil's releases in requirements/agent.txt."""
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", (ROOT / "requirements" / "agent.txt").read_text()))


def unpacked(data: bytes, below: str) -> dict[str, bytes]:
    """Return the files of a zip by their path below a folder.

    Raises:
        BuildError: a path leaves the folder.
    """
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
                raise BuildError(f"{entry.filename} is no path inside of a package")
            if not entry.is_dir():
                found[f"{below}/{path}"] = archive.read(entry)
    return found


def files(python: bytes, psutil: bytes) -> dict[str, bytes]:
    """Return what the package installs, by path below its folder.

    Raises:
        BuildError: the interpreter's package holds no interpreter.
    """
    content = unpacked(python, "python")
    searched = [path for path in content if re.fullmatch(r"python/python3\d+\._pth", path)]
    if PYTHON not in content or len(searched) != 1:
        raise BuildError("this is not python.org's embeddable package")
    archive = searched[0].removeprefix("python/").replace("._pth", ".zip")
    content[searched[0]] = SEARCHED.format(archive=archive).encode()
    content |= {path: data for path, data in unpacked(psutil, "lib").items() if "/tests/" not in path}
    content |= {
        f"lib/{path.relative_to(ROOT).as_posix()}": path.read_bytes() for path in (ROOT / "agent").rglob("*.py")
    }
    content |= dict(compiled(content, archive.removesuffix(".zip").removeprefix("python")))
    return content | {"watchdesk-agent.cmd": COMMAND.encode(), "LICENSE.txt": (ROOT / "LICENSE").read_bytes()}


def compiled(content: Mapping[str, bytes], version: str) -> Iterator[tuple[str, bytes]]:
    """Yield what Python would write beside its sources: where nothing is written later, nothing is left behind.

    Raises:
        BuildError: this is not the Python that will read it.
    """
    if version != f"{sys.version_info.major}{sys.version_info.minor}":
        raise BuildError(f"build with the version of Python that is packed ({version})")
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "module.py", Path(folder) / "module.pyc"
        for place in sorted(
            PurePosixPath(path) for path in content if path.startswith("lib/") and path.endswith(".py")
        ):
            source.write_bytes(content[str(place)])
            py_compile.compile(str(source), str(made), str(place), doraise=True, invalidation_mode=unchecked)
            yield str(place.parent / "__pycache__" / f"{place.stem}.cpython-{version}.pyc"), made.read_bytes()


def key(path: str) -> str:
    """Return an identifier of a file or folder, as a table of the package may have it."""
    return "p" + hashlib.sha256(path.encode()).hexdigest()[:20]


def tree(content: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return folder → names of what is right in it; folders end with a slash."""
    found: dict[str, list[str]] = {"": []}
    for path in sorted(content):
        parts = path.split("/")
        for depth, part in enumerate(parts):
            name = part if depth == len(parts) - 1 else part + "/"
            siblings = found.setdefault("/".join(parts[:depth]), [])
            if name not in siblings:
                siblings.append(name)
    return found


def folders(found: Mapping[str, list[str]], folder: str = "") -> Iterator[str]:
    """Yield the lines of a folder: a component for each file, so that each can be repaired on its own."""
    for name in found[folder]:
        path = f"{folder}/{name}".lstrip("/").rstrip("/")
        if name.endswith("/"):
            yield f'<Directory Id="{key(path)}" Name={quoteattr(name[:-1])}>'
            yield from folders(found, path)
            yield "</Directory>"
            continue
        yield f'<Component Id="c{key(path)}" Guid="{uuid.uuid5(OURS, path)}" Win64="yes">'
        yield f'<File Id="{key(path)}" Name={quoteattr(name)} Source={quoteattr(path)} KeyPath="yes" />'
        if path == PYTHON:
            yield SERVICE
        yield "</Component>"


def source(content: Mapping[str, bytes]) -> str:
    """Return the package's source, for files that lie beside it."""
    text = SOURCE.read_text()
    for name, value in {
        "version": __version__,
        "python": key(PYTHON),
        "folders": "\n".join(folders(tree(content))),
        "components": "\n".join(f'<ComponentRef Id="c{key(path)}" />' for path in sorted(content)),
    }.items():
        text = text.replace("{" + name + "}", value)
    return text


def msi(content: Mapping[str, bytes], folder: Path) -> Path:
    """Write the package; needs wixl.

    Raises:
        BuildError: wixl refuses.
    """
    made = folder / f"watchdesk-agent-{__version__}-x64.msi"
    with tempfile.TemporaryDirectory() as staging:
        for path, data in content.items():
            target = Path(staging) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        written = Path(staging) / "watchdesk-agent.wxs"
        written.write_text(source(content))
        command = ["wixl", "--arch", "x64", "-o", str(made.absolute()), written.name]
        done = subprocess.run(command, cwd=staging, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BuildError(f"wixl: {done.stderr.strip()}")
    return made


def main() -> int:
    """Build what was asked for."""
    parser = argparse.ArgumentParser(description="Builds the agent's Windows package (MSI).")
    parser.add_argument("--python", type=Path, required=True, help="python.org's embeddable package for x64")
    parser.add_argument("--python-sha256", required=True, help="its SHA-256, as python.org tells it")
    parser.add_argument("--psutil", type=Path, required=True, help="psutil's wheel for win_amd64")
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    try:
        content = files(checked(chosen.python, {chosen.python_sha256.lower()}), checked(chosen.psutil, pinned()))
        print(msi(content, chosen.folder))
    except (BuildError, OSError, zipfile.BadZipFile) as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
