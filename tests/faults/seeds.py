"""The seed of a run: a new one each time, or the one that a failure has named, in WATCHDESK_SEED."""

import os
import random


def new_seed() -> int:
    """Return it."""
    return int(os.environ.get("WATCHDESK_SEED", random.SystemRandom().randrange(1 << 32)))
