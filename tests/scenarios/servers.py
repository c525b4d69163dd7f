"""Servers: restarts, disks, services, levels."""

from tests.scenarios.network import Restart
from tests.scenarios.sites import ONE, OWN, TWO
from tests.scenarios.story import Story, stories, ticket
from ticketing.work import Acknowledge, Assign

GIB = 2.0**30
SIZE = 'node_filesystem_size_bytes{device="sda1",fstype="ext4",mountpoint="/"}'
FREE = 'node_filesystem_avail_bytes{device="sda1",fstype="ext4",mountpoint="/"}'


def a_server_reboots_with_a_goodbye(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(600).goodbye("update", 900.0, "h0")
    story.at(1140).boots("h0")
    story.ends(2400)


def a_server_reboots_without_a_goodbye(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(600).dies("h0")
    story.at(720).boots("h0")
    story.ends(900, ticket("Rebooted", "h0", state="open", severity="info"))
    story.ends(1800, ticket("Rebooted", "h0", state="resolved"))


def a_server_is_away_long_and_boots(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(600).dies("h0")
    story.at(1500).boots("h0")
    story.ends(3900, ticket("HostDown", "h0", state="resolved", members=1))


def a_server_never_comes_back_from_its_update(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(600).goodbye("update", 600.0, "h0")
    story.ends(2400, ticket("HostDown", "h0", state="open"))


def a_server_is_shut_down_on_purpose(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(600).goodbye("shutdown", 86_400.0, "h0")
    story.ends(3600)


def a_disk_fills_quickly(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(0).series("h0", {SIZE: 100 * GIB, FREE: 60 * GIB})
    story.at(300).series("h0", {FREE: 8 * GIB})
    story.at(600).series("h0", {FREE: 3 * GIB})
    story.ends(450, ticket("DiskFull", "h0", state="open", severity="warning", priority=3))
    story.ends(900, ticket("DiskFull", "h0", state="open", severity="critical", priority=1))


def a_disk_is_cleaned_halfway_and_then_whole(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(0).series("h0", {SIZE: 100 * GIB, FREE: 3 * GIB})
    story.at(600).series("h0", {FREE: 8 * GIB})
    story.at(1200).series("h0", {FREE: 60 * GIB})
    story.ends(900, ticket("DiskFull", "h0", state="open", severity="warning"))
    story.ends(1500, ticket("DiskFull", "h0", state="resolved"))


def a_disk_is_full_while_the_server_dies(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(0).series("h0", {SIZE: 100 * GIB, FREE: 8 * GIB})
    story.at(600).dies("h0")
    story.ends(1500, ticket("DiskFull", "h0", state="open"), ticket("HostDown", "h0", state="open"))


def a_disk_fills_slowly(restart: Restart) -> None:
    story = Story(ONE, step=60.0, restart=restart)
    story.at(0).series("h0", {SIZE: 100 * GIB, FREE: 30 * GIB})
    for moment in story.every(300, 300, 10 * 3600):
        free = max(0.5, 30 - 3 * moment.time / 3600)
        moment.series("h0", {FREE: free * GIB})
    story.ends(9 * 3600 + 1800, ticket("DiskFull", "h0", state="open", severity="critical"))


def a_level_flaps(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    for moment in story.every(120, 60, 900):
        moment.reads("h0", level=7)
        story.at(moment.time + 60).reads("h0", level=0)
    story.ends(1020, ticket("Level", "h0", flapping=True))
    story.ends(3600, ticket("Level", "h0", state="resolved", flapping=False))


def warning_and_critical_are_one(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", level=7)
    story.at(300).reads("h0", level=10)
    story.at(600).reads("h0", level=7)
    story.ends(450, ticket("Level", "h0", severity="critical", priority=1, state="open"))
    story.ends(750, ticket("Level", "h0", severity="warning", priority=3, state="open"))


def an_acknowledgement_holds_until_things_get_worse(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", level=7)
    story.at(300).does("Level", "h0", Acknowledge())
    story.at(360).reads("h0", level=8)
    story.at(600).reads("h0", level=10)
    story.ends(450, ticket("Level", "h0", state="acknowledged"))
    story.ends(750, ticket("Level", "h0", state="open", severity="critical"))


def somebody_works_on_it_when_it_recovers(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", level=7)
    story.at(300).does("Level", "h0", Assign("erin"))
    story.at(600).reads("h0", level=0)
    story.ends(900, ticket("Level", "h0", state="recovered"))


def it_comes_again_within_a_day(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", level=7)
    story.at(300).reads("h0", level=0)
    story.at(3600).reads("h0", level=7)
    story.ends(3900, ticket("Level", "h0", state="open", count=2))


def the_agent_stops_sending_one_value(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", level=7)
    story.at(300).dies("h0")
    story.at(540).lives("h0")
    story.ends(900, ticket("Level", "h0", state="open"))


def a_fault_that_is_coming_weighs_less(restart: Restart) -> None:
    story = Story(TWO, own=OWN, restart=restart)
    story.at(60).reads("h0", hours_left=9)
    story.at(60).reads("h1", level=10)
    story.ends(300, ticket("FillsUp", "h0", priority=2), ticket("Level", "h1", priority=1))
    found = story.child("FillsUp", "h0")
    assert found.expected_at is not None
    assert found.expected_at > found.opened_at


def what_depends_on_another_alert_is_held_back(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", app_slow=1)
    story.at(120).reads("h0", app_crashes=1)
    story.at(600).reads("h0", app_crashes=0, app_slow=0)
    story.ends(450, ticket("AppCrash", "h0", state="open", members=1))
    story.ends(900, ticket("AppCrash", "h0", state="resolved", members=1))


def what_depended_on_another_alert_stays_broken(restart: Restart) -> None:
    story = Story(ONE, own=OWN, restart=restart)
    story.at(60).reads("h0", app_crashes=1)
    story.at(120).reads("h0", app_slow=1)
    story.at(600).reads("h0", app_crashes=0)
    story.ends(1200, ticket("AppCrash", "h0", state="resolved"), ticket("AppSlow", "h0", state="open"))


def one_incident_for_a_site_by_annotation(restart: Restart) -> None:
    story = Story(TWO, own=OWN, restart=restart)
    story.at(60).reads(("h0", "h1"), noise=1)
    story.ends(300, ticket("SiteNoise", "h0", state="open", count=2))


def the_clock_of_a_server_jumps(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(60).reads("h0", watchdesk_clock_offset_seconds=3600)
    story.at(600).reads("h0", watchdesk_clock_offset_seconds=0)
    story.ends(450, ticket("ClockOff", "h0", state="open"))
    story.ends(1200, ticket("ClockOff", "h0", state="resolved"))


STORIES = stories(__name__, globals())
