"""How a running collector is, from its own /metrics: stages, lag, devices, rates."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from collector.errors import StartError
from collector.runtime import Runtime

TIMEOUT = 10.0
Samples = dict[str, list[tuple[dict[str, str], float]]]


def read(running: Runtime, data: Path) -> Samples:
    """Return the collector's metrics: (labels, value) by name.

    Raises:
        StartError: it does not answer.
    """
    parts = urlsplit(running.web)
    connection: http.client.HTTPConnection
    host, port = parts.hostname or "", parts.port or 0
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(data / "pki" / "ca.pem"))
            connection = http.client.HTTPSConnection(host, port, context=context, timeout=TIMEOUT)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise StartError(
            f"The collector at {running.web} does not answer ({error}); see `watchdesk doctor`."
        ) from error
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def summary(before: Samples, after: Samples, seconds: float) -> dict[str, object]:
    """Return what people ask first, from two readings that many seconds apart."""

    def total(samples: Samples, name: str) -> float:
        return sum(value for _, value in samples.get(name, []))

    def rate(name: str) -> float:
        return round((total(after, name) - total(before, name)) / seconds, 1)

    def by(name: str, label: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for labels, value in after.get(name, []):
            found[labels.get(label, "")] = found.get(labels.get(label, ""), 0) + value
        return dict(sorted(found.items()))

    def mean(name: str) -> float | None:
        count = total(after, f"{name}_count") - total(before, f"{name}_count")
        spent = total(after, f"{name}_sum") - total(before, f"{name}_sum")
        return round(1000 * spent / count, 3) if count else None

    return {
        "devices": by("watchdesk_fleet_devices", "state"),
        "series": total(after, "watchdesk_fleet_series"),
        "rules": total(after, "watchdesk_rules_loaded"),
        "rule_files_good": total(after, "watchdesk_rules_last_reload_successful") == 1,
        "values_per_second": round(total(after, "watchdesk_ingest_values_per_second"), 1),  # over a minute
        "requests_per_second": rate("watchdesk_ingest_requests_total"),
        "requests": by("watchdesk_ingest_requests_total", "code"),
        "connections": total(after, "watchdesk_ingest_connections"),
        "log_bytes": total(after, "watchdesk_log_bytes"),
        "log_records": total(after, "watchdesk_log_records_total"),
        "log_errors": total(after, "watchdesk_log_errors_total"),
        "log_lost_bytes": total(after, "watchdesk_log_lost_bytes_total"),
        "sync_ms": mean("watchdesk_log_sync_seconds"),
        "tick_ms": mean("watchdesk_tick_seconds"),
        "lag": by("watchdesk_consumer_lag_records", "consumer"),
        "remote_write_samples": total(after, "watchdesk_remote_write_samples_total"),
    }
