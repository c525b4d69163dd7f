"""A signed HTTP call with the ticket as JSON."""

from ticketing.adapters.webhook.transport import Settings as Settings
