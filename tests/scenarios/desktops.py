"""Desktops, and what hits many of them."""

from tests.scenarios.network import Restart
from tests.scenarios.sites import DESKS, DESKTOPS, LAPTOP, OWN
from tests.scenarios.story import Story, stories, ticket
from ticketing.work import Comment

DNS = 'dns_up{server="dc1"}'


def a_laptop_goes_home(restart: Restart) -> None:
    story = Story(LAPTOP, restart=restart)
    story.at(600).goodbye("sleep", 7 * 86_400.0, "pc0")
    story.ends(3600)


def a_desktop_is_switched_off(restart: Restart) -> None:
    story = Story(LAPTOP, restart=restart)
    story.at(600).dies("pc0")
    story.ends(3600)


def a_bad_patch_hits_forty_desktops(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    for number, desk in enumerate(DESKTOPS):
        story.at(60 + 15 * number).reads(desk, app_crashes=1)
    story.ends(900, ticket("AppCrash", "", state="open", members=40, people=40))


def the_patch_is_taken_back(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    story.at(60).reads(DESKTOPS, app_crashes=1)
    story.at(600).reads(DESKTOPS[:39], app_crashes=0)
    story.at(900).reads(DESKTOPS[39], app_crashes=0)
    story.ends(750, ticket("AppCrash", "", state="open", members=40))
    story.ends(1200, ticket("AppCrash", "", state="resolved", members=40))


def four_desktops_are_no_group(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    story.at(60).reads(DESKTOPS[:4], app_crashes=1)
    story.ends(450, *(ticket("AppCrash", desk, state="open") for desk in DESKTOPS[:4]))


def faults_far_apart_are_no_group(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, step=60.0, restart=restart)
    for number in range(6):
        story.at(60 + 3600 * number).reads(DESKTOPS[number], app_crashes=1)
    story.ends(6 * 3600, *(ticket("AppCrash", desk) for desk in DESKTOPS[:6]))


def what_a_person_works_on_stays_beside_the_group(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    story.at(60).reads(DESKTOPS[0], app_crashes=1)
    story.at(150).does("AppCrash", DESKTOPS[0], Comment("looking at it"))
    story.at(240).reads(DESKTOPS[1:], app_crashes=1)
    story.ends(600, ticket("AppCrash", DESKTOPS[0], state="open"), ticket("AppCrash", "", members=39))


def dns_dies(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    story.at(0).series(DESKTOPS, {DNS: 1.0})
    story.at(120).series(DESKTOPS, {DNS: 0.0})
    story.ends(450, ticket("NameServerSilent", "", state="open", members=40))


def dns_dies_with_its_server(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    story.at(0).series(DESKTOPS, {DNS: 1.0})
    story.at(120).series(DESKTOPS, {DNS: 0.0})
    story.at(120).dies("dc1")
    story.at(900).lives("dc1")
    story.at(900).series(DESKTOPS, {DNS: 1.0})
    story.ends(750, ticket("HostDown", "dc1", state="open", members=1, priority=1))
    story.ends(1300, ticket("HostDown", "dc1", state="resolved"))


def a_few_desktops_miss_a_dead_server(restart: Restart) -> None:
    story = Story(DESKS, own=OWN, restart=restart)
    story.at(0).series(DESKTOPS[:3], {DNS: 1.0})
    story.at(120).series(DESKTOPS[:3], {DNS: 0.0})
    story.at(120).dies("dc1")
    story.ends(750, ticket("HostDown", "dc1", state="open", members=3))


STORIES = stories(__name__, globals())
