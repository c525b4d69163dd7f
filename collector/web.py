"""The provider's port: the pages of ticketing, and beside them what Prometheus reads."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from collector.localapi import LocalApi
from collector.requestids import RequestIds
from collector.sources import FleetSources
from ticketing.web.app import routes
from ticketing.web.live import Live

if TYPE_CHECKING:
    from collector.collector import Collector

TOKEN_FILE = "metrics.token"  # noqa: S105 - its name, not its content
STOP_SECONDS = 3
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class WebServer:
    """Serves the pages on a socket that listens already."""

    def __init__(self, collector: Collector, listening: socket.socket, *, certificate: Path | None) -> None:
        self.sources = sources = FleetSources(collector)
        self._live = Live(collector.store, sources)
        self._socket = listening
        pages = routes(collector.store, collector.accounts, sources, live=self._live, clock=collector.clock)
        settings = uvicorn.Config(
            RequestIds(Starlette(routes=[*_Prometheus(collector).routes(), *pages])),
            log_config=None,
            access_log=False,
            lifespan="off",
            ssl_certfile=certificate,
            timeout_graceful_shutdown=STOP_SECONDS,
            server_header=False,
        )
        self._server = _Server(settings)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve([self._socket]))

    async def stop(self) -> None:
        """End the open streams, answer what was asked, and cease to listen."""
        self._live.close()
        self._server.should_exit = True
        if self._task:
            await self._task


class _Server(uvicorn.Server):
    """A server that leaves the signals to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _Prometheus:
    """`/metrics` of the collector itself, `/metrics/fleet` of all devices, and the service discovery beside it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._token = _token(collector.data / TOKEN_FILE)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/metrics", self._own, methods=["GET"]),
            Route("/metrics/fleet", self._fleet, methods=["GET"]),
            Route("/sd", self._discovery, methods=["GET"]),
            Route("/-/ready", self._ready, methods=["GET"]),
            Route("/-/healthy", self._healthy, methods=["GET"]),
            *LocalApi(self._collector, self._allowed).routes(),
        ]

    def _own(self, request: Request) -> Response:
        """Tell how the collector is; with the token also how many incidents each customer has."""
        text = self._collector.metrics.text(customers=self._allowed(request))
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _fleet(self, request: Request) -> Response:
        if not self._allowed(request):
            return _stranger()
        wanted = {name: value for name, value in request.query_params.items() if name in ("customer", "site")}
        return Response(await run_in_threadpool(self._exposition, wanted), headers={"Content-Type": _TEXT})

    def _exposition(self, wanted: dict[str, str]) -> bytes:
        with self._collector.pipeline.lock:
            return b"".join(self._collector.pipeline.state.fleet.exposition(wanted))

    def _discovery(self, request: Request) -> Response:
        """Name a target for each site, so that large fleets are scraped in parts."""
        if not self._allowed(request):
            return _stranger()
        sites = sorted({(device.customer, device.site) for device in self._collector.register.devices()})
        address = request.url.netloc
        targets = [
            {
                "targets": [address],
                "labels": {
                    "__metrics_path__": "/metrics/fleet",
                    "__param_customer": customer,
                    "__param_site": site,
                    "watchdesk_customer": customer,
                    "watchdesk_site": site,
                },
            }
            for customer, site in sites
        ]
        return JSONResponse(targets)

    def _healthy(self, _request: Request) -> Response:
        """Whether it can answer at all: what a container is restarted for when it fails."""
        return PlainTextResponse("healthy\n")

    def _ready(self, _request: Request) -> Response:
        """Whether agents can push: what a service is taken out of the balance for when it fails."""
        failing = self._collector.log_problem()
        return PlainTextResponse(f"{failing}\n" if failing else "ready\n", status_code=503 if failing else 200)

    def _allowed(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), self._token.encode())


def _stranger() -> Response:
    return PlainTextResponse(
        f"This needs the token in DATA/{TOKEN_FILE}: Authorization: Bearer …\n",
        status_code=401,
        headers={"WWW-Authenticate": "Bearer"},
    )


def _token(path: Path) -> str:
    """Return the token with which Prometheus scrapes the fleet, made on the first start."""
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()
