#!/bin/sh
# Installs the Watchdesk agent as a service of this machine (Linux, macOS).
#
#     sh install.sh TOKEN [--name NAME] [--class server|desktop] [--proxy URL]
#
# TOKEN is one of `watchdesk enrol-token create`; it says where the collector is and which CA to trust there.
# Everything goes to /opt/watchdesk-agent, /usr/local/bin/watchdesk-agent and the agent's state directory;
# `watchdesk-agent uninstall` leaves nothing of it.
set -eu

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/local/bin/python3 /opt/homebrew/bin/python3; do
        if command -v "$python" >/dev/null 2>&1 &&
            "$python" -I -c 'import ssl, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "Python 3.11 or newer is needed (Debian, Ubuntu: apt install python3; macOS: python.org's installer)"
}

main() {
    [ $# -ge 1 ] || fail "give the token: sh install.sh TOKEN"
    case $1 in wde_*) ;; *) fail "the token begins with wde_" ;; esac
    [ "$(id -u)" = 0 ] || fail "run it as root: sudo sh install.sh TOKEN"
    python=$(find_python)
    say "Fetching the agent ..."
    staging=$(mktemp -d /opt/.watchdesk-agent.XXXXXX 2>/dev/null || { mkdir -p /opt && mktemp -d /opt/.watchdesk-agent.XXXXXX; })
    trap 'rm -rf "$staging"' EXIT
    "$python" -I - "$staging" "$@" <<'FETCH'
"""Fetches the agent's program from the collector, whose CA is the one that the token names."""
import base64, hashlib, io, json, os, ssl, sys, tarfile, urllib.request
from urllib.error import URLError

staging, token, *rest = sys.argv[1:]
if "--proxy" in rest:
    os.environ["https_proxy"] = rest[rest.index("--proxy") + 1]
elif not os.environ.get("https_proxy"):
    os.environ["no_proxy"] = "*"
try:
    said = json.loads(base64.urlsafe_b64decode(token[4:] + "=" * (-len(token[4:]) % 4)))
    url, fingerprint = said["u"].rstrip("/"), said.get("f", "")
except (ValueError, KeyError, TypeError, AttributeError):
    sys.exit("install.sh: this is not a whole token; copy it again, from wde_ to its end")
trust = None
try:
    if url.startswith("https:"):
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        pem = urllib.request.urlopen(url + "/v1/ca", timeout=20, context=unverified).read(65536).decode("ascii")
        if hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() != fingerprint:
            sys.exit(f"install.sh: the CA of {url} is not the one that the token names; nothing was installed")
        trust = ssl.create_default_context(cadata=pem)
    data = urllib.request.urlopen(url + "/v1/agent.tar.gz", timeout=60, context=trust).read(32 << 20)
except (URLError, ValueError, OSError) as error:
    sys.exit(f"install.sh: {url} cannot be reached: {getattr(error, 'reason', error)}")
with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
    for member in archive:
        if not member.isfile() or member.name.startswith("/") or ".." in member.name.split("/"):
            sys.exit("install.sh: the archive is not as it should be; nothing was installed")
        target = os.path.join(staging, member.name)
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        with open(target, "wb") as file:
            file.write(archive.extractfile(member).read())
        os.chmod(target, 0o644)
FETCH
    token=$1
    shift
    "$python" -I -m compileall -q "$staging/agent"
    mkdir -p "$staging/bin" /usr/local/bin
    cat >"$staging/bin/watchdesk-agent" <<PROGRAM
#!$python -IS
import sys

sys.path.insert(0, "/opt/watchdesk-agent")
from agent.__main__ import main

sys.exit(main())
PROGRAM
    chmod 755 "$staging" "$staging/bin/watchdesk-agent"
    find "$staging" -type d -exec chmod 755 {} +
    rm -rf /opt/watchdesk-agent
    mv "$staging" /opt/watchdesk-agent
    trap - EXIT
    ln -sf /opt/watchdesk-agent/bin/watchdesk-agent /usr/local/bin/watchdesk-agent
    state=/var/lib/watchdesk-agent
    [ "$(uname -s)" != Darwin ] || state="/Library/Application Support/watchdesk-agent"
    if [ -s "$state/token" ]; then
        say "This machine is enrolled already and stays who it is; the program is the new one."
    else
        printf '%s\n' "$token" | /usr/local/bin/watchdesk-agent enrol - "$@"
    fi
    /usr/local/bin/watchdesk-agent service install
}

# The last line, so that a download which broke off does nothing.
main "$@"
