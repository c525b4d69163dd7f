"""E-mail: the ticket as text and HTML, each incident a conversation."""

from ticketing.adapters.email.transport import Settings as Settings
