"""How the collector's process runs."""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (50_000, 20, 100)


def calm_collector() -> None:
    """Let Python look for garbage seldom, and never again in what was there at the start.

    What an alert storm makes lives until its commit; looking through all of it again and again took a fifth of the
    time of 100,000 alerts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
