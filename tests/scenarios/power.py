"""Mains, UPSes and racks."""

from tests.scenarios.network import Restart
from tests.scenarios.sites import HOSTS, OFFICE, RACKS
from tests.scenarios.story import Story, stories, ticket

BATTERY = {"upsOutputSource": 5.0}
MAINS = {"upsOutputSource": 3.0}


def power_fails_in_a_rack(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), MAINS)
    story.at(60).series("ups1", BATTERY)
    story.at(300).dies(*HOSTS[:4])
    story.ends(900, ticket("UpsOnBattery", "ups1", state="open", members=4))


def the_battery_runs_out_and_the_ups_dies_too(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), MAINS)
    story.at(60).series("ups1", BATTERY)
    story.at(300).dies("ups1", *HOSTS[:4])
    story.ends(900, ticket("UpsOnBattery", "ups1", state="open", members=5))


def power_comes_back_and_all_boot(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), MAINS)
    story.at(60).series("ups1", BATTERY)
    story.at(300).dies(*HOSTS[:4])
    story.at(900).series("ups1", MAINS)
    story.at(930).boots(*HOSTS[:4])
    story.ends(2700, ticket("UpsOnBattery", "ups1", state="resolved"))


def a_rack_without_a_ups_goes_dark(restart: Restart) -> None:
    register = RACKS.replace("  ups1.hq.acme: {class: ups, rack: R1}\n", "")
    story = Story(register, restart=restart)
    story.at(0).series("ups2", MAINS)
    story.at(60).dies(*HOSTS[:4])
    story.ends(900, ticket("RackDown", "", state="open", members=4))


def one_server_dies_beside_a_ups_on_mains(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), MAINS)
    story.at(60).dies("h0")
    story.ends(900, ticket("HostDown", "h0", state="open"))


def a_server_of_the_other_rack_dies_during_an_outage(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), MAINS)
    story.at(60).series("ups1", BATTERY)
    story.at(300).dies("h0", "h1", "h2", "h3", "h5")
    story.ends(1200, ticket("UpsOnBattery", "ups1", members=4), ticket("HostDown", "h5", state="open"))


def a_short_blink_of_the_mains(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), MAINS)
    story.at(60).series("ups1", BATTERY)
    story.at(90).series("ups1", MAINS)
    story.ends(600)


def power_of_a_whole_site_fails(restart: Restart) -> None:
    story = Story(OFFICE + "  ups1.hq.acme: {class: ups}\n", restart=restart)
    story.at(0).series("ups1", MAINS)
    story.at(60).series("ups1", BATTERY)
    story.at(300).dies("ups1", "sw1", *HOSTS)
    story.ends(900, ticket("UpsOnBattery", "ups1", state="open", people=80, priority=1))


STORIES = stories(__name__, globals())
