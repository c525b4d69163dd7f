"""Asks the collector that runs on the data folder."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from collector.errors import NotRunningError
from collector.runtime import Runtime
from collector.web import TOKEN_FILE

_SECONDS: Final = 30


def ask(data: Path, path: str, **query: str) -> dict[str, Any]:
    """Return what the collector answers.

    Raises:
        NotRunningError: none runs on this folder, or it does not answer, or refuses with a sentence.
    """
    return _call(data, f"{path}?{urlencode(query)}", None)


def tell(data: Path, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the collector something, and return what it answers. Raises NotRunningError."""
    return _call(data, path, json.dumps(content).encode())


def _call(data: Path, path: str, body: bytes | None) -> dict[str, Any]:
    runtime = Runtime.read(data)
    if runtime is None:
        raise NotRunningError(f"No collector runs on {data}; start it with `watchdesk up` or `watchdesk serve`.")
    try:
        token = (data / TOKEN_FILE).read_text(encoding="utf-8").strip()
        request = urllib.request.Request(  # noqa: S310 - the URL is in a file of ours
            f"{_local(runtime.web)}{path}", body, {"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=_SECONDS, context=_tls(data)) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise NotRunningError(f"The collector at {runtime.web} refuses: {error.code} {error.reason}.") from error
    except (OSError, ValueError) as error:
        raise NotRunningError(f"The collector at {runtime.web} does not answer: {error}.") from error
    if problem := answer.get("problem"):
        raise NotRunningError(str(problem))
    return answer


def _local(url: str) -> str:
    """Return the URL with this machine's address: what listens everywhere tells a name that may not be known here."""
    parts = urlsplit(url)
    return url if parts.scheme == "http" else f"https://localhost:{parts.port}"


def _tls(data: Path) -> ssl.SSLContext | None:
    ca = data / "pki" / "ca.pem"
    return ssl.create_default_context(cafile=str(ca)) if ca.exists() else None
