"""Alerts for the tests, short to write: acme's file server, unless told otherwise."""

from typing import Literal

from ticketing.alert import Alert, fingerprint

T = 1_760_000_000.0


def alert(
    state: Literal["firing", "stale", "resolved"] = "firing",
    at: float = 0.0,
    *,
    severity: str = "warning",
    mount: str = "/data",
    customer: str = "acme",
    value: float = 91.0,
    active_at: float | None = None,
    annotations: dict[str, str] | None = None,
) -> Alert:
    """Return an alert `at` seconds after T."""
    labels = {
        "alertname": "DiskFull",
        "customer": customer,
        "site": "hq",
        "class": "server",
        "instance": f"fs01.hq.{customer}",
        "severity": severity,
        "mountpoint": mount,
    }
    return Alert(
        customer=customer,
        site="hq",
        device="fs01",
        name="DiskFull",
        severity=severity,
        labels=labels,
        annotations={"summary": "disk is full"} if annotations is None else annotations,
        state=state,
        value=value,
        at=T + at,
        active_at=T + at if active_at is None else T + active_at,
        fingerprint=fingerprint(labels),
    )
