"""What the agents' port gives to a machine that has no agent yet: the install script and the agent's program."""

from __future__ import annotations

import functools
import gzip
import io
import shlex
import tarfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from collector import pki


@functools.cache
def script() -> bytes:
    """Return the install script; the same for everybody, for the token says the rest."""
    return resources.files("collector").joinpath("install/install.sh").read_bytes()


@functools.cache
def script_for_windows() -> bytes:
    """Return the install script of Windows, in PowerShell."""
    return resources.files("collector").joinpath("install/install.ps1").read_bytes()


@functools.cache
def archive() -> bytes:
    """Return the program as a .tar.gz whose paths begin with `agent/`; the same bytes for the same version."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, file in sorted(_program(resources.files("agent"), "agent").items()):
            member = tarfile.TarInfo(path)
            data = file.read_bytes()
            member.size = len(data)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


def one_line(url: str, token: str, data: Path) -> str:
    """Return the command that installs an agent; nothing is run before it has come from the collector of this CA."""
    script = f"{url.rstrip('/')}/install.sh"
    if not url.startswith("https:"):
        return f"curl -fsS {shlex.quote(script)} | sudo sh -s -- {token}"
    fingerprint = pki.Pki(data / "pki").fingerprint()
    ca = shlex.quote(f"{url.rstrip('/')}/v1/ca")
    return (
        f'ca=$(mktemp) && curl -fsSk {ca} -o "$ca"'
        f' && [ "$(openssl x509 -in "$ca" -outform DER | openssl dgst -sha256 -r | cut -c1-64)" = {fingerprint} ]'
        f' && curl -fsS --cacert "$ca" {shlex.quote(script)} | sudo sh -s -- {token}'
    )


def one_line_for_windows(url: str, token: str, data: Path) -> str:
    """Return the line for an administrator's PowerShell on Windows 10, Server 2019 or newer, which have curl."""
    base = url.rstrip("/")
    checked, trust = "", ""
    if url.startswith("https:"):
        fingerprint = pki.Pki(data / "pki").fingerprint()
        trust = " --ssl-no-revoke --cacert $ca"  # our CA has no revocation list
        checked = (
            f"$ca = Join-Path $env:TEMP watchdesk-ca.pem; curl.exe -fsSk '{base}/v1/ca' -o $ca; "
            "$x = New-Object Security.Cryptography.X509Certificates.X509Certificate2 $ca; "
            "$h = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($x.RawData)); "
            f"if ($h.Replace('-', '') -ne '{fingerprint}') {{ throw 'another CA; nothing was run' }}; "
        )
    fetched = f"(curl.exe -fsS{trust} '{base}/install.ps1') -join \"`n\""
    return (
        f"& {{ $ErrorActionPreference = 'Stop'; {checked}$s = {fetched}; "
        f"if ($LASTEXITCODE) {{ throw 'the script did not come' }}; & ([scriptblock]::Create($s)) {token} }}"
    )


def _program(folder: Traversable, path: str) -> dict[str, Traversable]:
    """Return the files of the agent's package by their path."""
    found: dict[str, Traversable] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                found |= _program(entry, f"{path}/{entry.name}")
        elif entry.name.endswith(".py"):
            found[f"{path}/{entry.name}"] = entry
    return found
