"""Cables and radios: real ones where they can be made, and trees of files of machines where the hardware is missing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import net_link
from agent.diagnosis.errors import NotFound
from agent.diagnosis.net_wifi_macos import of_profiler
from agent.diagnosis.net_wifi_windows import of_netsh
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.diagnosis.networks import needs_networks, network
from tests.agent.helpers import eventually
from tests.agent.recorded import Recorded, lay


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net_link, "LOOK", 0.0)


def eth0(root: Path, **attributes: object) -> Path:
    """A machine with one interface."""
    told: dict[str, object] = {
        "operstate": "up", "flags": "0x1003", "speed": 1000, "duplex": "full", "carrier_changes": 2,
    }  # fmt: skip
    counters: dict[str, object] = {"rx_packets": 1_000_000, "tx_packets": 900_000, "rx_errors": 0}
    for key, value in attributes.items():
        (counters if key in net_link.COUNTERS else told)[key] = value
    files = {f"sys/class/net/eth0/{key}": f"{value}\n" for key, value in told.items()}
    return lay(root, files | {f"sys/class/net/eth0/statistics/{key}": f"{value}\n" for key, value in counters.items()})


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            {"duplex": "half", "speed": 100, "collisions": 4711},
            "eth0 runs at half duplex (100 Mbit/s), 4711 collisions so far",
        ),
        ({"operstate": "down", "speed": -1}, "eth0 has no link: cable, or the other end, is not there"),
        ({"operstate": "down", "flags": "0x1002"}, "eth0 is switched off (administratively down)"),
        ({"speed": 100}, "eth0 runs at 100 Mbit/s only"),
        ({"carrier_changes": 412}, "eth0 has lost and regained its link 412 times since the start"),
        ({"rx_crc_errors": 5_000}, "eth0 works; it had 5000 errors of 1900000 packets so far (rx_crc_errors)"),
        ({"speed": -1, "duplex": "unknown"}, "eth0 is up (no speed is told)"),
        ({}, "eth0 works: 1000 Mbit/s, full duplex"),
    ],
)
def test_what_ails_a_cable(tmp_path: Path, attributes: dict[str, object], said: str) -> None:
    assert diagnose("net.interface", look(eth0(tmp_path, **attributes)), name="eth0")["finding"].startswith(said)
    assert diagnose("net.interface", look(tmp_path))["finding"].startswith(said)


def test_errors_and_drops_that_happen_now() -> None:
    link = net_link.Link(
        "eth0", {"state": "up", "duplex": "full", "speed": 1000.0, "carrier_changes": 0.0}, {"rx_errors": 9.0}
    )
    _, said, values = net_link.judge(link, {"rx_crc_errors": 40.0})
    assert said % values == (
        "eth0 has errors now: 40 a second (rx_crc_errors), 9 so far; a bad cable or plug is likely"
    )
    _, said, values = net_link.judge(link, {"rx_dropped": 70.0})
    assert said % values == "eth0 drops 70 packets a second: the machine does not keep up"


def test_an_interface_that_is_not_there(tmp_path: Path) -> None:
    assert diagnose("net.interface", look(eth0(tmp_path)), name="eth7")["finding"] == (
        "There is no interface eth7; there are: eth0"
    )
    with pytest.raises(NotFound):
        diagnose("net.interface", look(tmp_path / "nothing"))


@needs_networks()
def test_a_real_cable_that_is_pulled() -> None:
    with network(2) as (here, there):
        here.joins("eth0", "10.1.0.1/24", there, "eth0", "10.1.0.2/24")
        assert here.diagnose("net.interface", "name=eth0")["finding"].startswith(
            "eth0 works: 10000 Mbit/s, full duplex"
        )
        there.ip("link set eth0 down")
        pulled = "eth0 has no link: cable"  # the kernel tells it within a second
        eventually(lambda: here.diagnose("net.interface", "name=eth0")["finding"].startswith(pulled), 60)
        here.ip("link set eth0 down")
        assert here.diagnose("net.interface", "name=eth0")["finding"].startswith("eth0 is switched off")


IW = """Connected to 3c:28:6d:00:00:01 (on wlan0)
\tSSID: Acme: Guests
\tfreq: 5180.0
\tsignal: {signal} dBm
\ttx bitrate: {rate} MBit/s VHT-MCS 9 80MHz
"""


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (
            IW.format(signal=-82, rate=26.0),
            "wlan0 receives Acme: Guests at -82 dBm only: too far from",
        ),
        (IW.format(signal=-50, rate=6.5), "wlan0 receives Acme: Guests well (-50 dBm), but at 6.5 Mbit/s only"),
        (IW.format(signal=-50, rate=433.3), "wlan0 is connected to Acme: Guests with -50 dBm (433.3 Mbit/s)"),
        ("Not connected.\n", "wlan0 is not connected to any wireless network"),
    ],
)
def test_radios_of_linux(tmp_path: Path, link: str, said: str) -> None:
    lay(tmp_path, {"sys/class/net/wlan0/wireless/x": "", "sys/class/net/eth0/operstate": "up"})
    found = diagnose("net.wifi", look(tmp_path, command=Recorded({"iw dev wlan0 link": link})))
    assert found["finding"].startswith(said)


def test_a_radio_without_iw_and_one_that_is_switched_off(tmp_path: Path) -> None:
    table = "Inter-| sta-|   Quality\n face | tus | link level noise\n wlp2s0: 0000   30.  -80.  -256        0      0\n"
    lay(tmp_path, {"proc/net/wireless": table})
    assert diagnose("net.wifi", look(tmp_path, command=Recorded({})))["finding"].startswith(
        "wlp2s0 receives ? at -80 dBm"
    )
    switch = "sys/class/rfkill/rfkill0/"
    lay(
        tmp_path, {switch + "type": "wlan\n", switch + "hard": "0\n", switch + "soft": "1\n", switch + "name": "phy0\n"}
    )
    assert diagnose("net.wifi", look(tmp_path, command=Recorded({})))["finding"] == (
        "The radio of phy0 is switched off (soft)"
    )
    with pytest.raises(NotFound):
        diagnose("net.wifi", look(tmp_path / "none", command=Recorded({})))


NETSH = """
There is 1 interface on the system:

    Name                   : Wi-Fi
    Description            : Intel(R) Wi-Fi 6 AX201 160MHz
    State                  : connected
    SSID                   : Acme
    BSSID                  : 3c:28:6d:00:00:01
    Radio type             : 802.11ac
    Channel                : 36
    Receive rate (Mbps)    : 24
    Transmit rate (Mbps)   : 24
    Signal                 : 38%
    Profile                : Acme
"""


def test_radios_of_windows_and_macos() -> None:
    (radio,) = of_netsh(NETSH)
    assert radio == {
        "name": "Wi-Fi",
        "state": "connected",
        "network": "Acme",
        "rate": 24.0,
        "quality": 38,
        "signal": -81,
    }
    said, values = net_link.judge_radio(radio)
    assert (said % values).startswith("Wi-Fi receives Acme at -81 dBm only")
    assert of_netsh("The Wireless AutoConfig Service (wlansvc) is not running.\n") == []
    current = {
        "_name": "Acme", "spairport_signal_noise": "-52 dBm / -90 dBm", "spairport_network_rate": 866,
        "spairport_network_channel": "36 (5GHz, 80MHz)",
    }  # fmt: skip
    airport = {"_name": "en0", "spairport_current_network_information": current}
    (radio,) = of_profiler({"SPAirPortDataType": [{"spairport_airport_interfaces": [airport, {"_name": "awdl0"}]}]})
    assert radio["signal"] == -52.0
    assert radio["noise"] == -90.0
    assert of_profiler(None) == []


@given(st.text(max_size=300))
def test_fuzz_what_radios_say(text: str) -> None:
    net_link.of_iw(text)
    net_link.of_iw("signal: " + text + "\nfreq: " + text + "\ntx bitrate: " + text)
    of_netsh(text)
    net_link.is_up(text)
