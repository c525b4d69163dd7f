"""How much a device, and the devices of a customer, may send: values a second, and series."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from collector.errors import Refusal

BURST_SECONDS: Final = 10.0  # of the rate that may come at once


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be sent; a rate or a number of 0 means as much as one likes."""

    device_values: float = 0.0  # a second
    customer_values: float = 0.0  # a second
    device_series: int = 0
    customer_series: int = 0


class Allowance:
    """A rate with room for bursts: whoever is in debt waits, so that one large body is always taken.

    Attributes:
        left: what may come before one has to wait; below zero is a debt.
        spent: what was spent here, from the beginning.
    """

    __slots__ = ("_filled", "left", "rate", "spent")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.spent = 0.0
        self.left = rate * BURST_SECONDS if rate else math.inf
        self._filled = 0.0

    def wait(self, now: float) -> float:
        """Return for how many seconds nothing is taken any more; 0: something may come."""
        if self.left > 0:
            self._filled = self._filled or now
            return 0.0
        elapsed = max(0.0, now - self._filled)  # a clock may be put back
        self._filled = now
        self.left = min(self.left + elapsed * self.rate, self.rate * BURST_SECONDS)
        return max(0.0, -self.left / self.rate)

    def spend(self, amount: float) -> None:
        """Count what was taken."""
        self.left -= amount
        self.spent += amount

    def spent_elsewhere(self, amount: float) -> None:
        """Count what another process took of the same allowance."""
        self.left -= amount


@dataclass(slots=True)
class Account:
    """What a device or a customer has used of its limits."""

    allowance: Allowance
    series: int = 0


@dataclass(slots=True)
class Accounts:
    """The accounts of the customers, made when they are first asked for."""

    limits: Limits
    random: Callable[[], float] = random.random
    _customers: dict[str, Account] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    def customer(self, name: str) -> Account:
        """Return the account of a customer."""
        account = self._customers.get(name)
        if account is None:
            account = self._customers[name] = Account(Allowance(self.limits.customer_values))
        return account

    def newly_spent(self) -> dict[str, float]:
        """Return the values that customers sent since the last call, where their rate is limited: other processes that
        share the limit need to know.
        """
        if not self.limits.customer_values:
            return {}
        spent = {name: account.allowance.spent for name, account in self._customers.items()}
        news = {name: total - self._told.get(name, 0.0) for name, total in spent.items()}
        self._told = spent
        return {name: amount for name, amount in news.items() if amount}

    def device(self) -> Account:
        """Return the account of a new device."""
        return Account(Allowance(self.limits.device_values))

    def check_rate(self, device: Account, customer: Account, now: float) -> None:
        """Let something come, or not.

        Raises:
            Refusal: 429; Retry-After says when there will be room again, never twice the same.
        """
        for account, whose in ((device, "this device sends"), (customer, "this customer's devices send")):
            wait = account.allowance.wait(now)
            if wait > 0:
                after = math.ceil(wait * (1 + self.random()) + self.random())
                rate = account.allowance.rate
                raise Refusal(
                    429, f"{whose} more than {rate:g} values a second", retry_after=after, reason="rate_limit"
                )

    def check_series(self, device: Account, customer: Account, series: int, path: str) -> None:
        """Let a device have so many series from now on, or not.

        Raises:
            Refusal: 413; `path` is where in the body they are named.
        """
        limits = self.limits
        if limits.device_series and series > limits.device_series:
            message = f"{series} series, a device may have {limits.device_series}"
            raise Refusal(413, message, path=path, reason="device_series")
        total = customer.series - device.series + series
        if limits.customer_series and total > limits.customer_series:
            message = f"{total} series, all devices of a customer may have {limits.customer_series}"
            raise Refusal(413, message, path=path, reason="customer_series")
        customer.series, device.series = total, series
