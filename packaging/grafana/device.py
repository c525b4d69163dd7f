"""One device: what it has been doing, for the engineer who has its ticket open."""

from assemble import Section, frame, pick
from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import FULL, GREEN, RED, graph, mapped, stats

DEVICE = 'instance="$instance"'
RATE = "[$__rate_interval]"
DISKS = f'{DEVICE}, fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'
WIRES = f'{DEVICE}, device!="lo"'


def build() -> Dashboard:
    """Return the dashboard; customer and site narrow the choice of the device."""
    return frame(
        "Watchdesk device",
        uid="watchdesk-device",
        description="Processor, memory, disks, network, load and clock of one device.",
        variables=[
            pick("customer", "Customer", "up"),
            pick("site", "Site", 'up{customer=~"$customer"}'),
            pick("instance", "Device", 'up{customer=~"$customer", site=~"$site"}', everything=False),
        ],
        sections=[_now(), _compute(), _disks(), _rest()],
    )


def _now() -> Section:
    idle = f'rate(node_cpu_seconds_total{{{DEVICE}, mode="idle"}}{RATE})'
    memory = f"node_memory_MemAvailable_bytes{{{DEVICE}}} / node_memory_MemTotal_bytes{{{DEVICE}}}"
    disk = f"node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}"
    heard = mapped(
        stats(4, "Reporting", "Heard from within three of its intervals.", f"max(up{{{DEVICE}}})"),
        {"1": ("yes", GREEN), "0": ("no", RED)},
    )
    return Section(
        None,
        4,
        [
            heard,
            stats(
                4,
                "Up for",
                "Time since it booted, by its own clock.",
                f"max(node_time_seconds{{{DEVICE}}} - node_boot_time_seconds{{{DEVICE}}})"
                f" or max(time() - node_boot_time_seconds{{{DEVICE}}})",
                unit="s",
            ),
            stats(4, "Processor", "Share of all cores in use.", f"1 - avg({idle})", unit="percentunit", steps=FULL),
            stats(
                4,
                "Memory",
                "Share that programs cannot have.",
                f"max(1 - {memory})",
                unit="percentunit",
                steps=FULL,
            ),
            stats(
                4,
                "Fullest disk",
                "Share of the fullest file system in use.",
                f"max(1 - {disk})",
                unit="percentunit",
                steps=FULL,
            ),
            stats(
                4,
                "Agent",
                "Version of the agent and operating system.",
                (f"watchdesk_agent_info{{{DEVICE}}}", "{{version}} {{os}}"),
            ).text_mode(BigValueTextMode.NAME),
        ],
    )


def _compute() -> Section:
    modes = f'sum by (mode) (rate(node_cpu_seconds_total{{{DEVICE}, mode!="idle"}}{RATE}))'
    cores = f'count(node_cpu_seconds_total{{{DEVICE}, mode="idle"}})'
    total, available = f"node_memory_MemTotal_bytes{{{DEVICE}}}", f"node_memory_MemAvailable_bytes{{{DEVICE}}}"
    swap = f"node_memory_SwapTotal_bytes{{{DEVICE}}} - node_memory_SwapFree_bytes{{{DEVICE}}}"
    return Section(
        "Processor and memory",
        8,
        [
            graph(
                8,
                "Processor by use",
                "Share of all cores by what they did.",
                (f"{modes} / on () group_left () {cores}", "{{mode}}"),
                unit="percentunit",
                stack=True,
            ),
            graph(
                8,
                "Load",
                "Programs that run or wait, against the cores there are.",
                (f"node_load1{{{DEVICE}}}", "1 min"),
                (f"node_load15{{{DEVICE}}}", "15 min"),
                (cores, "cores"),
            ),
            graph(
                8,
                "Memory over time",
                "In use, there at all, and swapped out.",
                (f"{total} - {available}", "used"),
                (total, "total"),
                (swap, "swap used"),
                unit="bytes",
            ),
        ],
    )


def _disks() -> Section:
    used = f"1 - node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}"
    return Section(
        "Disks",
        8,
        [
            graph(8, "Space used", "Share of each file system.", (used, "{{mountpoint}}"), unit="percentunit"),
            graph(
                8,
                "Read and written",
                "Bytes a second of each disk; written is below zero.",
                (f"rate(node_disk_read_bytes_total{{{DEVICE}}}{RATE})", "{{device}} read"),
                (f"-rate(node_disk_written_bytes_total{{{DEVICE}}}{RATE})", "{{device}} written"),
                unit="Bps",
            ),
            graph(
                8,
                "Busy",
                "Share of the time in which each disk had something to do.",
                (f"rate(node_disk_io_time_seconds_total{{{DEVICE}}}{RATE})", "{{device}}"),
                unit="percentunit",
            ),
        ],
    )


def _rest() -> Section:
    return Section(
        "Network, clock and probes",
        8,
        [
            graph(
                8,
                "Network",
                "Bytes a second of each interface; sent is below zero.",
                (f"rate(node_network_receive_bytes_total{{{WIRES}}}{RATE})", "{{device}} received"),
                (f"-rate(node_network_transmit_bytes_total{{{WIRES}}}{RATE})", "{{device}} sent"),
                unit="Bps",
            ),
            graph(
                8,
                "Clock offset",
                "The device's clock less the collector's; half a second of doubt is the network's.",
                (f"watchdesk_clock_offset_seconds{{{DEVICE}}}", "offset"),
                unit="s",
            ),
            graph(
                8,
                "Probe duration",
                "What reading the device takes; a hung probe is given up after five seconds.",
                (f"watchdesk_probe_duration_seconds{{{DEVICE}}}", "{{probe}}"),
                unit="s",
            ),
        ],
    )
