"""Installs the Debian packages that the tests drive, where this user may; says which are missing where not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

# program -> Debian package
PROGRAMS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "chromium": "chromium",
    "snmpd": "snmpd",
    "snmptrap": "snmp",
    "prometheus-snmp-exporter": "prometheus-snmp-exporter",
    "strace": "strace",
    "ip": "iproute2",
    "tcpdump": "tcpdump",
    "msgfmt": "gettext",
    "rpmbuild": "rpm",
    "debootstrap": "debootstrap",
    "wixl": "wixl",
    "msiinfo": "msitools",
    "systemd-analyze": "systemd",
}
# what only `make soak` drives: Wine, and what builds a launcher for it
SOAK = {"wine": "wine", "wineserver": "wine", "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64-win32"}


def missing(programs: Mapping[str, str] = PROGRAMS) -> list[str]:
    """Return the programs that are not on the path."""
    return [program for program in programs if shutil.which(program) is None]


def install(packages: list[str]) -> None:
    """Install Debian packages without starting the services they bring."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    print(f"Installing for the tests: {' '.join(packages)} ...", flush=True)
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages],
    ):
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)


def main() -> int:
    """Install what is missing, of soak runs too with the word soak; in CI a program that stays missing is a failure."""
    programs = PROGRAMS | SOAK if sys.argv[1:] == ["soak"] else PROGRAMS
    absent = missing(programs)
    if absent and shutil.which("apt-get") and os.geteuid() == 0:
        install(sorted({programs[program] for program in absent}))
        absent = missing(programs)
    if absent:
        packages = " ".join(sorted({programs[program] for program in absent}))
        print(f"Tests that need {', '.join(absent)} cannot run; install: {packages}", file=sys.stderr)
    return 1 if absent and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
