"""The sockets on which a collector listens."""

from __future__ import annotations

import socket

from collector.config import address
from collector.errors import StartError


def bind(listen: str, what: str) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        StartError: the port is taken, or may not be used.
    """
    host, port = address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise StartError(taken(listen, what, error)) from error
    return listening


def taken(listen: str, what: str, error: OSError) -> str:
    """Return why an address cannot be used, and what to do."""
    return f"{listen} for {what} cannot be used ({error.strerror}); choose another with PORT= (or --port)."
