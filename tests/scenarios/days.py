"""Bad days of ordinary offices: faults that come together, hide each other, or look like several."""

from tests.scenarios.network import Restart
from tests.scenarios.servers import FREE, GIB, SIZE
from tests.scenarios.sites import DESKTOPS, HOSTS, OFFICE, ONE, OWN, RACKS, SITE, TWO
from tests.scenarios.story import Story, stories, ticket

GUESTS = [f"vm{number}" for number in range(12)]
DOWN, UP = {'ifOperStatus{ifIndex="7",ifName="Gi0/7"}': 2.0}, {'ifOperStatus{ifIndex="7",ifName="Gi0/7"}': 1.0}
ADMIN = {'ifAdminStatus{ifIndex="7",ifName="Gi0/7"}': 1.0}

STACK = (
    SITE
    + "  core.hq.acme: {class: network}\n  acc1.hq.acme: {class: network, parent: core, port: Te1/2}\n"
    + "  acc2.hq.acme: {class: network, parent: acc1}\n"
    + "".join(f"  {host}.hq.acme: {{class: server, parent: acc{1 + int(host[1]) % 2}}}\n" for host in HOSTS)
)
VIRTUAL = (
    SITE
    + "  esx1.hq.acme: {class: server}\n  esx2.hq.acme: {class: server}\n  h0.hq.acme: {class: server}\n"
    + "".join(f"  {guest}.hq.acme: {{class: server, parent: esx1}}\n" for guest in GUESTS)
)
MAIL = (
    SITE
    + "  mail1.hq.acme: {class: server, services: [{name: Exchange, users: 60}]}\n"
    + "  prn1.hq.acme: {class: printer}\n  dc1.hq.acme: {class: server}\n"
    + "".join(f"  {desk}.hq.acme: {{class: desktop}}\n" for desk in DESKTOPS)
)
ROUTER = (
    SITE
    + "  r1.hq.acme: {class: network, role: router}\n  sw1.hq.acme: {class: network, parent: r1}\n"
    + "".join(f"  {host}.hq.acme: {{class: server, parent: sw1}}\n" for host in HOSTS)
)
WIFI = SITE + "  sw1.hq.acme: {class: network}\n  ap1.hq.acme: {class: network, parent: sw1, port: Gi0/7}\n"
ROAMING = SITE.replace("devices:", "devices:\n  pc0.hq.acme: {class: desktop}\n  b0.branch.acme: {class: server}")


def service(name: str, running: float) -> dict[str, float]:
    return {f'watchdesk_service_running{{name="{name}",start_mode="auto"}}': running}


def complaint(target: str, up: float) -> dict[str, float]:
    return {f'dns_up{{server="{target}"}}': up}


def the_core_dies_before_a_stack_of_two(restart: Restart) -> None:
    story = Story(STACK, own=OWN, restart=restart)
    story.at(0).reads(HOSTS, quick=1)
    story.at(60).dies("acc2", *HOSTS)
    story.at(75).dies("core", "acc1")
    story.at(900).lives("core", "acc1", "acc2", *HOSTS)
    story.ends(750, ticket("DeviceDown", "core", state="open", people=80, priority=1))
    story.ends(1500, ticket("DeviceDown", "core", state="resolved"))


def both_uplinks_of_a_site(restart: Restart) -> None:
    story = Story(ROUTER, restart=restart)
    wan = [f'ifOperStatus{{ifIndex="{port}",ifName="Wan{port}"}}' for port in (1, 2)]
    story.at(0).series("r1", dict.fromkeys(wan, 1.0) | {name.replace("Oper", "Admin"): 1.0 for name in wan})
    story.at(300).dies("r1", "sw1", *HOSTS)
    story.at(1500).lives("r1", "sw1", *HOSTS)
    story.ends(1200, ticket("DeviceDown", "r1", state="open", priority=1, people=80))
    story.ends(2100, ticket("DeviceDown", "r1", state="resolved"))


def the_line_and_then_its_peers(restart: Restart) -> None:
    story = Story(ROUTER, restart=restart)
    peers = [f'bgpPeerState{{bgpPeerRemoteAddr="10.0.0.{number}"}}' for number in (1, 2)]
    admin = [name.replace("bgpPeerState", "bgpPeerAdminStatus") for name in peers]
    story.at(0).series("r1", dict.fromkeys(peers, 6.0) | dict.fromkeys(admin, 2.0))
    story.at(300).series("r1", dict.fromkeys(peers, 1.0))
    story.at(330).dies("sw1", *HOSTS)
    story.at(1500).lives("sw1", *HOSTS)
    story.at(1500).series("r1", dict.fromkeys(peers, 6.0))
    story.ends(1200, ticket("BgpPeerDown", "r1", state="open", priority=1, people=80))
    story.ends(2400, ticket("BgpPeerDown", "r1", state="resolved"))


def a_line_card_dies(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    ports = [f'ifOperStatus{{ifIndex="{number}",ifName="Gi0/{number}"}}' for number in range(1, 25)]
    story.at(0).series("sw1", {text: 1.0 for port in ports for text in (port, port.replace("Oper", "Admin"))})
    story.at(300).series("sw1", dict.fromkeys(ports, 2.0))
    story.at(300).dies(*HOSTS[1:])
    story.at(1500).series("sw1", dict.fromkeys(ports[2:], 1.0))
    story.at(1500).lives(*HOSTS[3:])
    story.ends(1200, ticket("PortDown", "sw1", state="open"))
    story.at(2700).series("sw1", dict.fromkeys(ports, 1.0))
    story.at(2700).lives(*HOSTS)
    story.ends(2400, ticket("PortDown", "sw1", state="open"))
    story.ends(3600, ticket("PortDown", "sw1", state="resolved"))


def both_links_of_a_switch_are_cut(restart: Restart) -> None:
    story = Story(STACK, restart=restart)
    ports = [f'ifOperStatus{{ifIndex="{number}",ifName="Te1/{number}"}}' for number in (1, 2)]
    story.at(0).series("core", {text: 1.0 for port in ports for text in (port, port.replace("Oper", "Admin"))})
    story.at(300).series("core", dict.fromkeys(ports, 2.0))
    story.at(300).dies("acc1", "acc2", *HOSTS)
    story.at(1500).series("core", dict.fromkeys(ports, 1.0))
    story.at(1500).lives("acc1", "acc2", *HOSTS)
    story.ends(1200, ticket("DeviceDown", "acc1", state="open"))
    story.ends(2700, ticket("DeviceDown", "acc1", state="resolved"))


def all_services_of_a_server_die(restart: Restart) -> None:
    story = Story(MAIL, restart=restart)
    names = [f"MSExchange{number}" for number in range(8)]
    for number, name in enumerate(names):
        story.at(0).series("mail1", service(name, 1))
        story.at(300 + 15 * number).series("mail1", service(name, 0))
        story.at(1200).series("mail1", service(name, 1))
    story.ends(900, ticket("ServiceDead", "mail1", state="open", members=7, people=60))
    story.ends(2000, ticket("ServiceDead", "mail1", state="resolved"))


def the_servers_shut_down_before_the_battery_is_empty(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), {"upsOutputSource": 3.0, "upsEstimatedMinutesRemaining": 40.0})
    story.at(60).series("ups1", {"upsOutputSource": 5.0})
    story.at(300).series("ups1", {"upsEstimatedMinutesRemaining": 10.0})
    story.at(360).goodbye("shutdown", 3600.0, *HOSTS[:4])
    story.at(600).dies("ups1")
    story.ends(1200, ticket("UpsOnBattery", "ups1", state="open", severity="critical"))


def power_is_back_and_machines_take_minutes_to_boot(restart: Restart) -> None:
    story = Story(RACKS, restart=restart)
    story.at(0).series(("ups1", "ups2"), {"upsOutputSource": 3.0})
    story.at(60).series("ups1", {"upsOutputSource": 5.0})
    story.at(300).dies(*HOSTS[:4])
    story.at(900).series("ups1", {"upsOutputSource": 3.0})
    for number, host in enumerate(HOSTS[:4]):
        story.at(1080 + 60 * number).boots(host)
    story.ends(3000, ticket("UpsOnBattery", "ups1", state="resolved", members=4))


def a_rack_loses_power_with_the_switch_of_others(restart: Restart) -> None:
    register = RACKS.replace("h6.hq.acme: {class: server, rack: R2}", "h6.hq.acme: {class: server, parent: sw1}")
    story = Story(register + "  sw1.hq.acme: {class: network, rack: R1}\n", restart=restart)
    story.at(0).series(("ups1", "ups2"), {"upsOutputSource": 3.0})
    story.at(60).series("ups1", {"upsOutputSource": 5.0})
    story.at(300).dies("sw1", "h6", *HOSTS[:4])
    story.ends(900, ticket("UpsOnBattery", "ups1", state="open"))


def the_name_service_stops_and_thirty_desktops_miss_it(restart: Restart) -> None:
    story = Story(MAIL, own=OWN, restart=restart)
    story.at(0).series("dc1", service("DNS", 1))
    story.at(0).series(DESKTOPS[:30], complaint("dc1", 1))
    story.at(300).series("dc1", service("DNS", 0))
    for number, desk in enumerate(DESKTOPS[:30]):
        story.at(300 + 15 * (number // 3)).series(desk, complaint("dc1", 0))
    story.at(1200).series("dc1", service("DNS", 1))
    story.at(1200).series(DESKTOPS[:30], complaint("dc1", 1))
    story.ends(900, ticket("ServiceDead", "dc1", state="open"))
    story.ends(1800, ticket("ServiceDead", "dc1", state="resolved"))


def the_mail_service_dies_with_sixty_users(restart: Restart) -> None:
    story = Story(MAIL, restart=restart)
    story.at(0).series("mail1", service("MSExchangeTransport", 1))
    story.at(300).series("mail1", service("MSExchangeTransport", 0))
    story.at(900).series("mail1", service("MSExchangeTransport", 1))
    story.ends(600, ticket("ServiceDead", "mail1", state="open", people=60))
    story.ends(1200, ticket("ServiceDead", "mail1", state="resolved"))


def two_services_of_one_server_die_at_once(restart: Restart) -> None:
    story = Story(MAIL, restart=restart)
    story.at(0).series("mail1", service("MSExchangeTransport", 1) | service("Spooler", 1))
    story.at(300).series("mail1", service("MSExchangeTransport", 0) | service("Spooler", 0))
    story.ends(900, ticket("ServiceDead", "mail1", state="open"), ticket("ServiceDead", "mail1", state="open"))


def the_time_server_is_wrong_and_all_follow(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(300).reads(HOSTS, watchdesk_clock_offset_seconds=120)
    story.at(1500).reads(HOSTS, watchdesk_clock_offset_seconds=0)
    story.ends(900, ticket("ClockOff", "", state="open", members=8))
    story.ends(3000, ticket("ClockOff", "", state="resolved"))


def a_printer_is_out_of_toner_for_forty_desktops(restart: Restart) -> None:
    story = Story(MAIL, own=OWN, restart=restart)
    level = 'prtMarkerSuppliesLevel{prtMarkerSuppliesIndex="1",prtMarkerSuppliesDescription="Black"}'
    room = level.replace("Level", "MaxCapacity")
    story.at(0).series("prn1", {level: 900.0, room: 1000.0})
    story.at(0).series(DESKTOPS, {'print_stuck{printer="prn1"}': 0.0})
    story.at(300).series("prn1", {level: 50.0})
    story.at(1500).series(DESKTOPS, {'print_stuck{printer="prn1"}': 1.0})
    story.at(3000).series("prn1", {level: 1000.0})
    story.at(3000).series(DESKTOPS, {'print_stuck{printer="prn1"}': 0.0})
    story.ends(2400, ticket("TonerLow", "prn1", state="open", severity="critical"))
    story.ends(3600, ticket("TonerLow", "prn1", state="resolved"))


def a_patch_day_with_reboots_and_no_goodbye(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(60).maintains(2400)
    for number, host in enumerate(HOSTS):
        story.at(300 + 240 * number).dies(host)
        story.at(600 + 240 * number).boots(host)
    story.ends(3900)


def a_roaming_laptop(restart: Restart) -> None:
    story = Story(ROAMING, restart=restart)
    for at in (300, 1500):
        story.at(at).goodbye("sleep", 7 * 86_400.0, "pc0")
        story.at(at + 600).lives("pc0")
    story.at(2700).dies("pc0")
    story.ends(4500)


def the_port_of_an_access_point_flaps(restart: Restart) -> None:
    story = Story(WIFI, restart=restart)
    story.at(0).series("sw1", UP | ADMIN)
    for at in range(300, 2400, 420):
        story.at(at).series("sw1", DOWN)
        story.at(at).dies("ap1")
        story.at(at + 210).series("sw1", UP)
        story.at(at + 240).lives("ap1")
    story.ends(2400, ticket("DeviceDown", "ap1", flapping=True))
    story.ends(5400, ticket("DeviceDown", "ap1", state="resolved", flapping=False))


def a_host_of_twelve_virtual_machines(restart: Restart) -> None:
    story = Story(VIRTUAL, restart=restart)
    story.at(300).dies("esx1", *GUESTS)
    story.at(1500).boots("esx1")
    for number, guest in enumerate(GUESTS):
        story.at(1530 + 30 * number).boots(guest)
    story.ends(1200, ticket("HostDown", "esx1", state="open", members=12))
    story.ends(3600, ticket("HostDown", "esx1", state="resolved"))


def addresses_run_out(restart: Restart) -> None:
    story = Story(MAIL, own=OWN, restart=restart)
    story.at(0).reads(DESKTOPS[:25], dhcp_failed=0)
    for number, desk in enumerate(DESKTOPS[:25]):
        story.at(300 + 30 * number).reads(desk, dhcp_failed=1)
    story.at(1800).reads(DESKTOPS[:25], dhcp_failed=0)
    story.ends(1500, ticket("NoAddress", "", state="open", members=25))
    story.ends(2400, ticket("NoAddress", "", state="resolved"))


def a_disk_fills_while_its_agent_is_away(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(0).series("h0", {SIZE: 100 * GIB, FREE: 50 * GIB})
    story.at(300).dies("h0")
    story.at(1500).series("h0", {FREE: 2 * GIB})
    story.at(1500).lives("h0")
    story.ends(2400, ticket("HostDown", "h0", state="resolved"), ticket("DiskFull", "h0", state="open"))


def two_faults_of_one_device_at_once(restart: Restart) -> None:
    story = Story(MAIL, restart=restart)
    story.at(0).series("mail1", {SIZE: 100 * GIB, FREE: 50 * GIB} | service("MSExchangeIS", 1))
    story.at(300).series("mail1", {FREE: 2 * GIB} | service("MSExchangeIS", 0))
    story.ends(1200, ticket("DiskFull", "mail1", state="open"), ticket("ServiceDead", "mail1", state="open"))


def a_recovery_and_a_new_fault_during_the_maintenance(restart: Restart) -> None:
    story = Story(TWO, restart=restart)
    story.at(60).dies("h0")
    story.at(600).maintains(1800)
    story.at(900).lives("h0")
    story.at(1200).dies("h1")
    story.ends(2100, ticket("HostDown", "h0", state="resolved"))
    story.ends(3300, ticket("HostDown", "h0", state="resolved"), ticket("HostDown", "h1", state="open"))


def a_scanner_loads_all_servers(restart: Restart) -> None:
    story = Story(OFFICE, own=OWN, restart=restart)
    for number, host in enumerate(HOSTS):
        story.at(300 + 15 * number).reads(host, level=7)
    story.at(1500).reads(HOSTS, level=0)
    story.ends(900, ticket("Level", "", state="open", members=8))
    story.ends(2100, ticket("Level", "", state="resolved"))


def a_server_that_starts_again_and_again(restart: Restart) -> None:
    story = Story(TWO, restart=restart)
    for at in range(600, 2400, 300):
        story.at(at).dies("h0")
        story.at(at + 90).boots("h0")
    story.ends(2400, ticket("Rebooted", "h0", state="open"))


def a_switch_starts_again_within_two_minutes(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(300).dies("sw1", *HOSTS)
    story.at(420).lives("sw1", *HOSTS)
    story.ends(1500, ticket("DeviceDown", "sw1", state="resolved"))


def a_dead_server_is_taken_out_of_the_register(restart: Restart) -> None:
    story = Story(TWO, restart=restart)
    story.at(60).dies("h0")
    story.at(900).retires("h0")
    story.ends(1200, ticket("HostDown", "h0", state="resolved"))


def a_link_of_which_three_sources_tell(restart: Restart) -> None:
    story = Story(WIFI, restart=restart)
    story.at(0).series("sw1", UP | ADMIN)
    story.at(300).series("sw1", DOWN)  # a trap makes the poller ask at once; what it reads is this
    said = {
        "alertname": "InterfaceDown",
        "instance": "sw1:161",
        "ifName": "Gi0/7",
        "severity": "critical",
        "cluster": "eu",
    }
    for moment in story.every(60, 330, 1500):
        moment.posts(said)
    story.at(1500).posts(said, ends=1500)
    story.at(1530).series("sw1", UP)
    story.ends(1200, ticket("InterfaceDown", "sw1", state="open", members=1))
    story.ends(2400, ticket("InterfaceDown", "sw1", state="resolved"))


def a_dead_server_of_which_prometheus_tells_first(restart: Restart) -> None:
    story = Story(OFFICE, restart=restart)
    story.at(300).dies("h7")
    said = {"alertname": "InstanceDown", "instance": "h7.example.com:9100", "job": "node", "severity": "critical"}
    for moment in story.every(60, 360, 1500):
        moment.posts(said)
    story.at(1530).lives("h7")
    story.at(1560).posts(said, ends=1560)
    story.ends(1200, ticket("InstanceDown", "h7", state="open", members=1, people=42, priority=1))
    story.ends(2400, ticket("InstanceDown", "h7", state="resolved"))


def a_full_disk_of_which_prometheus_tells_too(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    story.at(0).series("h0", {SIZE: 100 * GIB, FREE: 50 * GIB})
    story.at(300).series("h0", {FREE: 2 * GIB})
    said = {
        "alertname": "HostOutOfDiskSpace",
        "instance": "h0:9100",
        "mountpoint": "/",
        "fstype": "ext4",
        "env": "prod",
    }
    for moment in story.every(60, 600, 1500):
        moment.posts(said)
    story.ends(1500, ticket("DiskFull", "h0", state="open", members=1))


def prometheus_is_gone_and_its_alert_with_it(restart: Restart) -> None:
    story = Story(ONE, restart=restart)
    for moment in story.every(60, 300, 600):
        moment.posts({"alertname": "QueueLong", "instance": "app.example.com:9100", "queue": "mail"})
    story.ends(840, ticket("QueueLong", "app-example-com", state="open"))
    story.ends(1260, ticket("QueueLong", "app-example-com", state="resolved"))


STORIES = stories(__name__, globals())
