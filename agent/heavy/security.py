"""Firewall, virus scanner and disk encryption of Linux."""

from __future__ import annotations

import os
from datetime import datetime

from agent.heavy.tools import lines_of
from agent.probes import NoData
from agent.probes.filesystem import mounts
from agent.probes.host import list_directory, read_attribute
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task
    from agent.probes.host import Host

SIGNATURES = ("/var/lib/clamav/daily.cld", "/var/lib/clamav/daily.cvd")
SCANNERS = ("/run/clamav/clamd.ctl", "/run/clamav/clamd.pid", "/run/clamd.scan/clamd.sock")
DISK_TYPES = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs")
MAX_DEPTH = 8


def read(task: Task) -> Iterator[Found]:
    """Files of ufw, firewalld and ClamAV, nftables where we may ask; the device mapper's of each mounted disk.

    Metrics:
        watchdesk_firewall_enabled (gauge): Whether a firewall is on.
        watchdesk_antivirus_enabled (gauge): Whether a virus scanner is on.
        watchdesk_antivirus_signatures_timestamp_seconds (gauge): When its signatures were made.
        watchdesk_volume_encrypted (gauge): Whether a volume is encrypted.
    """
    found = [*_firewalls(task), *_clamav(task.host.root), *_encryption(task.host)]
    if not found:
        raise NoData("security")
    yield from found


def _firewalls(task: Task) -> Iterator[tuple[str, float]]:
    root = task.host.root
    configured = [line.partition("=")[2].strip() for line in lines_of(root + "/etc/ufw/ufw.conf") if "ENABLED=" in line]
    if configured:
        yield 'watchdesk_firewall_enabled{product="ufw"}', float(configured[-1].lower() == "yes")
    if os.path.isdir(root + "/etc/firewalld"):
        told = task.command(["firewall-cmd", "--state"])
        yield 'watchdesk_firewall_enabled{product="firewalld"}', float(told.code == 0)
    rules = task.command(["nft", "--stateless", "list", "ruleset"])
    if rules.code == 0:
        yield 'watchdesk_firewall_enabled{product="nftables"}', float(filters(rules.text))


def filters(ruleset: str) -> bool:
    """Whether nftables keeps anything out: a policy or a rule on what comes in that drops or rejects."""
    inside = False
    for line in ruleset.splitlines():
        words = line.replace(";", " ").split()
        if "hook" in words:
            inside = "input" in words
        if inside and ("drop" in words or "reject" in words):
            return True
        if words == ["}"]:
            inside = False
    return False


def _clamav(root: str) -> Iterator[tuple[str, float]]:
    label = labels(product="clamav")
    for path in SIGNATURES:
        made = next((signatures_made(line) for line in lines_of(root + path, 512)), None)
        if made is not None:
            yield "watchdesk_antivirus_signatures_timestamp_seconds" + label, made
            running = any(os.path.exists(root + scanner) for scanner in SCANNERS)
            yield "watchdesk_antivirus_enabled" + label, float(running)
            return


def signatures_made(head: str) -> float | None:
    """Return the time of ClamAV's head: `ClamAV-VDB:22 Nov 2026 09-30 +0000:27000:…`."""
    fields = head.split(":")
    if fields[0] != "ClamAV-VDB" or len(fields) < 2:
        return None
    try:
        return datetime.strptime(fields[1], "%d %b %Y %H-%M %z").timestamp()
    except ValueError:
        return None


def _encryption(host: Host) -> Iterator[tuple[str, float]]:
    try:
        table = list(mounts(host))
    except (NoData, OSError):
        return
    seen = set()
    for device, mountpoint, fstype, _ in table:
        if fstype in DISK_TYPES and device.startswith("/dev/") and mountpoint not in seen:
            seen.add(mountpoint)
            name = os.path.realpath(host.root + device).rpartition("/")[2]
            yield ("watchdesk_volume_encrypted" + labels(method="luks", mountpoint=mountpoint),
                   float(is_encrypted(host, name)))  # fmt: skip


def is_encrypted(host: Host, name: str, depth: int = 0) -> bool:
    """Whether a block device, or all that it lies on, is dm-crypt."""
    folder = f"{host.sys}/class/block/{name}"
    if (read_attribute(folder + "/dm/uuid") or "").startswith("CRYPT-"):
        return True
    try:
        below = list_directory(folder + "/slaves")
    except NoData:
        return False
    return bool(below) and depth < MAX_DEPTH and all(is_encrypted(host, one, depth + 1) for one in below)
