"""What the commands on this machine ask a running collector: why an alert fires, and which metrics there are.

`/local/…` on the pages' port, with the token in DATA/metrics.token; it only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rules.explain import explain

if TYPE_CHECKING:
    from collector.collector import Collector


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
        ]

    def _answer(self, ask: Callable[[Mapping[str, str]], dict[str, Any]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            if not self._allowed(request):
                return JSONResponse({"problem": "this needs the token in the data folder"}, status_code=401)
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

    def _metrics(self, _asked: Mapping[str, str]) -> dict[str, Any]:
        """Tell how many series each metric has now."""
        with self._collector.pipeline.lock:
            metrics = self._collector.pipeline.state.fleet.array.metrics.values()
            return {"metrics": {metric.name: metric.live for metric in metrics if metric.live}}


def _is(instance: str, name: str) -> bool:
    return instance == name or instance.startswith(f"{name}.")


def _ambiguous(name: str, found: list[str]) -> str:
    if not found:
        return f"There is no device {name!r} in the register."
    return f"There are several devices {name!r}: {', '.join(sorted(found)[:20])}."
