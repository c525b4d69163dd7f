"""The operating system and what is installed, on Linux."""

from __future__ import annotations

import os

from agent.heavy.tools import lines_of
from agent.probes.host import list_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.heavy.tools import Task

MAX_PACKAGES = 10_000
MAX_STATUS = 64 << 20
RPM = ["rpm", "-qa", "--queryformat", "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"]


def system(task: Task) -> object:
    """Return distribution, kernel, architecture, and the machine's name."""
    release: dict[str, str] = {}
    for line in lines_of(task.host.root + "/etc/os-release"):
        name, _, value = line.partition("=")
        release[name] = value.strip("\"'")
    kernel = task.host.read_proc("sys/kernel/osrelease").strip()
    return {
        "name": release.get("PRETTY_NAME", "Linux"),
        "id": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "kernel": kernel,
        "architecture": os.uname().machine,
        "hostname": task.host.read_proc("sys/kernel/hostname").strip(),
    }


def packages(task: Task) -> object:
    """Return the packages of dpkg, rpm, pacman or apk; of snap too."""
    root = task.host.root
    found = dpkg("\n".join(lines_of(root + "/var/lib/dpkg/status", MAX_STATUS)))
    if not found:
        found = rows(task.command(RPM, timeout=30.0).text)
    if not found:
        found = apk("\n".join(lines_of(root + "/lib/apk/db/installed", MAX_STATUS)))
    if not found and os.path.isdir(root + "/var/lib/pacman/local"):
        found = [_named(name) for name in list_directory(root + "/var/lib/pacman/local") if name.count("-") > 1]
    return found[:MAX_PACKAGES]


def _named(folder: str) -> dict[str, str]:
    name, version, release = folder.rsplit("-", 2)
    return {"name": name, "version": f"{version}-{release}"}


def dpkg(text: str) -> list[dict[str, str]]:
    """Return the installed packages of /var/lib/dpkg/status: paragraphs of `Name: value`."""
    found = []
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[:1] != " ")
        if fields.get("Status", "").endswith(" installed"):
            found.append({"name": fields.get("Package", ""), "version": fields.get("Version", "")})
    return sorted(found, key=lambda package: package["name"])


def rows(text: str) -> list[dict[str, str]]:
    """Return the packages of lines of NAME, VERSION and architecture with tabs between."""
    split = (line.split("\t") for line in text.splitlines())
    return sorted(({"name": row[0], "version": row[1]} for row in split if len(row) > 1), key=lambda one: one["name"])


def apk(text: str) -> list[dict[str, str]]:
    """Return the packages of Alpine's database: paragraphs with P: and V:."""
    found = []
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if line[1:2] == ":")
        if "P" in fields:
            found.append({"name": fields["P"], "version": fields.get("V", "")})
    return found


def kernels(task: Task) -> object:
    """Return the kernels that are installed: which fixes wait for a restart."""
    return [{"kernel": name} for name in list_directory(task.host.root + "/lib/modules")]
