"""How other systems and people are told: a folder for each way. To add one, see docs/notifications.md.

A folder has `transport.py` with `Settings`, whose `open` returns what delivers; both are listed here by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ticketing.adapters import email, webhook
from ticketing.adapters.adapter import Settings

ADAPTERS: Final[Mapping[str, type[Settings]]] = {"email": email.Settings, "webhook": webhook.Settings}
