"""Builds the agent's packages: `python packaging/agent/build.py deb|rpm|tar FOLDER`.

The program is pure Python over the system's own (3.11 or newer), so one package fits every architecture. The deb and
the tar are written here, byte for byte the same for the same sources; `rpmbuild` makes the rpm from the same files.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent import __version__  # noqa: E402 - of this checkout
from agent.service_linux import GROUPS, HOOK, HOOK_FILE, SYSUSERS, USER, asking, unit  # noqa: E402

STATE = "/var/lib/watchdesk-agent"
LIBRARY = "usr/lib/watchdesk-agent"
SUMMARY = "Watchdesk agent: brings the health of this machine to its IT service provider"
EPOCH = 1_767_225_600  # 2026-01-01: files carry no time of their own
PROGRAM = f"""\
#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "/{LIBRARY}")
from agent.__main__ import main

sys.exit(main())
"""
# An upgrade keeps who the machine is and what it has not sent; removing the package means that it is watched no more.
INSTALLED = f"""\
getent passwd {USER} >/dev/null || useradd --system --home-dir {STATE} --no-create-home --shell /usr/sbin/nologin {USER}
for group in {" ".join(GROUPS)}; do
    if getent group $group >/dev/null; then usermod --append --groups $group {USER}; fi
done
install -d -m 0700 -o {USER} -g {USER} {STATE}
python3 -IS -m compileall -q /{LIBRARY} || true
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable -q {USER}
    systemctl -q --global enable watchdesk-consent.path || true
    systemctl restart {USER}
fi
"""
REMOVED_BEFORE = f"""\
if [ -d /run/systemd/system ]; then
    systemctl disable -q --now {USER} || true
    systemctl -q --global disable watchdesk-consent.path || true
fi
if [ -d {STATE} ]; then watchdesk-agent --state {STATE} uninstall --force || true; fi
"""
REMOVED_AFTER = f"""\
rm -rf {STATE} /{LIBRARY}
if getent passwd {USER} >/dev/null; then userdel {USER} || true; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
"""


class File(NamedTuple):
    """A file of the package."""

    data: bytes
    mode: int = 0o644


def files() -> dict[str, File]:
    """Return what a package installs, by path without the leading slash."""
    program = {
        f"{LIBRARY}/{path.relative_to(ROOT)}": File(path.read_bytes())
        for path in sorted((ROOT / "agent").rglob("*.py"))
    }
    return program | {
        "usr/bin/watchdesk-agent": File(PROGRAM.encode(), 0o755),
        "usr/lib/systemd/system/watchdesk-agent.service": File(unit(STATE, "/usr/bin/watchdesk-agent").encode()),
        **{
            f"usr/lib/systemd/user/{name}": File(text.encode())
            for name, text in asking("/usr/bin/watchdesk-agent").items()
        },
        HOOK_FILE.removeprefix("/"): File(HOOK.encode(), 0o755),
        "usr/lib/sysusers.d/watchdesk-agent.conf": File(SYSUSERS.encode()),
        "usr/share/doc/watchdesk-agent/copyright": File((ROOT / "LICENSE").read_bytes()),
    }


def tar(content: Mapping[str, File], prefix: str = "./") -> bytes:
    """Return a .tar.gz of the files and the folders above them, owned by root."""
    packed = io.BytesIO()
    folders = sorted({str(folder) for path in content for folder in Path(path).parents if str(folder) != "."})
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in folders:
            member = _member(f"{prefix}{folder}", 0o755)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        for path, file in sorted(content.items()):
            member = _member(f"{prefix}{path}", file.mode)
            member.size = len(file.data)
            archive.addfile(member, io.BytesIO(file.data))
    return gzip.compress(packed.getvalue(), mtime=0)


def _member(path: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.mode, member.mtime, member.uname, member.gname = mode, EPOCH, "root", "root"
    return member


def deb(folder: Path) -> Path:
    """Write the Debian package; its form is deb(5): an ar archive of a version, the control files and the data."""
    content = files()
    size = sum(len(file.data) for file in content.values()) // 1024 + 1
    control = f"""\
Package: watchdesk-agent
Version: {__version__}
Architecture: all
Maintainer: Watchdesk <agent@watchdesk.invalid>
Installed-Size: {size}
Depends: python3 (>= 3.11), passwd
Section: admin
Priority: optional
Description: {SUMMARY}
 Reads the metrics that node_exporter reads, under the same names, and reports them to
 a Watchdesk collector. It takes no code and no address from there, and examines what
 the policy of this machine allows.
"""
    scripts = {
        "control": File(control.encode()),
        "postinst": _script('[ "$1" = configure ] || exit 0\n' + INSTALLED),
        "prerm": _script(
            f'find /{LIBRARY} -name __pycache__ -exec rm -rf {{}} +\n[ "$1" = remove ] || exit 0\n' + REMOVED_BEFORE
        ),
        "postrm": _script('[ "$1" = remove ] || [ "$1" = purge ] || exit 0\n' + REMOVED_AFTER),
    }
    made = folder / f"watchdesk-agent_{__version__}_all.deb"
    made.write_bytes(ar({"debian-binary": b"2.0\n", "control.tar.gz": tar(scripts), "data.tar.gz": tar(content)}))
    return made


def _script(text: str) -> File:
    return File(f"#!/bin/sh\nset -e\n{text}".encode(), 0o755)


def ar(members: Mapping[str, bytes]) -> bytes:
    """Return an archive in the common form of ar(5)."""
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{EPOCH:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data)
        if len(data) % 2:
            parts.append(b"\n")
    return b"".join(parts)


def rpm(folder: Path) -> Path:
    """Make the RPM; needs `rpmbuild`."""
    content = files()
    listed = "\n".join(f"%attr({file.mode:o}, root, root) /{path}" for path, file in content.items())
    spec = f"""\
Name: watchdesk-agent
Version: {__version__}
Release: 1
Summary: {SUMMARY}
License: MIT
BuildArch: noarch
Requires: python3 >= 3.11, shadow-utils
AutoReqProv: no
%global __brp_python_bytecompile %{{nil}}
%global __os_install_post %{{nil}}
%description
Reads the metrics that node_exporter reads, under the same names, and reports them to
a Watchdesk collector. It takes no code and no address from there, and examines what
the policy of this machine allows.
%post
{INSTALLED}
%preun
[ "$1" = 0 ] || exit 0
{REMOVED_BEFORE}
%postun
[ "$1" = 0 ] || exit 0
{REMOVED_AFTER}
%files
%dir /{LIBRARY}
{listed}
"""
    with tempfile.TemporaryDirectory() as top:
        tree = Path(top) / "tree"
        for path, file in content.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data)
            target.chmod(file.mode)
        (Path(top) / "agent.spec").write_text(spec)
        command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", "--buildroot", str(tree)]
        subprocess.run([*command, f"{top}/agent.spec"], check=True, capture_output=True)  # noqa: S603
        (made,) = Path(top).glob("RPMS/*/*.rpm")
        return made.rename(folder / made.name)


def archive(folder: Path) -> Path:
    """Write the files as a .tar.gz, for systems that have neither."""
    made = folder / f"watchdesk-agent-{__version__}.tar.gz"
    made.write_bytes(tar(files()))
    return made


def main() -> int:
    """Build what was asked for."""
    kinds = {"deb": deb, "rpm": rpm, "tar": archive}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    made = kinds[sys.argv[1]](folder)
    print(f"{made} ({made.stat().st_size >> 10} KiB, {time.monotonic() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
