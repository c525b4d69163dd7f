"""How often a test of chance is repeated: a tenth of the full count in the normal run."""

from __future__ import annotations

import os


def times(full: int) -> int:
    """The full count where WATCHDESK_FUZZ is set, as in `make fuzz`; else a tenth."""
    return full if os.environ.get("WATCHDESK_FUZZ") else full // 10
