"""Clean Debian systems in a folder, to install packages into and to run them there."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Root:
    """A system of its own below a folder; what runs there sees this machine's network."""

    folder: Path

    def command(self, *words: str) -> list[str]:
        """Return the words that run a command there, with processes and mounts of its own."""
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.folder / 'proc'}"]
        return [*own, "chroot", str(self.folder), *words]

    def run(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """Run a command there to its end; return what it printed."""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            self.command(*words), input=stdin, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def files(self) -> set[str]:
        """Return every path of it, except what the system's own programs write when anything is installed."""
        found = set()
        for folder, folders, names in os.walk(self.folder):
            place = "/" + str(Path(folder).relative_to(self.folder)).removeprefix(".")
            if place.startswith(("/proc", "/dev", "/var/log", "/var/cache", "/var/lib/dpkg", "/tmp")):
                folders.clear()
                continue
            found |= {f"{place.rstrip('/')}/{name}" for name in [*names, *folders]}
        return {path for path in found if "__pycache__" not in path and not path.endswith("-")}


def bootstrap(folder: Path, suite: str = "bookworm", more: str = "python3,curl,openssl") -> Root:
    """Make a minimal Debian; takes a minute and the Debian archive."""
    command = ["debootstrap", "--variant=minbase", f"--include={more}", suite, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Root(folder)


def copy(root: Root, folder: Path) -> Root:
    """Return a copy, to be changed."""
    shutil.copytree(
        root.folder, folder, symlinks=True, ignore=lambda where, names: names if where.endswith("/dev") else []
    )
    return Root(folder)


class Overlay(Root):
    """This machine, to be changed: what is written goes to a layer of its own in memory."""

    def changes(self) -> dict[str, bytes]:
        """Return what now differs from this machine: a file's new content by its path; b"" for a folder or a link."""
        upper = self.folder.parent / "upper"
        found = {}
        for path in sorted(upper.rglob("*")):
            place = Path("/") / path.relative_to(upper)
            if str(place).startswith(("/proc", "/dev", "/run", "/tmp", "/var/log", "/var/cache", "/root")):
                continue
            if path.is_file() and not path.is_symlink():
                if not place.is_file() or path.read_bytes() != place.read_bytes():
                    found[str(place)] = path.read_bytes()
            elif not place.exists() and not path.is_char_device():
                found[str(place)] = b""
        # Written anew by useradd, userdel and dpkg whatever they do; what matters is in the files beside them.
        return {path: data for path, data in found.items() if not path.endswith("-") and "/var/lib/dpkg" not in path}


@contextmanager
def overlay(folder: Path) -> Iterator[Overlay]:
    """This machine as if it were a clean one, below a folder."""
    folder.mkdir()
    mounted: list[Path] = []

    def mount(where: Path, *words: str) -> None:
        where.mkdir(exist_ok=True)
        subprocess.run(["mount", *words, str(where)], check=True, capture_output=True)
        mounted.append(where)

    try:
        mount(folder, "-t", "tmpfs", "none")
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        layers = f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work"
        mount(folder / "root", "-t", "overlay", "overlay", "-o", layers)
        mount(folder / "root" / "dev", "--bind", "/dev")
        mount(folder / "root" / "run", "-t", "tmpfs", "none")
        yield Overlay(folder / "root")
    finally:
        for where in reversed(mounted):
            subprocess.run(["umount", "--lazy", str(where)], check=True, capture_output=True)
