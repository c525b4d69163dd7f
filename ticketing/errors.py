"""The errors of this package.

TicketingError
 ├── Conflict              somebody else changed the incident meanwhile; look again and decide anew
 ├── Refused               the action does not fit the incident's state; the message says why
 ├── Unavailable           the database did not answer in time, or is locked; try again later
 ├── TransportError        a message did not get to its recipient; `permanent` tells whether to try again
 ├── SettingsError         the configuration of the notifications does not fit; `path` tells where
 └── AccountError          a user cannot be made or changed so; the message says why
      └── Throttled        too many failed logins; `retry_after` seconds
"""

from __future__ import annotations


class TicketingError(Exception):
    """Any error that this package raises on purpose."""


class Conflict(TicketingError):
    """The incident has another version than the caller saw."""


class Refused(TicketingError):
    """The action is not possible in the incident's state."""


class Unavailable(TicketingError):
    """The database is locked, down or restarting; nothing was written."""


class TransportError(TicketingError):
    """A message was not delivered. Every retry is decided by this error alone.

    Attributes:
        permanent: trying again would fail the same way.
        uncertain: it may have arrived nevertheless: the recipient was told all of it, and did not answer.
        retry_after: seconds that the recipient asked us to wait, if it did.
    """

    def __init__(
        self, message: str, permanent: bool = False, *, uncertain: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.uncertain = uncertain
        self.retry_after = retry_after


class SettingsError(TicketingError):
    """A part of the configuration is not usable; `path` is msgspec's, such as `$.routes[0].to`."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(f"{message} - at `{path}`")
        self.path = path


class AccountError(TicketingError):
    """A user cannot be created or changed as asked."""


class Throttled(AccountError):
    """Too many failed logins for this user or from this address."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Too many failed logins; try again in {retry_after:.0f} s")
        self.retry_after = retry_after
