"""Every story, once as it is, and (a long run) with a collector that dies and comes back in the middle of it."""

from collections.abc import Callable

import pytest
from _pytest.mark import ParameterSet

from tests.scenarios import desktops, network, power, quiet, servers

STORIES: list[Callable[[float | None], None]] = [
    *network.STORIES,
    *power.STORIES,
    *servers.STORIES,
    *desktops.STORIES,
    *quiet.STORIES,
]
STORIES = [story for story in STORIES if getattr(story, "__name__", "") != "Wanted"]


def name(story: Callable[[float | None], None]) -> str:
    return story.__name__


# What `make test` plays; the long run plays all, and each with restarts.
SHORT = frozenset(
    (
        "a_disk_is_full_while_the_server_dies",
        *("a_switch_dies_and_comes_back", "one_host_stays_down_when_the_switch_is_back", "a_host_dies_alone"),
        *("hosts_are_heard_of_before_their_switch", "a_site_vanishes_of_which_no_wiring_is_known"),
        *("a_relay_falls_silent_with_its_site", "power_fails_in_a_rack", "a_rack_without_a_ups_goes_dark"),
        *(
            "a_server_reboots_with_a_goodbye",
            "a_disk_is_cleaned_halfway_and_then_whole",
            "warning_and_critical_are_one",
        ),
        *("a_fault_that_is_coming_weighs_less", "what_depends_on_another_alert_is_held_back"),
        *("a_few_desktops_miss_a_dead_server", "four_desktops_are_no_group"),
        *("maintenance_of_one_rule_alone", "a_silence_and_its_end", "a_recovery_gets_through_the_maintenance"),
    )
)


def played(story: Callable[[float | None], None], *marks: pytest.MarkDecorator) -> ParameterSet:
    return pytest.param(story, marks=marks, id=name(story))


@pytest.mark.parametrize(
    "story", [played(one) if name(one) in SHORT else played(one, pytest.mark.soak) for one in STORIES]
)
def test_story(story: Callable[[float | None], None]) -> None:
    story(None)


@pytest.mark.soak
@pytest.mark.parametrize("middle", [75.0, 420.0, 915.0])
@pytest.mark.parametrize("story", [played(one) for one in STORIES])
def test_with_a_restart(story: Callable[[float | None], None], middle: float) -> None:
    story(middle)
