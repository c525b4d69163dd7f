"""The collector's configuration: one YAML file, `DATA/watchdesk.yml`, read once.

Every key has a default; an unknown key or a value of the wrong type is an error that names its line.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta

from collector.discovery.task import PORTS
from collector.errors import ConfigError
from collector.yamlfile import Document
from ticketing.errors import SettingsError
from ticketing.outbox.opening import check_all
from ticketing.outbox.settings import Notifications

FILE_NAME = "watchdesk.yml"


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file."""


class IngestLimits(_Section, frozen=True):
    """How much may be sent; 0: as much as one likes. In bursts, ten seconds' worth may come at once."""

    device_values: float = 200_000  # a second
    customer_values: float = 0  # a second
    device_series: int = 20_000
    customer_series: int = 1_000_000
    backlog_bytes: float = 50_000_000  # a second, of all backlogs together that come back after an outage


class Agents(_Section, frozen=True):
    """Where agents report."""

    listen: str = "127.0.0.1:8081"
    tls: bool = True
    url: str = ""  # what enrolment tokens carry; by default made from `listen`
    names: list[str] = []  # further host names and addresses for the certificate
    interval: float | None = None  # seconds between an agent's samples; none: 15 of a server, 60 of a desktop
    max_connections: int = 20_000
    linger: float = 0.005  # seconds that a commit waits for more batches to share it
    processes: int = 0  # that receive beside the main one; 0: the main one receives. `serve --ingest N` overrides it
    limits: IngestLimits = msgspec.field(default_factory=lambda: IngestLimits())


class Web(_Section, frozen=True):
    """The pages, /metrics and the service discovery."""

    listen: str = "127.0.0.1:8080"
    tls: bool | None = None  # null: as soon as it listens on anything but loopback
    names: list[str] = []


class LogLimits(_Section, frozen=True):
    """How much of the log is kept when every consumer has read it: until one of these is reached."""

    max_bytes: int = 2 << 30
    days: float = 30.0
    free_bytes: int = 256 << 20  # on its disk: with less than that free, what is oldest goes
    segment_bytes: int = 64 << 20


class HistoryLimits(_Section, frozen=True):
    """How long the samples of the recent days are kept."""

    days: float = 7.0
    chunk_minutes: float = 10.0


class EventLimits(_Section, frozen=True):
    """How long events are kept, and how many."""

    days: float = 30.0
    max_events: int = 2_000_000


class RuleSources(_Section, frozen=True):
    """Which rules are evaluated: the packs that come with Watchdesk, and the provider's own files."""

    packs: list[str] | None = None  # null: all of them
    directory: str = "rules"  # *.yml in it are loaded too; relative to the data folder
    thresholds: str = "thresholds.yml"  # what differs by customer, class or device; relative to the data folder
    baselines: str = "baselines.yml"  # of what is learned what is usual; without it, what comes with Watchdesk
    snapshot_seconds: float = 60.0


class Snmp(_Section, frozen=True):
    """Polling of network gear; `watchdesk snmp` tries things out."""

    interval: float = 60.0  # seconds between the polls of a device
    timeout: float = 1.0  # seconds that the first try waits; each further one waits that much longer
    retries: int = 2
    at_once: int = 500  # polls on their way at the same time
    metrics: list[str] = []  # further metrics of the profiles, beside those that rules and dashboards use
    profiles: str = "profiles"  # *.yml in it are profiles too; relative to the data folder
    source: str = ""  # the IPv4 address to send from


class Map(_Section, frozen=True):
    """What hangs on what, derived from the tables of network gear."""

    interval: float = 300.0  # seconds between two readings of the tables; 0 for never


class Discovery(_Section, frozen=True):
    """Looking for machines on the networks of sites; nothing is sent unless sites are named here."""

    sites: list[str] = []  # SITE.CUSTOMER, whose networks (in the register) this machine is connected to
    rate: Annotated[float, Meta(ge=1, le=1000)] = 50.0  # packets a second, all together
    interval: Annotated[float, Meta(ge=10, le=86400)] = 240.0  # seconds between two sweeps
    listen: bool = True  # to ARP, neighbour discovery, DHCP and mDNS that is spoken anyhow
    ports: Annotated[tuple[int, ...], Meta(max_length=32)] = PORTS  # tried on machines that are not in the register
    scapy: bool = False  # send and receive with scapy, where the system has no packet sockets


class Reach(_Section, frozen=True):
    """Reachability of the devices that have an address."""

    interval: float = 10.0  # seconds between the probes of a device
    timeout: float = 2.0
    icmp: bool = True
    tcp: list[int] = []  # ports that are tried on all of them


class Traps(_Section, frozen=True):
    """Where traps and informs are taken; 162 needs root, or CAP_NET_BIND_SERVICE."""

    listen: str = ""  # ADDRESS:PORT, such as 0.0.0.0:162; by default none are taken
    most: int = 20  # a minute and device that are looked at; the others are counted


class Diagnosis(_Section, frozen=True):
    """How much agents and network gear are examined."""

    held: Annotated[int, msgspec.Meta(ge=0, le=20_000)] = 500  # calls of agents that wait
    device: Annotated[int, msgspec.Meta(ge=0)] = 8  # that rules may ask of a device in ten minutes
    customer: Annotated[int, msgspec.Meta(ge=0)] = 60  # that rules may ask of a customer's devices in ten minutes
    person: Annotated[int, msgspec.Meta(ge=0)] = 40  # that people may ask of a device in ten minutes
    keep_days: Annotated[float, msgspec.Meta(gt=0)] = 90.0  # what devices returned is kept so long; findings stay


class Config(_Section, frozen=True):
    """All of the configuration."""

    database: str = ""  # an SQLAlchemy URL; by default DATA/watchdesk.db
    database_file: str = ""  # a file in the data folder with that URL, where it holds a password
    agents: Agents = msgspec.field(default_factory=Agents)
    web: Web = msgspec.field(default_factory=Web)
    log: LogLimits = msgspec.field(default_factory=LogLimits)
    history: HistoryLimits = msgspec.field(default_factory=HistoryLimits)
    events: EventLimits = msgspec.field(default_factory=EventLimits)
    rules: RuleSources = msgspec.field(default_factory=RuleSources)
    snmp: Snmp = msgspec.field(default_factory=Snmp)
    reach: Reach = msgspec.field(default_factory=Reach)
    map: Map = msgspec.field(default_factory=Map)
    discovery: Discovery = msgspec.field(default_factory=Discovery)
    traps: Traps = msgspec.field(default_factory=Traps)
    diagnosis: Diagnosis = msgspec.field(default_factory=Diagnosis)
    notifications: Notifications = msgspec.field(default_factory=Notifications)

    def database_url(self, data: Path) -> str:
        """Return the URL of the database.

        Raises:
            ConfigError: `database_file` cannot be read.
        """
        if self.database_file:
            try:
                return (data / self.database_file).read_text().strip()
            except OSError as error:
                raise ConfigError(f"database_file: {error.strerror}: {data / self.database_file}.") from error
        return self.database or f"sqlite:///{(data / 'watchdesk.db').absolute()}"


def load(path: Path) -> Config:
    """Return the configuration of a file, or the defaults if there is none.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or has a key or value that is not known.
    """
    if not path.exists():
        return Config()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    document = Document(text, str(path), ConfigError)
    config = document.convert(document.content or {}, Config)
    try:
        check_all(config.notifications)
    except SettingsError as error:
        place = [name for name in re.split(r"[.\[\]]+", error.path.removeprefix("$")) if name]
        raise document.fault(str(error), "notifications", *place) from error
    listens = {"agents.listen": config.agents.listen, "web.listen": config.web.listen}
    for key, listen in {**listens, **({"traps.listen": config.traps.listen} if config.traps.listen else {})}.items():
        _check_listen(path, key, listen)
    return config


def _check_listen(path: Path, key: str, listen: str) -> None:
    try:
        address(listen)
    except ValueError as error:
        raise ConfigError(f"{path}: {key} is {listen!r}; it takes ADDRESS:PORT, such as 0.0.0.0:8080.") from error


def address(listen: str) -> tuple[str, int]:
    """Return (IP address, port) of `ADDRESS:PORT`; IPv6 addresses stand in brackets.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = listen.rpartition(":")
    host = str(ip_address(host.strip("[]")))
    number = int(port)
    if not 0 <= number < 65536:
        raise ValueError(listen)
    return host, number


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach `ADDRESS:PORT`."""
    return ip_address(address(listen)[0]).is_loopback


def with_ports(config: Config, port: int) -> Config:
    """Return the configuration with the pages on `port` and the agents on the port after it, on the same addresses."""
    web, agents = address(config.web.listen)[0], address(config.agents.listen)[0]
    return msgspec.structs.replace(
        config,
        web=msgspec.structs.replace(config.web, listen=_listen(web, port)),
        agents=msgspec.structs.replace(config.agents, listen=_listen(agents, port + 1)),
    )


def _listen(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def to_yaml(config: Config) -> str:
    """Return the configuration as YAML, every key with the value that is in force; a password is not shown."""
    plain = msgspec.to_builtins(config)
    plain["database"] = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", config.database)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
