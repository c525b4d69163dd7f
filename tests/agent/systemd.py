"""A real systemd as the first process of namespaces of its own: nothing outside its root can be written.

Its root is a tmpfs with the machine's /usr, read-only; its /tmp, /run, /var and /etc are its own, and it knows no unit
but those that the test gives it. The project is at /src, and /shared is the test's.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.agent.helpers import ROOT

SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = "/usr/bin/python3"  # the one that is inside too
BOOT = r"""
set -e
cd "$1"
mount -t tmpfs tmpfs "$1" && cd "$1"
mkdir usr etc var tmp run proc sys dev root old
for name in bin sbin lib lib32 lib64; do [ -e /$name ] && ln -s usr/$name $name; done
mount --bind /usr usr && mount -o remount,ro,bind usr
mount -t proc proc proc
mount -t tmpfs tmpfs sys && mkdir -p sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd 2>/dev/null || mount -t cgroup2 cgroup2 sys/fs/cgroup
for name in null zero full random urandom; do touch dev/$name; mount --bind /dev/$name dev/$name; done
cp -r "$2" etc/systemd
mkdir src shared
mount --bind "$3" src && mount -o remount,ro,bind src
mount --bind "$4" shared
touch etc/machine-id
pivot_root . old
cd /
umount -l old
export container=docker SYSTEMD_UNIT_PATH=/etc/systemd/system
exec /lib/systemd/systemd --system --log-target=null --show-status=no
"""
TARGET = "[Unit]\nDefaultDependencies=no\n"


def needs_systemd() -> pytest.MarkDecorator:
    """Skip where it cannot be started."""
    return pytest.mark.skipif(not possible(), reason="needs root that may make namespaces, systemd, Debian's Python")


def possible() -> bool:
    """Whether namespaces can be made here, and what runs in them is there."""
    if os.geteuid() != 0 or not SYSTEMD.exists() or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    asks = (["unshare", "-pfmuiC", "true"], [PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
    try:
        return all(subprocess.run(words, capture_output=True, check=False).returncode == 0 for words in asks)
    except OSError:
        return False


@contextmanager
def booted(folder: Path, units: Mapping[str, str]) -> Iterator[Path]:
    """Yield the root of a running systemd, whose sockets can be reached below it."""
    system = folder / "etc" / "system"
    system.mkdir(parents=True)
    targets = dict.fromkeys(("default.target", "basic.target", "sysinit.target", "shutdown.target"), TARGET)
    for name, text in {**targets, **units}.items():
        (system / name).write_text(text)
    for name in ("root", "shared"):
        (folder / name).mkdir()
    places = [folder / "root", folder / "etc", ROOT, folder / "shared"]
    groups = control_groups()
    log = (folder / "boot.log").open("w")
    outer = subprocess.Popen(
        ["unshare", "-pfmuiC", "--propagation", "private", "bash", "-c", BOOT, "boot", *places],
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    try:
        pid = _first_process(outer.pid)
        root = Path(f"/proc/{pid}/root")
        until = time.monotonic() + 60
        while not (root / "run/systemd/private").exists():
            assert outer.poll() is None, (folder / "boot.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield root
    finally:
        for child in _children(outer.pid):
            os.kill(child, signal.SIGKILL)  # the first process of its namespace: all in it end
        outer.kill()
        outer.wait(10)
        log.close()
        until = time.monotonic() + 10
        while (left := control_groups() - groups) and time.monotonic() < until:  # until the last process has ended
            for group in sorted(left, reverse=True):  # what is below a group comes before it
                with suppress(OSError):
                    group.rmdir()
            time.sleep(0.02)


def control_groups() -> set[Path]:
    """Return the control groups below our own, in which the systemd makes its own."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    paths = {kind: path.lstrip("/") for _, kind, path in lines}
    tree = Path("/sys/fs/cgroup/systemd") if "name=systemd" in paths else Path("/sys/fs/cgroup")
    own = tree / paths.get("name=systemd", paths.get("", ""))
    return {Path(folder) for folder, _, _ in os.walk(own)}


def inside(root: Path, *words: str | Path) -> list[str]:
    """Return the command that runs a program inside."""
    return ["nsenter", "-t", root.parent.name, "-m", "-p", *map(str, words)]


def systemctl(root: Path, *words: str) -> str:
    """Run systemctl inside."""
    done = subprocess.run(inside(root, "systemctl", *words), capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _first_process(outer: int) -> int:
    until = time.monotonic() + 30
    while not (found := _children(outer)):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found[0]
