"""The unit tests of the packs, by the real promtool and by our own runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.packs.shipped import PACKS, UNIT_TESTS, alerts, checks, needs_promtool, promtool


@needs_promtool
def test_promtool_accepts_the_packs() -> None:
    done = promtool("check", "rules", "--lint-fatal", *PACKS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(PACKS)


@needs_promtool
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_promtool_passes(path: Path) -> None:
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_is_seen_to_fire() -> None:
    fired = {(check.alert, severity) for check in checks() for _, severity in check.firing}
    assert {(rule.alert, rule.severity) for rule in alerts()} - fired == set()


def test_each_alert_is_tried_on_a_quiet_a_recovering_and_a_silent_device() -> None:
    """By name: the devices "quiet", "recovers" and "missing" stand in a case of each alert (tried_in tells which)."""
    text = {path: path.read_text(encoding="utf-8") for path in UNIT_TESTS}
    tried: dict[str, set[str]] = {}
    for check in checks():
        case = text[check.file].split("\n  - name: ")[check.case + 1]
        tried.setdefault(check.alert, set()).update(
            device for device in ("quiet", "recovers", "missing") if f'instance="{device}.' in case
        )
    lacking = {name: {"quiet", "recovers", "missing"} - devices for name, devices in tried.items()}
    assert {name: devices for name, devices in lacking.items() if devices} == {}


def test_devices_do_what_their_names_say() -> None:
    """What is called quiet or missing never fires; what recovers has fired before and does not at the end."""
    last: dict[tuple[Path, int, str], bool] = {}
    ever: dict[tuple[Path, int, str], bool] = {}
    for check in checks():
        firing = {instance.split(".")[0] for instance, _ in check.firing}
        assert not firing & {"quiet", "missing"}, check
        case = (check.file, check.case, check.alert)
        last[case] = "recovers" in firing
        ever[case] = ever.get(case, False) or last[case]
    assert any(ever.values())
    assert [case for case, fires in last.items() if fires] == []
