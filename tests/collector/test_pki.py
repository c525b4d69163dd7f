"""The CA and the collector's certificate, verified by the ssl module of another party."""

import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from collector import pki

NOW = pki.utc_now()


def handshake(server: ssl.SSLContext, ca: Path, name: str) -> None:
    """Connect through memory, verifying the peer as an agent does."""
    client = ssl.create_default_context(cafile=str(ca))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (here, there):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {here, there}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "watch.example.org"])
def test_agents_accept_the_collector_under_each_of_its_names(tmp_path: Path, name: str) -> None:
    made = pki.prepare(tmp_path, ["localhost", "127.0.0.1", "::1", "watch.example.org"], NOW)
    handshake(made.context(), made.ca, name)


def test_agents_refuse_another_name_and_another_ca(tmp_path: Path) -> None:
    made = pki.prepare(tmp_path / "a", ["localhost"], NOW)
    other = pki.prepare(tmp_path / "b", ["localhost"], NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made.context(), made.ca, "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made.context(), other.ca, "localhost")


def test_a_second_start_keeps_the_ca_and_the_certificate(tmp_path: Path) -> None:
    first = pki.prepare(tmp_path, ["localhost"], NOW)
    before = (first.ca.read_bytes(), first.server.read_bytes())
    again = pki.prepare(tmp_path, ["localhost"], NOW + timedelta(days=30))
    assert (again.ca.read_bytes(), again.server.read_bytes()) == before


@pytest.mark.parametrize(("names", "days"), [(["localhost", "new.example.org"], 0), (["localhost"], 300)])
def test_the_certificate_is_renewed_in_time_and_for_new_names_by_the_same_ca(
    tmp_path: Path, names: list[str], days: int
) -> None:
    first = pki.prepare(tmp_path, ["localhost"], NOW - timedelta(days=days))
    ca, server = first.ca.read_bytes(), first.server.read_bytes()
    again = pki.prepare(tmp_path, names, NOW)
    assert again.server.read_bytes() != server
    assert again.ca.read_bytes() == ca
    handshake(again.context(), again.ca, names[-1])


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    pki.prepare(tmp_path / "pki", ["localhost"], NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.pem": 0o600}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_the_fingerprint_is_that_of_the_der_form(tmp_path: Path) -> None:
    made = pki.prepare(tmp_path, ["localhost"], NOW)
    certificate = x509.load_pem_x509_certificate(made.ca.read_bytes())
    assert made.fingerprint() == certificate.fingerprint(hashes.SHA256()).hex()
    assert len(made.fingerprint()) == 64
