"""Every story, once as it is, and (a long run) with a collector that dies and comes back in the middle of it."""

import random
from collections.abc import Callable

import pytest
from _pytest.mark import ParameterSet

from tests.scenarios import days, desktops, network, power, quiet, servers

STORIES: list[Callable[[float | None], None]] = [
    *network.STORIES,
    *power.STORIES,
    *servers.STORIES,
    *desktops.STORIES,
    *quiet.STORIES,
    *days.STORIES,
]


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
        *("power_is_back_and_machines_take_minutes_to_boot", "a_dead_server_is_taken_out_of_the_register"),
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


def moment(story: Callable[[float | None], None], seed: int) -> float:
    """Return when the collector dies, somewhere in what happens; the same at each run."""
    return random.Random(f"{seed} {name(story)}").uniform(30.0, (300.0, 900.0, 1500.0)[seed])


RESTARTED = frozenset(
    (
        *("a_switch_dies_and_comes_back", "an_update_broke_a_service"),
        *("warning_and_critical_are_one", "a_few_desktops_miss_a_dead_server"),
    )
)


@pytest.mark.parametrize(
    "story", [played(one) if name(one) in RESTARTED else played(one, pytest.mark.soak) for one in STORIES]
)
def test_with_a_restart(story: Callable[[float | None], None]) -> None:
    story(moment(story, 1))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("story", [played(one) for one in STORIES])
def test_with_another_restart(story: Callable[[float | None], None], seed: int) -> None:
    story(moment(story, seed))
