"""A register of a few devices and rules for the tests of diagnoses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ticketing.diagnosis.asked import Subject

FS01 = Subject(1, "fs01.hq.acme", "acme", "linux")


@dataclass(slots=True)
class Around:
    """What the collector knows; a test changes it as it likes."""

    devices: dict[tuple[str, str, str], Subject] = field(
        default_factory=lambda: {
            ("acme", "hq", "fs01"): FS01,
            ("globex", "hq", "fs01"): Subject(2, "fs01.hq.globex", "globex", "linux"),
        }
    )
    rules: Mapping[str, str] = field(
        default_factory=lambda: {"DiskFull": "disk.top_dirs path={{ $labels.mountpoint }}"}
    )

    def subject(self, customer: str, site: str, device: str) -> Subject | None:
        return self.devices.get((customer, site, device))

    def written(self, alertname: str, severity: str) -> str:
        return self.rules.get(alertname, "")
