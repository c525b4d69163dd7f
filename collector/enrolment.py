"""Enrolment tokens as people see them: the secret, where to go with it, and whom to trust there."""

import base64
from pathlib import Path

import msgspec

from collector import pki
from collector.config import Config
from collector.errors import StartError
from collector.register import Register
from collector.runtime import Runtime

PREFIX = "wde_"


def agents_url(data: Path, config: Config) -> str:
    """Return where agents reach the collector of a data folder.

    Raises:
        StartError: it does not run, and the configuration does not say.
    """
    running = Runtime.read(data)
    if config.agents.url or running is None:
        if config.agents.url:
            return config.agents.url
        raise StartError(f"No collector runs on {data}; start it with `watchdesk serve`, or say --url.")
    return running.agents


def new_token(
    data: Path,
    register: Register,
    url: str,
    site: tuple[str, str],
    *,
    now: float,
    kind: str = "",
    role: str = "",
    uses: int = 1,
    life: float = 3600,
) -> str:
    """Return a new token for a `site`, (customer, site); it carries the fingerprint of the CA if the URL is https.

    Raises:
        RegisterError: a name that is not valid.
    """
    secret = register.create_enrol_token(*site, now=now, life=life, uses=uses, kind=kind, role=role)
    content = {"u": url, "s": secret}
    if url.startswith("https:"):
        content["f"] = pki.Pki(data / "pki").fingerprint()
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(content)).decode().rstrip("=")
