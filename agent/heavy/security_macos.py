"""Encryption, firewall, XProtect and Gatekeeper of macOS."""

from __future__ import annotations

import os

from agent.heavy.macos import plist
from agent.heavy.tools import NOT_FOUND
from agent.probes import NoData
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

FIREWALL = "/usr/libexec/ApplicationFirewall/socketfilterfw"
XPROTECT = (
    "/var/protected/xprotect/XProtect.bundle",
    "/Library/Apple/System/Library/CoreServices/XProtect.bundle",
    "/System/Library/CoreServices/XProtect.bundle",
)


def read(task: Task) -> Iterator[Found]:
    """fdesetup, socketfilterfw, spctl, and the age of XProtect's bundle.

    Metrics:
        watchdesk_volume_encrypted (gauge): Whether FileVault is on.
        watchdesk_firewall_enabled (gauge): Whether a firewall is on.
        watchdesk_antivirus_enabled (gauge): Whether its protection is on.
        watchdesk_antivirus_signatures_timestamp_seconds (gauge): When its signatures were made.
    """
    told = task.command(["fdesetup", "status"])
    if told.code == NOT_FOUND:
        raise NoData("fdesetup")
    yield "watchdesk_volume_encrypted" + labels(method="filevault", mountpoint="/"), float(is_on(told.text))
    firewall = task.command([FIREWALL, "--getglobalstate"])
    if firewall.code == 0:
        yield "watchdesk_firewall_enabled" + labels(product="Application Firewall"), float("enabled" in firewall.text)
    gatekeeper = task.command(["spctl", "--status"])
    label = labels(product="XProtect")
    if gatekeeper.text:
        yield "watchdesk_antivirus_enabled" + label, float("assessments enabled" in gatekeeper.text)
    for path in XPROTECT:
        bundle = task.host.root + path
        if plist(bundle + "/Contents/Info.plist"):
            made = os.stat(bundle + "/Contents/Info.plist").st_mtime
            yield "watchdesk_antivirus_signatures_timestamp_seconds" + label, made
            return


def is_on(text: str) -> bool:
    """Whether `fdesetup status` says that FileVault is on; while it encrypts it says so too, in a second line."""
    return text.startswith("FileVault is On.") and "Encryption in progress" not in text
