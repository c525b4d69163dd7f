"""When an inventory has changed: each part's fingerprint is kept, and the whole is sent when one differs."""

from __future__ import annotations

import hashlib
import json

from agent.heavy.tools import Inventory, mapping, number
from agent.probes import NoData
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent.heavy.tools import Found, Task

METRIC = "watchdesk_inventory_change_timestamp_seconds"
FULL_AGAIN = (
    7 * 86_400.0
)  # seconds after which the whole is sent though nothing changed: the other end may have lost it


def inventory(task: Task, collectors: Mapping[str, Callable[[Task], object]]) -> Iterator[Found]:
    """Collect the parts that are allowed, send them if any differs from the last time, and tell when each did."""
    parts: dict[str, object] = {}
    for name, collect in collectors.items():
        if not task.allows(name):
            continue
        try:
            found = collect(task)
        except (NoData, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            continue  # of others' files and programs; what is missing is no change
        if found:
            parts[name] = found
    known = mapping(task.memory.get("parts"))
    fresh: dict[str, object] = {}
    changed = False
    for name, content in {**parts, **derived(parts)}.items():
        digest = fingerprint(content)
        before = mapping(known.get(name))
        if before.get("digest") == digest:
            fresh[name] = before
            continue
        changed = True
        # The first inventory is no change of anything.
        fresh[name] = {"digest": digest, "time": round(task.now) if before else 0}
    sent = number(task.memory.get("sent")) or 0.0
    if changed or set(known) - set(fresh) or not 0 <= task.now - sent < FULL_AGAIN:
        task.memory["sent"] = round(task.now)
        yield Inventory(parts)
    task.memory["parts"] = fresh
    for name, state in fresh.items():
        yield METRIC + labels(part=name), number(mapping(state).get("time")) or 0.0


def fingerprint(content: object) -> str:
    """Return a short text that is another when the content is another."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def derived(parts: Mapping[str, object]) -> dict[str, object]:
    """Return what rules ask about by itself: the disks' serial numbers, the name of the machine, its memory."""
    found: dict[str, object] = {}
    disks = parts.get("disks")
    serials = sorted(str(disk["serial"]) for disk in disks if disk.get("serial")) if isinstance(disks, list) else []
    if serials:
        found["disk_serial"] = serials
    for name, part, member in (("hostname", "os", "hostname"), ("memory", "hardware", "memory_bytes")):
        value = mapping(parts.get(part)).get(member)
        if value:
            found[name] = value
    return found
