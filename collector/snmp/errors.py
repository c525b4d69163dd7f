"""What can go wrong with SNMP.

SnmpError                   a sentence for people
├── Malformed               bytes that are no SNMP message, or not one that is bounded
├── Forged                  the digest of a message is wrong, it is too old, or less protected than what was asked
├── Refused                 the device says no: an error status, or a report on our user and keys
├── Silent                  nothing was answered in time
├── Lying                   OIDs that do not increase, or more than the budget of a device allows
├── ProfileError            a profile file, with what is wrong in it
└── CredentialError         credentials that cannot be read, made or found
"""

from collector.errors import CollectorError


class SnmpError(CollectorError):
    """The root; `str()` of it is one sentence for people."""


class Malformed(SnmpError):
    """Bytes that are no SNMP message."""


class Forged(SnmpError):
    """A message that did not come from who holds the key, or not now."""


class Refused(SnmpError):
    """The device answers that it will not."""


class Silent(SnmpError):
    """No answer in time."""


class Lying(SnmpError):
    """Answers that cannot be true, or do not end."""


class ProfileError(SnmpError):
    """A profile cannot be used; the message names file and key."""


class CredentialError(SnmpError):
    """Credentials that cannot be read, made or found."""
