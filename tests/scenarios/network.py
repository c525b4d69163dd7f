"""Switches, lines and sites."""

from tests.scenarios.sites import BRANCH, FLAT, HOSTS, OFFICE, OWN, TREE, TWO
from tests.scenarios.story import Story, stories, ticket
from ticketing.work import Merge, Split

Restart = float | None


def a_switch_dies_and_comes_back(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).dies("sw1", *HOSTS)
    story.at(900).lives("sw1", *HOSTS)
    story.ends(750, ticket("DeviceDown", "sw1", state="open", members=8, priority=1, people=80))
    assert story.child("HostDown", "h3").state == "suppressed"
    story.ends(1300, ticket("DeviceDown", "sw1", state="resolved", members=8))


def a_switch_with_48_hosts_behind_it(restart: Restart) -> None:
    hosts = [f"h{number}" for number in range(48)]
    story = Story(
        OFFICE.split("  h0")[0] + "".join(f"  {h}.hq.acme: {{parent: sw1}}\n" for h in hosts), restart=restart
    )
    story.at(60).dies("sw1", *hosts)
    story.ends(600, ticket("DeviceDown", "sw1", state="open", members=48))


def one_host_stays_down_when_the_switch_is_back(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).dies("sw1", *HOSTS)
    story.at(900).lives("sw1", *HOSTS[1:])
    story.ends(1300, ticket("DeviceDown", "sw1", state="resolved", members=7), ticket("HostDown", "h0", state="open"))


def a_switch_dies_again_within_the_grace(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).dies("sw1", *HOSTS)
    story.at(900).lives("sw1")
    story.at(960).dies("sw1")
    story.ends(1400, ticket("DeviceDown", "sw1", state="open", members=8, count=2))


def a_host_dies_alone(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).dies("h0")
    story.ends(600, ticket("HostDown", "h0", state="open", priority=1, severity="critical"))


def a_host_died_long_before_its_switch(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).dies("h0")
    story.at(1800).dies("sw1", *HOSTS[1:])
    story.ends(2400, ticket("HostDown", "h0", state="open"), ticket("DeviceDown", "sw1", state="open", members=7))


def hosts_are_heard_of_before_their_switch(restart: Restart) -> None:
    story = Story(OFFICE, own=OWN, restart=restart)
    story.at(0).reads(HOSTS, quick=1)
    story.at(60).dies(*HOSTS)
    story.at(75).dies("sw1")
    story.ends(300, ticket("DeviceDown", "sw1", state="open", members=8))


def the_core_dies_with_two_levels_behind_it(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    story.at(60).dies("core", "acc1", "acc2", *HOSTS[:6])
    story.ends(600, ticket("DeviceDown", "core", state="open", people=80))
    assert story.child("DeviceDown", "acc1").parent == story.child("DeviceDown", "core").id
    assert story.child("HostDown", "h0").parent is not None


def the_core_dies_and_only_one_branch_comes_back(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    story.at(60).dies("core", "acc1", "acc2", *HOSTS[:6])
    story.at(900).lives("core", "acc1", *HOSTS[:3])
    story.ends(
        1500, ticket("DeviceDown", "core", state="resolved"), ticket("DeviceDown", "acc2", state="open", members=3)
    )


def one_access_switch_of_two_dies(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    story.at(60).dies("acc1", *HOSTS[:3])
    story.ends(600, ticket("DeviceDown", "acc1", state="open", members=3))


def two_switches_die_for_causes_of_their_own(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    story.at(60).dies("acc1", *HOSTS[:3])
    story.at(1800).dies("acc2", *HOSTS[3:6])
    story.ends(
        2400,
        ticket("DeviceDown", "acc1", state="open", members=3),
        ticket("DeviceDown", "acc2", state="open", members=3),
    )


def the_firewall_is_cut_with_all_behind_it(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    story.at(60).dies("fw1", "core", "acc1", "acc2", *HOSTS[:6])
    story.ends(600, ticket("DeviceDown", "fw1", state="open", priority=1, people=80))
    assert story.child("DeviceDown", "fw1").devices == 10


def an_uplink_port_goes_down_with_its_switch(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    port = 'ifOperStatus{ifIndex="1",ifName="Te1/1"}'
    admin = 'ifAdminStatus{ifIndex="1",ifName="Te1/1"}'
    story.at(0).series("core", {port: 1.0, admin: 1.0})
    story.at(120).series("core", {port: 2.0})
    story.at(120).dies("acc1", *HOSTS[:3])
    story.ends(700, ticket("DeviceDown", "acc1", state="open", members=4))
    assert story.child("PortDown", "core").parent == story.child("DeviceDown", "acc1").id


def a_port_goes_down_and_the_server_on_it(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    port = 'ifOperStatus{ifIndex="3",ifName="GigabitEthernet0/3"}'
    story.at(0).series("sw1", {port: 1.0, port.replace("Oper", "Admin"): 1.0})
    story.at(120).series("sw1", {port: 2.0})
    story.at(120).dies("h3")
    story.ends(700, ticket("PortDown", "sw1", state="open", members=1, priority=1))


def a_sites_link_flaps(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    for at in range(60, 1200, 240):
        story.at(at).dies("sw1")
        story.at(at + 120).lives("sw1")
    story.ends(1300, ticket("DeviceDown", "sw1", flapping=True, count=5))
    story.ends(4000, ticket("DeviceDown", "sw1", state="resolved", flapping=False))


def a_flapping_switch_with_its_hosts(restart: Restart) -> None:
    story = Story(OFFICE, own=OWN, restart=restart)
    story.at(0).reads(HOSTS, quick=1)
    for at in range(60, 1200, 240):
        story.at(at).dies("sw1", *HOSTS)
        story.at(at + 120).lives("sw1", *HOSTS)
    story.ends(1300, ticket("DeviceDown", "sw1", flapping=True, count=5, members=8))


def a_site_vanishes_of_which_no_wiring_is_known(restart: Restart) -> None:
    story = Story(FLAT, restart=restart)
    story.at(60).dies(*HOSTS)
    story.at(1200).lives(*HOSTS)
    story.ends(900, ticket("SiteDown", "", state="open", members=8, people=80, priority=1))
    story.ends(1700, ticket("SiteDown", "", state="resolved", members=8))


def a_site_vanishes_bit_by_bit(restart: Restart) -> None:
    story = Story(FLAT, restart=restart)
    for number, host in enumerate(HOSTS):
        story.at(60 + 30 * number).dies(host)
    story.ends(1200, ticket("SiteDown", "", state="open", members=8))


def most_of_a_site_comes_back(restart: Restart) -> None:
    story = Story(FLAT, restart=restart)
    story.at(60).dies(*HOSTS)
    story.at(1200).lives(*HOSTS[:6])
    story.ends(
        1800,
        ticket("SiteDown", "", state="resolved"),
        ticket("HostDown", "h6", state="open"),
        ticket("HostDown", "h7", state="open"),
    )


def a_few_servers_of_a_site_die_apart(restart: Restart) -> None:
    story = Story(FLAT, restart=restart)
    story.at(60).dies("h0")
    story.at(3600).dies("h1")
    story.ends(4200, ticket("HostDown", "h0", state="open"), ticket("HostDown", "h1", state="open"))


def both_servers_of_a_small_site(restart: Restart) -> None:
    story = Story(TWO, restart=restart)
    story.at(60).dies("h0", "h1")
    story.ends(900, ticket("SiteDown", "", state="open", members=2))


def a_relay_falls_silent_with_its_site(restart: Restart) -> None:
    story = Story(BRANCH, restart=restart)
    story.at(60).dies("relay1", *HOSTS[:4])
    story.ends(900, ticket("RelaySilent", "relay1", state="open", people=80, priority=1))


def a_person_splits_a_child_off(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).dies("sw1", *HOSTS)
    story.at(600).does("HostDown", "h2", Split("its disk is gone"))
    story.ends(900, ticket("DeviceDown", "sw1", members=7), ticket("HostDown", "h2", state="open"))


def a_person_merges_what_belongs_together(restart: Restart) -> None:
    story = Story(TREE, restart=restart)
    story.at(60).dies("acc1", *HOSTS[:3])
    story.at(1800).dies("acc2", *HOSTS[3:6])
    story.run(2400)
    parent = story.child("DeviceDown", "acc1").id
    story.at(2415).does("DeviceDown", "acc2", Merge(parent))
    story.ends(2700, ticket("DeviceDown", "acc1", state="open", members=4))
    story.at(2715).lives("acc1", *HOSTS[:3])
    story.ends(3300, ticket("DeviceDown", "acc1", state="resolved"), ticket("DeviceDown", "acc2", state="open"))


def a_device_answers_ping_but_not_snmp_and_then_neither(restart: Restart) -> None:
    story = Story(OFFICE.split("  h0")[0], restart=restart)
    story.at(60).dies("sw1")
    story.ends(600, ticket("DeviceDown", "sw1", state="open"))


STORIES = stories(__name__, globals())
