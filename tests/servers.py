"""Installs the Debian packages that the tests drive, where this user may; says which are missing where not."""

import os
import shutil
import subprocess
import sys

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
}


def missing() -> list[str]:
    """Return the programs of PROGRAMS that are not on the path."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


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
    """Install what is missing; in CI a program that stays missing is a failure."""
    absent = missing()
    if absent and shutil.which("apt-get") and os.geteuid() == 0:
        install(sorted({PROGRAMS[program] for program in absent}))
        absent = missing()
    if absent:
        packages = " ".join(sorted({PROGRAMS[program] for program in absent}))
        print(f"Tests that need {', '.join(absent)} cannot run; install: {packages}", file=sys.stderr)
    return 1 if absent and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
