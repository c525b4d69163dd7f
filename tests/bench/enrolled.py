"""Devices for a bench, put into the register at once: enrolling ten thousand one by one would take minutes."""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import insert

from collector.database import open_database
from collector.register.models import CustomerRow, DeviceRow, DeviceTokenRow, SiteRow
from collector.register.register import digest

CUSTOMERS = 50
SITES = 4  # of each customer


def enrolled(data: Path, devices: int) -> list[str]:
    """Return the tokens of so many new devices, spread over customers and sites; the collector must not run yet."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = open_database(f"sqlite:///{data / 'watchdesk.db'}")
    numbers = range(CUSTOMERS * SITES)
    sites = [{"id": n + 1, "customer_id": n // SITES + 1, "slug": f"s{n}", "name": ""} for n in numbers]
    tokens = ["wdd_" + secrets.token_urlsafe(32) for _ in range(devices)]
    with engine.begin() as connection:
        customers = [{"id": n + 1, "slug": f"c{n}", "name": ""} for n in range(CUSTOMERS)]
        connection.execute(insert(CustomerRow), customers)
        connection.execute(insert(SiteRow), sites)
        rows = [
            {
                "id": n + 1,
                "site_id": n % len(sites) + 1,
                "name": f"host{n}",
                "class": "server",
                "role": "",
                "os": "linux",
                "enrolled_at": 0.0,
            }
            for n in range(devices)
        ]
        connection.execute(insert(DeviceRow), rows)
        owned = [{"hash": digest(token), "device_id": n + 1, "created_at": 0.0} for n, token in enumerate(tokens)]
        connection.execute(insert(DeviceTokenRow), owned)
    engine.dispose()
    return tokens
