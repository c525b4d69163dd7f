"""host:port apart and together, as Go's package net does."""

from __future__ import annotations

import ipaddress


def split(text: str) -> tuple[str, str] | None:
    """Host and port of `host:port`, `[v6]:port` or `:port`; None where Go reports an error."""
    colon = text.rfind(":")
    if colon < 0:
        return None
    if text.startswith("["):
        end = text.find("]")
        if end < 0 or end + 1 != colon:
            return None
        host, behind, within = text[1:end], text[end + 1 :], text[1:end]
    else:
        host, behind, within = text[:colon], text[colon:], text[:colon]
        if ":" in host:
            return None
    if "[" in within or "]" in within or "[" in behind or "]" in behind:
        return None
    return host, text[colon + 1 :]


def strip_port(text: str) -> str:
    """The host alone; what is no host:port stays as it is."""
    parts = split(text)
    return text if parts is None else parts[0]


def strip_domain(text: str) -> str:
    """The first part of a host's name, with its port; an address stays as it is."""
    host, port = split(text) or (text, "")
    if _is_address(host):
        return text
    host = host.split(".")[0]
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host or "%" in host else f"{host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
