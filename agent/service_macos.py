"""The agent under launchd, after launchd.plist(5), launchctl(1) and sysadminctl(8); not run on a Mac yet."""

from __future__ import annotations

from agent.service import Remove, Run, Step, Write

LABEL = "net.watchdesk.agent"
USER = "_watchdesk"
PLIST_FILE = f"/Library/LaunchDaemons/{LABEL}.plist"

PLIST = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>{label}</string>
  <key>ProgramArguments</key>
  <array><string>{program}</string><string>--state</string><string>{directory}</string><string>run</string></array>
  <key>UserName</key><string>{user}</string>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>10</integer>
  <key>ProcessType</key><string>Background</string>
  <key>LowPriorityIO</key><true/>
  <key>ExitTimeOut</key><integer>15</integer>
  <key>SoftResourceLimits</key><dict><key>NumberOfFiles</key><integer>256</integer></dict>
</dict>
</plist>
"""


def escaped(text: str) -> str:
    """Return a text as XML has it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def install(directory: str, program: str) -> list[Step]:
    """Return the steps that load it, now and at each boot."""
    text = PLIST.format(label=LABEL, user=USER, program=escaped(program), directory=escaped(directory))
    return [
        Run(("sysadminctl", "-addUser", USER, "-roleAccount", "-UID", "399"), may_fail=True),  # it is there already
        Run(("chown", "-R", USER, directory)),
        Write(PLIST_FILE, text),
        Run(("launchctl", "bootout", f"system/{LABEL}"), may_fail=True),
        Run(("launchctl", "bootstrap", "system", PLIST_FILE)),
    ]


def stop() -> list[Step]:
    """Return the steps that end it; it says goodbye."""
    return [Run(("launchctl", "bootout", f"system/{LABEL}"), may_fail=True)]


def remove() -> list[Step]:
    """Return the steps that take it away."""
    return [Remove(PLIST_FILE), Run(("sysadminctl", "-deleteUser", USER), may_fail=True)]
