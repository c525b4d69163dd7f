"""The fleet overview: what a NOC has on the wall."""

from assemble import Section, frame, pick
from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import AMBER, BLUE, FULL, GREEN, RED, graph, ranking, stats

# Only the collector's exposition of the fleet has a customer; Prometheus' own `up` of its targets has none.
FLEET = 'customer=~"$customer"'
RATE = "[$__rate_interval]"
DEVICE = "{{instance}}"
DISKS = f'{FLEET}, fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'


def build() -> Dashboard:
    """Return the dashboard, for one customer or all."""
    return frame(
        "Watchdesk fleet",
        uid="watchdesk-fleet",
        description="Every watched device, the open incidents, the fullest machines, and the collector itself.",
        variables=[pick("customer", "Customer", "up", multi=True)],
        sections=[_now(), _worst(), _time(), _collector()],
    )


def _now() -> Section:
    silent = f"up{{{FLEET}}} == 0 unless on (instance) watchdesk_device_excused{{{FLEET}}} == 1"
    open_now = f"sum by (priority) (watchdesk_incidents_open{{{FLEET}}})"
    return Section(
        None,
        4,
        [
            stats(4, "Alive", "Devices heard from within three of their intervals.", f"sum(up{{{FLEET}}})"),
            stats(
                4,
                "Silent",
                "Devices that stopped reporting without saying goodbye.",
                f"count({silent}) or vector(0)",
                steps=((None, GREEN), (1, RED)),
            ),
            stats(
                4,
                "Excused",
                "Devices that are off, asleep or restarting, and said so.",
                f"sum(watchdesk_device_excused{{{FLEET}}})",
            ),
            stats(
                12,
                "Open incidents",
                "Open now, by priority.",
                (f"{open_now} or on () vector(0)", "{{priority}}"),
                steps=((None, GREEN), (1, AMBER)),
            ),
        ],
    )


def _worst() -> Section:
    idle = f'rate(node_cpu_seconds_total{{{FLEET}, mode="idle"}}{RATE})'
    memory = f"node_memory_MemAvailable_bytes{{{FLEET}}} / node_memory_MemTotal_bytes{{{FLEET}}}"
    disk = f"node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}"
    heard = f"time() - watchdesk_device_last_seen_timestamp_seconds{{{FLEET}}}"
    unheard = ((None, GREEN), (30, AMBER), (120, RED))
    return Section(
        "Worst ten now",
        9,
        [
            ranking(
                6, "Processor", "Share of all cores in use.", (f"topk(10, 1 - avg by (instance) ({idle}))", DEVICE)
            ),
            ranking(6, "Memory", "Share that programs cannot have.", (f"topk(10, 1 - {memory})", DEVICE)),
            ranking(
                6,
                "Disks",
                "Share of each file system in use.",
                (f"topk(10, 1 - {disk})", f"{DEVICE} {{{{mountpoint}}}}"),
                steps=FULL,
            ),
            ranking(
                6,
                "Not heard for",
                "Time since each device's last report, by the collector's clock.",
                (f"topk(10, {heard})", DEVICE),
                unit="s",
                steps=unheard,
            ),
        ],
    )


def _time() -> Section:
    alive = f"sum by (class) (up{{{FLEET}}})"
    open_then = f"sum by (priority) (watchdesk_incidents_open{{{FLEET}}})"
    return Section(
        "Over time",
        8,
        [
            graph(12, "Devices alive by class", "Desktops go off in the evening.", (alive, "{{class}}"), stack=True),
            graph(
                12,
                "Open incidents by priority",
                "A step up is a storm or a site that is cut off.",
                (open_then, "{{priority}}"),
                stack=True,
            ),
        ],
    )


def _collector() -> Section:
    sync = f"sum by (le) (rate(watchdesk_log_sync_seconds_bucket{RATE}))"
    tick = f"sum by (le) (rate(watchdesk_tick_seconds_bucket{RATE}))"
    dropped = f"sum by (reason) (rate(watchdesk_ingest_dropped_total{RATE}))"
    sound = ((None, RED), (1, GREEN))
    none = ((None, GREEN), (1, RED))
    return Section(
        "Collector",
        7,
        [
            stats(4, "Series", "Series held for the rules.", "sum(watchdesk_fleet_series)", steps=((None, BLUE),)),
            stats(
                4,
                "Rules sound",
                "1: the last reload was taken. 0: a file had an error, the rules before it stay live.",
                "min(watchdesk_rules_last_reload_successful)",
                steps=sound,
            ),
            stats(
                4,
                "Log errors",
                "Failed writes of the log in the shown time; agents keep their data meanwhile.",
                "sum(increase(watchdesk_log_errors_total[$__range]))",
                steps=none,
            ),
            graph(
                12,
                "Values taken and dropped",
                "Values a second; what was dropped, by reason.",
                (f"sum(rate(watchdesk_ingest_values_total{RATE}))", "taken"),
                (f"{dropped} or on () vector(0)", "dropped {{reason}}"),
                unit="cps",
            ),
            graph(
                8,
                "Requests",
                "Pushes a second by answer. 429 and 503 make agents wait; 401 is a revoked or unknown token.",
                (f"sum by (code) (rate(watchdesk_ingest_requests_total{RATE}))", "{{code}}"),
                unit="reqps",
            ),
            graph(
                8,
                "Log sync and rule tick, p99",
                "Agents wait for the first; the second delays tickets.",
                (f"histogram_quantile(0.99, {sync})", "log sync"),
                (f"histogram_quantile(0.99, {tick})", "rule tick"),
                unit="s",
            ),
            graph(
                8,
                "Consumers behind the log",
                "Records each consumer has yet to take; a steady rise is a consumer in trouble.",
                ("sum by (consumer) (watchdesk_consumer_lag_records)", "{{consumer}}"),
            ),
        ],
    )
