"""What a machine fetches before it has an agent. No token is needed, for nothing of it is secret."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from collector import installer
from collector.errors import Refusal


class Downloads:
    """The files, by the path of their request.

    `ca` is the provider's CA, in the folder `pki` of the data folder; the package for Windows, which the provider
    builds, lies in the data folder itself.
    """

    def __init__(self, ca: Path) -> None:
        self._ca = ca
        self._files: Mapping[bytes, tuple[Callable[[], bytes], str]] = {
            b"/v1/ca": (ca.read_bytes, "application/x-pem-file"),
            b"/install.sh": (installer.script, "text/x-shellscript"),
            b"/install.ps1": (installer.script_for_windows, "text/plain"),
            b"/v1/agent.tar.gz": (installer.archive, "application/gzip"),
            b"/v1/agent.msi": (self._msi, "application/x-msi"),
        }

    def __contains__(self, path: bytes) -> bool:
        return path in self._files

    async def read(self, path: bytes) -> tuple[bytes, str]:
        """Return a file and its content type.

        Raises:
            Refusal: it is not here.
        """
        read, content_type = self._files[path]
        return await asyncio.to_thread(read), content_type

    def _msi(self) -> bytes:
        try:
            return (self._ca.parent.parent / "agent.msi").read_bytes()
        except OSError:
            raise Refusal(404, "no Windows package is here; put it into the data folder as agent.msi") from None
