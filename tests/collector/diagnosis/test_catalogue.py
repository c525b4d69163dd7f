"""The collector's copy of the catalogue is what this version's agent says of itself."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from ticketing.diagnosis import catalogue
from ticketing.diagnosis.catalogue import Entry


def test_the_copy_is_what_the_agent_offers() -> None:
    """Otherwise: `watchdesk-agent diagnoses --json`, its lines as a list, is the new catalogue.json."""
    agent = str(Path(sys.executable).parent / "watchdesk-agent")
    done = subprocess.run([agent, "diagnoses", "--json"], capture_output=True, text=True, timeout=60, check=True)
    offered = [msgspec.convert(json.loads(line), Entry) for line in done.stdout.splitlines()]
    copy = Path(catalogue.__file__).with_name("catalogue.json").read_bytes()
    assert msgspec.json.decode(copy, type=list[Entry]) == sorted(offered, key=lambda one: one.name)
