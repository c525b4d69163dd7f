"""Maintenance and silences."""

from tests.scenarios.network import Restart
from tests.scenarios.sites import HOSTS, OFFICE, ONE, OWN, TWO
from tests.scenarios.story import Story, stories, ticket


def a_fault_that_ends_within_the_maintenance(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).maintains(1200, device="h0")
    story.at(300).reads("h0", level=7)
    story.at(900).reads("h0", level=0)
    story.ends(2400)


def what_still_burns_after_the_maintenance_opens(restart: Restart) -> None:
    story = Story(TWO, own=OWN, restart=restart)
    story.at(60).maintains(600)
    story.at(300).reads(("h0", "h1"), level=7)
    story.ends(630)
    story.ends(1200, ticket("Level", "h0", state="open"), ticket("Level", "h1", state="open"))
    assert story.child("Level", "h0").opened_at != story.child("Level", "h1").opened_at


def a_recovery_gets_through_the_maintenance(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", level=7)
    story.at(300).maintains(1200, device="h0")
    story.at(600).reads("h0", level=0)
    story.ends(900, ticket("Level", "h0", state="resolved"))


def maintenance_of_one_rule_alone(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).maintains(1200, rule="Level")
    story.at(300).reads("h0", level=7, app_crashes=1)
    story.ends(900, ticket("AppCrash", "h0", state="open"))


def maintenance_of_another_device(restart: Restart) -> None:
    story = Story(TWO, own=OWN, restart=restart)
    story.at(60).maintains(1200, device="h1")
    story.at(300).reads("h0", level=7)
    story.ends(900, ticket("Level", "h0", state="open"))


def a_switch_is_replaced_in_a_window(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).maintains(1800, device="sw1")
    story.at(120).dies("sw1", *HOSTS)
    story.at(900).lives("sw1", *HOSTS)
    story.ends(2700)


def a_switch_is_still_dead_after_its_window(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).maintains(900, device="sw1")
    story.at(120).dies("sw1", *HOSTS)
    story.ends(1500, ticket("DeviceDown", "sw1", state="open", members=8))


def a_silence_and_its_end(restart: Restart) -> None:
    story = Story(TWO, own=OWN, restart=restart)
    story.at(60).silences(600, "alertname=Level", "instance=~h0.*")
    story.at(300).reads(("h0", "h1"), level=7)
    story.ends(600, ticket("Level", "h1", state="open"))
    story.ends(750, ticket("Level", "h1", state="open"), ticket("Level", "h0", state="open"))


def a_silenced_fault_ends_by_itself(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).silences(1200, "alertname=Level")
    story.at(300).reads("h0", level=7)
    story.at(600).reads("h0", level=0)
    story.ends(2400)


def an_update_is_announced_and_services_stop(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(300).goodbye("update", 900.0, "h0")
    story.at(600).boots("h0")
    story.at(600).reads("h0", app_crashes=1)
    story.at(780).reads("h0", app_crashes=0)
    story.ends(2100)


def an_update_broke_a_service(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(300).goodbye("update", 900.0, "h0")
    story.at(600).boots("h0")
    story.at(600).reads("h0", app_crashes=1)
    story.ends(2100, ticket("AppCrash", "h0", state="open"))


STORIES = stories(__name__, globals())
