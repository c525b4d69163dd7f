"""What the commands on this machine ask a running collector: why an alert fires, which metrics there are, diagnoses.

`/local/…` on the pages' port, with the token in DATA/metrics.token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rules.explain import explain
from ticketing.diagnosis.asked import to_json
from ticketing.errors import Refused, Unavailable
from ticketing.scope import EVERYTHING, Scope

if TYPE_CHECKING:
    from collector.collector import Collector


MAX_BODY: Final = 64 << 10


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `watchdesk diagnose` asks for."""

    device: Annotated[str, Meta(max_length=255)]
    name: Annotated[str, Meta(max_length=64)]
    by: Annotated[str, Meta(max_length=160, pattern="^person:.+")]
    arguments: Annotated[dict[str, str], Meta(max_length=16)] = {}
    ticket: Annotated[str, Meta(max_length=24)] = ""


class LocalApi:
    """The routes; `allowed` tells whether a request bears the token."""

    def __init__(self, collector: Collector, allowed: Callable[[Request], bool]) -> None:
        self._collector = collector
        self._allowed = allowed

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/local/explain", self._answer(self._explain), methods=["GET"]),
            Route("/local/metrics", self._answer(self._metrics), methods=["GET"]),
            Route("/local/diagnosis", self._answer(self._diagnosis), methods=["GET"]),
            Route("/local/diagnose", self._diagnose, methods=["POST"]),
        ]

    def _answer(self, ask: Callable[[Mapping[str, str]], dict[str, Any]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            if not self._allowed(request):
                return _stranger()
            return JSONResponse(await run_in_threadpool(ask, dict(request.query_params)))

        return answer

    def _explain(self, asked: Mapping[str, str]) -> dict[str, Any]:
        alert, name = asked.get("alert", ""), asked.get("device", "")
        with self._collector.pipeline.lock:
            state = self._collector.pipeline.state
            found = [labels for labels in state.devices.values() if _is(labels["instance"], name)]
            exact = [labels for labels in found if labels["instance"] == name]
            if len(exact or found) != 1:
                return {"problem": _ambiguous(name, [labels["instance"] for labels in found])}
            (labels,) = exact or found
            match: dict[str, str] = {key: labels[key] for key in ("instance", "customer", "site") if key in labels}
            told = explain(state.engine, alert, match, state.now)
            if not told:
                names = sorted({work.rule.name for work, _ in state.engine.alerting()})
                return {"problem": f"There is no alert {alert!r}; there are: {', '.join(names)}."}
            text = "\n\n".join(map(str, told))
            return {"device": labels["instance"], "text": text, "explanations": [each.to_json() for each in told]}

    async def _diagnose(self, request: Request) -> Response:
        """Ask a device for a diagnosis; the caller says on whose behalf."""
        if not self._allowed(request):
            return _stranger()
        try:
            wish = msgspec.json.decode(await _body(request), type=Wish)
            found = await run_in_threadpool(self._ask, wish)
        except (msgspec.DecodeError, Refused, Unavailable) as error:
            return JSONResponse({"problem": f"{error}."})
        return JSONResponse({"id": found})

    def _ask(self, wish: Wish) -> str:
        """Return the id of a new request. Raises Refused."""
        devices = self._collector.register.devices()
        found = [one for one in devices if _is(one.instance, wish.device)]
        exact = [one for one in found if one.instance == wish.device]
        if len(exact or found) != 1:
            raise Refused(_ambiguous(wish.device, [one.instance for one in found]).rstrip("."))
        (device,) = exact or found
        number = wish.ticket.upper().removeprefix("INC-")
        incident = None
        if number:
            known = self._collector.store.incident(Scope(device.customer), int(number)) if number.isdigit() else None
            if known is None:
                raise Refused(f"there is no incident {wish.ticket!r} of this device's customer")
            incident = known.id
        subject, book = self._collector.diagnosis.subject_of(device), self._collector.store.diagnoses
        now = self._collector.clock()
        return book.ask(subject, wish.name, wish.arguments, by=wish.by, now=now, incident=incident).uid

    def _diagnosis(self, asked: Mapping[str, str]) -> dict[str, Any]:
        found = self._collector.store.diagnoses.find(EVERYTHING, asked.get("id", ""))
        return {"problem": "There is no such diagnosis."} if found is None else to_json(found)

    def _metrics(self, _asked: Mapping[str, str]) -> dict[str, Any]:
        """Tell how many series each metric has now."""
        with self._collector.pipeline.lock:
            metrics = self._collector.pipeline.state.fleet.array.metrics.values()
            return {"metrics": {metric.name: metric.live for metric in metrics if metric.live}}


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Refused("that is too long")
    return body


def _stranger() -> Response:
    return JSONResponse({"problem": "this needs the token in the data folder"}, status_code=401)


def _is(instance: str, name: str) -> bool:
    return instance == name or instance.startswith(f"{name}.")


def _ambiguous(name: str, found: list[str]) -> str:
    if not found:
        return f"There is no device {name!r} in the register."
    return f"There are several devices {name!r}: {', '.join(sorted(found)[:20])}."
