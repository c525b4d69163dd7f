"""The agent under systemd: its user, its unit."""

from __future__ import annotations

import os

from agent.service import Remove, Run, Step, Write

USER = "watchdesk-agent"
# Who may read the journal and the logs; membership, for a unit that names a group which is not there does not start.
GROUPS = ("systemd-journal", "adm")
UNIT_FILE = "/etc/systemd/system/watchdesk-agent.service"
SYSUSERS = 'u watchdesk-agent - "Watchdesk agent" /var/lib/watchdesk-agent\n'

HOOK_FILE = "/usr/lib/systemd/system-sleep/watchdesk-agent"
HOOK = """\
#!/bin/sh
# The agent says goodbye before the machine sleeps, so that nobody takes it for dead.
[ "$1" != pre ] || exec systemctl kill --kill-who=main --signal=SIGUSR2 watchdesk-agent
"""

UNIT = """\
[Unit]
Description=Watchdesk agent
After=network-online.target
Wants=network-online.target
# Without an enrolment there is nobody to report to.
ConditionPathExists={directory}/token

[Service]
Type=notify
User=watchdesk-agent
Group=watchdesk-agent
ExecStart={program} --state {directory} run
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# It gives a sign of life twice in this time; without one it is ended and started again, and tells why it was.
WatchdogSec=120
LimitCORE=0
ExecStopPost=-/bin/sh -c 'echo "$SERVICE_RESULT" > {directory}/ended'
# A stop says goodbye to the collector, so that no ticket is raised; what cannot be sent stays in the spool.
TimeoutStopSec=15
StateDirectory={state}
StateDirectoryMode=0700
# Where people are asked before a diagnosis looks at what is theirs.
RuntimeDirectory=watchdesk-agent
RuntimeDirectoryMode=0755
UMask=0077

# However wrong it goes, the machine does not notice.
MemoryMax=128M
CPUQuota=20%
TasksMax=32
IOSchedulingClass=idle

# It reads, as nobody in particular. What would give it a view of its own of the mounted file systems is left out
# (ProtectSystem, ProtectHome, PrivateTmp and the like): it has to see the ones that everybody else sees, and a disk
# that is read-only for the agent alone would raise a ticket.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
# @resources stays allowed: the agent lowers its own priority. It asks how well the clock is kept, and cannot set it.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=adjtimex
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


# The agent is nobody in particular and can show nothing to anybody; so the user's own systemd sees that something is
# asked, and starts what asks, in the session and with the rights of the user. Nothing runs as long as nothing is asked.
ASKING_PATH = """\
[Unit]
Description=Watchdesk asks before it looks

[Path]
PathExistsGlob=/run/watchdesk-agent/ask-*

[Install]
WantedBy=default.target
"""
ASKING_SERVICE = """\
[Unit]
Description=Watchdesk asks before it looks

[Service]
ExecStart={program} consent --prompt
"""
USER_UNITS = "/etc/systemd/user"


def asking(program: str) -> dict[str, str]:
    """Return the units of a user's systemd, by file name."""
    return {
        "watchdesk-consent.path": ASKING_PATH,
        "watchdesk-consent.service": ASKING_SERVICE.format(program=program),
    }


def unit(directory: str, program: str) -> str:
    """Return the unit's text; the state is kept in `directory`, which is /var/lib/SOMETHING."""
    return UNIT.format(directory=directory, program=program, state=directory.removeprefix("/var/lib/"))


def install(directory: str, program: str, *, systemd: bool | None = None) -> list[Step]:
    """Return the steps; where systemd does not run, only the user is made, and what starts services must start it."""
    steps: list[Step] = [
        Run(
            ("useradd", "--system", "--home-dir", directory, "--no-create-home", "--shell", "/usr/sbin/nologin", USER),
            may_fail=True,  # it is there already
        ),
        *(Run(("usermod", "--append", "--groups", group, USER), may_fail=True) for group in GROUPS),
        Run(("chown", "-R", f"{USER}:{USER}", directory)),
    ]
    if os.path.isdir("/run/systemd/system") if systemd is None else systemd:
        steps += [
            Write(UNIT_FILE, unit(directory, program)),
            Write(HOOK_FILE, HOOK, 0o755),
            *(Write(f"{USER_UNITS}/{name}", text) for name, text in asking(program).items()),
            Run(("systemctl", "--global", "enable", "watchdesk-consent.path"), may_fail=True),
            Run(("systemctl", "daemon-reload")),
            Run(("systemctl", "enable", USER)),
            Run(("systemctl", "restart", USER)),
        ]
    return steps


def stop() -> list[Step]:
    """Return the steps that end it; it says goodbye."""
    return [Run(("systemctl", "disable", "--now", USER), may_fail=True)]


def remove() -> list[Step]:
    """Return the steps that take the unit and the user away."""
    return [
        Run(("systemctl", "--global", "disable", "watchdesk-consent.path"), may_fail=True),
        Remove(UNIT_FILE),
        Remove(HOOK_FILE),
        *(Remove(f"{USER_UNITS}/{name}") for name in asking("")),
        Run(("systemctl", "daemon-reload"), may_fail=True),
        Run(("systemctl", "reset-failed", USER), may_fail=True),
        Run(("userdel", USER), may_fail=True),
    ]
