"""Signal and quality of wireless links."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("wireless", blocks=False)
def wireless(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/net/wireless.

    Metrics:
        watchdesk_wireless_signal_dbm (gauge): Strength of the signal.
        watchdesk_wireless_quality (gauge): Quality of the link, as the driver counts it (most have 70 at best).
        watchdesk_wireless_noise_dbm (gauge): Noise, where the driver tells it.
    """
    rows = [line.replace(".", " ").split() for line in host.read_proc("net/wireless").split("\n")[2:]]
    rows = [row for row in rows if len(row) > 4 and row[0].endswith(":")]
    if not rows:
        raise NoData("wireless")
    for row in rows:
        label = labels(device=row[0][:-1])
        quality, signal, noise = (int(word) for word in row[2:5])
        yield "watchdesk_wireless_quality" + label, float(quality)
        if signal > -200:  # -256 stands for a driver that does not know
            yield "watchdesk_wireless_signal_dbm" + label, float(signal)
        if noise > -200:
            yield "watchdesk_wireless_noise_dbm" + label, float(noise)
