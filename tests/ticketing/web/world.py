"""A small world for the pages: three customers and their devices, real store and accounts, a real server on a port."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from ticketing.accounts import Accounts
from ticketing.alert import Alert, fingerprint
from ticketing.database import connect
from ticketing.diagnosis.asked import Subject
from ticketing.errors import Refused
from ticketing.incident import Incident
from ticketing.models import Base
from ticketing.store import Scope, Store
from ticketing.web.app import create_app
from ticketing.web.live import Live
from ticketing.web.sources import (
    DeviceView,
    EventsSought,
    EventView,
    Graph,
    LinkView,
    PartView,
    Reading,
    StrangerView,
    Summary,
)

PASSWORD = "correct horse battery staple"
# Nora works for the provider; Charlie is a stranger, whose customer has nothing here.
PEOPLE = {"nora": ("staff", None), "alice": ("customer", "acme"), "bob": ("customer", "globex")}
PEOPLE["charlie"] = ("customer", "initech")
NOBODYS_ID = 999_999
WAIT = 15.0  # seconds; a generous deadline, not a measurement


class Fleet:
    """The devices, as the collector would tell of them; a test changes them as it likes."""

    def __init__(self) -> None:
        self.known = [
            DeviceView(
                1, "acme", "suzhou", "acme-fs01", "server", "file server", "linux", "0.1", alive=True, last_seen=1.0
            ),
            DeviceView(
                2, "globex", "berlin", "globex-mail", "server", "mail", "linux", "0.1", alive=True, last_seen=1.0
            ),
            DeviceView(3, "acme", "suzhou", "acme-pc7", "desktop", excused="shutdown", last_seen=1.0),
            DeviceView(4, "globex", "berlin", "globex-sw1", "network"),
        ]
        self.drawn: Graph | None = None
        self.happened: list[EventView] = []
        self.linked: dict[int, LinkView] = {}
        self.unknown: list[StrangerView] = []
        self.decided: list[tuple[int, str, str, str]] = []

    def devices(self, scope: Scope) -> Sequence[DeviceView]:
        return [one for one in self.known if scope.customer in {None, one.customer}]

    def device(self, scope: Scope, device_id: int) -> DeviceView | None:
        return next((one for one in self.devices(scope) if one.id == device_id), None)

    def find(self, scope: Scope, customer: str, site: str, name: str) -> DeviceView | None:
        place = (customer, site, name)
        return next((one for one in self.devices(scope) if (one.customer, one.site, one.name) == place), None)

    def subject(self, scope: Scope, device_id: int) -> Subject | None:
        found = self.device(scope, device_id)
        if found is None:
            return None
        instance = f"{found.name}.{found.site}.{found.customer}"
        return Subject(found.id, instance, found.customer, found.os, found.klass != "network", found.klass == "network")

    def health(self, scope: Scope, device_ids: Sequence[int]) -> Mapping[int, Sequence[Reading]]:
        readings = [Reading("CPU", 12.0, "%", 0.12, "ok"), Reading("/var", 91.0, "%", 0.91, "critical")]
        return {one.id: readings for one in self.devices(scope) if one.id in device_ids and one.alive}

    def events(self, scope: Scope, device_id: int, sought: EventsSought, limit: int) -> Sequence[EventView]:
        mine = self.happened if self.device(scope, device_id) else []
        return [one for one in mine if sought.type in {"", one.type} and sought.text in one.text][:limit]

    def inventory(self, scope: Scope, device_id: int) -> Sequence[PartView]:
        return [PartView("disks", ["name: sda"])] if self.device(scope, device_id) else []

    def links(self, scope: Scope) -> Mapping[int, LinkView]:
        mine = {one.id for one in self.devices(scope)}
        return {number: link for number, link in self.linked.items() if number in mine and link.parent in mine}

    def hang(self, scope: Scope, device_id: int, parent_id: int | None, port: str) -> None:
        if parent_id == device_id:
            raise Refused("parents cannot go in a circle")
        self.linked.pop(device_id, None)
        if parent_id is not None:
            self.linked[device_id] = LinkView(parent_id, port, "manual")

    def strangers(self, scope: Scope) -> Sequence[StrangerView]:
        return [one for one in self.unknown if scope.customer in {None, one.customer}]

    def decide(self, scope: Scope, stranger_id: int, decision: str, name: str = "", klass: str = "") -> None:
        if not self.unknown or decision not in ("approved", "denied", "ignored", "new") or name == "taken":
            raise Refused(f"{name} is there already")
        self.decided.append((stranger_id, decision, name, klass))

    def graph(self, scope: Scope, incident: Incident) -> Graph | None:
        return self.drawn

    def summary(self, scope: Scope) -> Summary:
        found = self.devices(scope)
        away = sum(1 for one in found if one.excused and not one.alive)
        return Summary(len(found), sum(one.alive for one in found), away, judged_at=1.0)


@dataclass(slots=True)
class World:
    """Everything behind the pages, and where they are served."""

    store: Store
    accounts: Accounts
    fleet: Fleet
    live: Live
    url: str = ""
    _disks: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _visitors: list[Visitor] = field(default_factory=list)
    _positions: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def alert(
        self, device: str = "acme-fs01", *, state: str = "firing", severity: str = "critical", **more: str
    ) -> int:
        """Let an alert of a device fire or end now, and return its incident's id."""
        customer = device.partition("-")[0]
        site = {"acme": "suzhou", "globex": "berlin"}[customer]
        name = more.pop("name", "DiskFull")
        mountpoint = more.pop("mountpoint", "/var")
        labels = {"alertname": name, "customer": customer, "site": site, "mountpoint": mountpoint, "class": "server"}
        labels |= {"ifName": more.pop("ifName")} if "ifName" in more else {}
        annotations = {
            "summary": f"{device}.{site}.{customer}: {mountpoint} is 96% full",
            "summary_zh": f"{device}.{site}.{customer}：{mountpoint} 已使用 96%",
            "impact": "Programs that write to it fail.",
            "first_steps": "See what has grown.",
            "closes": "Less than 90% is used.",
            "value_unit": "percent",
            "threshold": "90",
            **more,
        }
        now = time.time()
        (changed,) = self.store.apply(
            [
                Alert(
                    customer=customer,
                    site=site,
                    device=device,
                    name=name,
                    severity=severity,
                    labels=labels,
                    annotations=annotations,
                    state=state,  # type: ignore[arg-type]
                    value=96.1,
                    at=now,
                    active_at=now,
                    fingerprint=fingerprint(labels),
                )
            ],
            consumer="test",
            position=next(self._positions),
            now=now,
        )
        return changed

    def fault(self, device: str = "acme-fs01", **more: str) -> int:
        """Let an alert of its own fire, whatever has happened before, and return its new incident's id."""
        return self.alert(device, mountpoint=f"/data{next(self._disks)}", **more)

    def visitor(self) -> Visitor:
        """Return a browser of somebody who has not signed in."""
        self._visitors.append(Visitor(self.url))
        return self._visitors[-1]

    def close(self) -> None:
        """Close every browser."""
        for visitor in self._visitors:
            visitor.client.close()

    def person(self, name: str) -> Visitor:
        """Return the browser of a person who has signed in."""
        visitor = self.visitor()
        answer = visitor.post("/login", page="/login", name=name, password=PASSWORD)
        assert answer.status_code == 303, answer.text
        return visitor


class Visitor:
    """A browser without script: keeps cookies, and sends the forms that a page gave it."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False, timeout=WAIT)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Return a page."""
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def token(self, page: str = "/") -> str:
        """Return the form token of a page."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get(page).text)
        assert found, page
        return found[1]

    def post(self, path: str, page: str = "/", **fields: str | int) -> httpx.Response:
        """Send a form as that page would send it."""
        return self.client.post(path, data={"csrf": self.token(page), **fields})


@contextmanager
def served(directory: Path) -> Iterator[World]:
    """Yield a world whose pages are served on a port of this machine."""
    engine = connect(f"sqlite:///{directory / 'watchdesk.db'}")
    Base.metadata.create_all(engine)
    store, accounts, fleet = Store(engine), Accounts(engine), Fleet()
    for name, (role, customer) in PEOPLE.items():
        accounts.create(name, PASSWORD, role=role, customer=customer)
    live = Live(store, fleet, poll=0.05, beat=0.5)
    world = World(store, accounts, fleet, live)
    with running(world):
        yield world
    world.close()
    engine.dispose()


@contextmanager
def running(world: World) -> Iterator[None]:
    """Serve the world's pages until the block ends; they stop although streams are open."""
    listening = socket.create_server(("127.0.0.1", 0))
    world.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(world.store, world.accounts, world.fleet, live=world.live, clock=time.time)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield
    finally:
        world.live.close()
        server.should_exit = True
        thread.join(WAIT)
        listening.close()
        assert not thread.is_alive(), "the server did not stop"
