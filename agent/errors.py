"""What can go wrong in the agent.

AgentError                  a sentence for people, that says what to do
├── ConfigError             a configuration file: names the file and the line
├── StateError              the state directory: missing, not ours, held by another agent
├── EnrolmentError          the token, or what the collector said to it
└── TransportError          the collector could not be asked, or its answer is none
    └── CertificateError    it is not the collector that the agent was enrolled at
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of all; `str()` of it is shown to people."""


class ConfigError(AgentError):
    """A configuration file that cannot be used."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}, line {line}: {message}")
        self.file = file
        self.line = line
        self.message = message


class StateError(AgentError):
    """The state directory cannot be used."""


class EnrolmentError(AgentError):
    """The device was not enrolled, or is not."""


class TransportError(AgentError):
    """No usable answer came from the collector; trying again may help."""


class CertificateError(TransportError):
    """The other end has not proved to be the collector."""
