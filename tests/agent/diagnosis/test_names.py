"""Name servers that lie, fail or are gone, and servers that show bad certificates; all of them real."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import dns
from agent.diagnosis.errors import NotFound
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.diagnosis.networks import Node, needs_networks, network
from tests.agent.recorded import lay

# ADDRESS=ANSWER …: an address to give, or a code of DNS, or "silence", or "long" for an answer that needs TCP.
SERVER = """
import socket, struct, sys, threading
def answer(data, said, tcp=False):
    code = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}.get(said, 0)
    if said == "long" and not tcp:
        return data[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + data[12:]
    given = ["192.0.2.%d" % n for n in range(60)] if said == "long" else [] if code or said == "empty" else [said]
    rows = b"".join(b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(one) for one in given)
    return data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(given), 0, 0) + data[12:] + rows
def udp(address, said):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, 53)); ready.release()
    while True:
        data, where = s.recvfrom(4096)
        if said == "garbage": s.sendto(data[:2] + b"\\xff" * 9, where)
        elif said != "silence": s.sendto(answer(data, said), where)
def tcp(address, said):
    s = socket.create_server((address, 53)); ready.release()
    while True:
        c, _ = s.accept(); length = int.from_bytes(c.recv(2), "big"); data = answer(c.recv(length), said, True)
        c.sendall(struct.pack(">H", len(data)) + data); c.close()
ready = threading.Semaphore(0)
for word in sys.argv[1:]:
    for run in (udp, tcp): threading.Thread(target=run, args=word.split("="), daemon=True).start()
for _ in sys.argv[1:] * 2: ready.acquire()
print("ready", flush=True); threading.Event().wait()
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A machine whose resolv.conf is its own."""
    with network(1) as (made,):
        for number in range(1, 5):
            made.ip(f"address add 10.0.0.{number}/32 dev lo")
        yield made


def ask(node: Node, folder: Path, servers: dict[str, str], hosts: str = "") -> str:
    """Return the finding of a machine with these name servers."""
    lay(folder, {"resolv.conf": "".join(f"nameserver {one}\n" for one in servers), "hosts": hosts})
    node.run("mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf")
    node.run("mount", "--bind", folder / "hosts", "/etc/hosts")
    try:
        with node.serving(SERVER, *(f"{address}={said}" for address, said in servers.items())):
            return str(node.diagnose("net.dns", "name=example.com")["finding"])
    finally:
        node.run("umount", "/etc/resolv.conf")
        node.run("umount", "/etc/hosts")


@needs_networks()
@pytest.mark.parametrize(
    ("answers", "hosts", "said"),
    [
        (("1.2.3.4", "5.6.7.8", "5.6.7.8"), "", "DNS server 10.0.0.1 answers 1.2.3.4 for example.com, others 5.6.7.8"),
        (("5.6.7.8", "NXDOMAIN", "5.6.7.8"), "",
         "DNS server 10.0.0.2 answers NXDOMAIN for example.com, others 5.6.7.8"),
        (("1.2.3.4", "5.6.7.8"), "",
         "The name servers do not agree on example.com: 10.0.0.1: 1.2.3.4; 10.0.0.2: 5.6.7.8"),
        (("silence", "5.6.7.8"), "",
         "DNS server 10.0.0.1 does not answer (no answer); others say that example.com is 5.6.7.8"),
        (("NXDOMAIN", "NXDOMAIN"), "", "There is no name example.com, all 2 name servers say (NXDOMAIN)"),
        (("SERVFAIL", "REFUSED"), "", "All name servers fail at example.com: 10.0.0.1: SERVFAIL; 10.0.0.2: REFUSED"),
        (("5.6.7.8",), "127.0.0.1 localhost\n9.9.9.9 www.example.com example.com\n",
         "example.com is set to 9.9.9.9 in this machine's hosts file, while DNS says 5.6.7.8"),
        (("long",), "",
         "example.com is 192.0.2.0, 192.0.2.1, 192.0.2.10, 192.0.2.11, …, says 10.0.0.1, the only name server"),
        (("empty",), "", "example.com exists, but has no record of type A"),
    ],
)  # fmt: skip
def test_a_name_server_that_lies_is_named(
    node: Node, tmp_path: Path, answers: tuple[str, ...], hosts: str, said: str
) -> None:
    assert ask(node, tmp_path, {f"10.0.0.{at}": one for at, one in enumerate(answers, 1)}, hosts) == said


def test_nobody_to_ask(tmp_path: Path) -> None:
    lay(tmp_path, {"etc/resolv.conf": "nameserver not-an-address\nsearch x\nnameserver\n"})
    with pytest.raises(NotFound):
        diagnose("net.dns", look(tmp_path), name="example.com")


@given(st.binary(max_size=600))
def test_fuzz_answers_of_name_servers(data: bytes) -> None:
    asked = dns.question(7, "example.com", "A")
    dns_answers = (data, asked[:2] + b"\x81\x80\0\1\0\5\0\0\0\0" + asked[12:] + data)
    for whole in dns_answers:
        with contextlib.suppress(ValueError):
            dns.parse(whole, asked)


def test_a_name_that_goes_in_circles() -> None:
    asked = dns.question(7, "example.com", "A")
    with pytest.raises(ValueError, match="does not end"):
        dns.parse(asked[:2] + b"\x81\x80\0\1\0\0\0\0\0\0\xc0\x0c", asked)


KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.now(UTC)


def certificate(folder: Path, name: str, *, days: int = 90, since: int = -100, issuer: str = "") -> Path:
    """A certificate with its key in a file, signed by itself unless it names somebody else."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)])
    built = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(signer).public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=since)).not_valid_after(NOW + timedelta(days=days, minutes=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(KEY, hashes.SHA256())
    )  # fmt: skip
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + key)
    return path


class Page(BaseHTTPRequestHandler):
    """Answers by the path: /CODE."""

    def do_GET(self) -> None:
        """Answer."""
        code = int(self.path.strip("/") or 200)
        self.send_response(code)
        self.send_header("Content-Length", "2")
        if 300 < code < 400:
            self.send_header("Location", "https://anna:hunter2@elsewhere.example/?token=hunter2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def web(pem: Path | None = None) -> Iterator[int]:
    """A server of HTTP, or HTTPS; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("made", "trusted", "said"),
    [
        ({"name": "localhost", "days": -3}, True, "certificate of localhost:PORT expired 2 days ago ("),
        ({"name": "localhost", "days": 0, "since": -1}, True, "certificate of localhost:PORT expires in 0 days ("),
        ({"name": "localhost", "days": 90, "since": 2}, True, "certificate of localhost:PORT is valid from "),
        ({"name": "localhost", "days": 90}, True, "certificate of localhost:PORT is good until "),
        ({"name": "localhost", "days": 9}, True, "certificate of localhost:PORT expires in 9 days ("),
        ({"name": "other.example"}, True, "certificate of localhost:PORT is for other.example, not for localhost"),
        ({"name": "localhost"}, False, "certificate of localhost:PORT is signed by itself (localhost): nobody vouches"),
        ({"name": "localhost", "issuer": "Acme CA"}, False,
         "certificate of localhost:PORT is signed by Acme CA, whose certificate the server does not send"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, object], trusted: bool, said: str
) -> None:
    pem = certificate(tmp_path, **made)  # type: ignore[arg-type]
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with web(pem) as port:
        found = diagnose("net.tls", host="localhost", port=port)
        assert found["finding"].startswith(said.replace("PORT", str(port)))
        assert found["data"]["chain"][0]["names"] == [made["name"]]
        chain = diagnose("cert.chain", source=f"{port}/tcp")
        assert chain["data"]["chain"] == found["data"]["chain"]


def test_a_port_that_is_no_tls() -> None:
    with web() as port:
        assert "does not come to an agreement on TLS" in diagnose("net.tls", host="localhost", port=port)["finding"]
    found = diagnose("net.tls", host="127.0.0.1", port=1)
    assert found["finding"] == "No connection to 127.0.0.1:1: Connection refused"


def test_certificates_of_files(tmp_path: Path) -> None:
    path = certificate(tmp_path, "db.example", days=-9)
    lay(tmp_path, {"etc/none.pem": "nothing"})
    found = diagnose("cert.chain", source=str(path))
    assert found["finding"].startswith(f"certificate db.example in {path} expired 8 days ago (")
    assert "PRIVATE" not in str(found)
    for source in (str(tmp_path / "etc/none.pem"), "/nonexistent", ""):
        with pytest.raises(NotFound):
            diagnose("cert.chain", source=source)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", " answers 200 OK after "),
        ("404", " is refused: 404 Not Found"),
        ("503", " fails: 503 Service Unavailable, after "),
        ("302?q=hunter2", " answers 302 and sends to https://[redacted]@elsewhere.example/"),
    ],
)
def test_what_a_server_of_http_answers(path: str, said: str) -> None:
    with web() as port:
        found = diagnose("net.http", url=f"http://127.0.0.1:{port}/{path}")
    assert said in found["finding"]
    assert "hunter2" not in str(found)


def test_addresses_of_http_that_cannot_be_had(tmp_path: Path) -> None:
    with web(certificate(tmp_path, "localhost")) as port:
        found = diagnose("net.http", url=f"https://localhost:{port}/")["finding"]
        assert "tls fails, self-signed certificate" in found or "tls fails, self signed certificate" in found
    assert diagnose("net.http", url="http://127.0.0.1:1/x")["finding"] == (
        "http://127.0.0.1:1/x cannot be had: connect fails, Connection refused"
    )
    assert "resolve fails" in diagnose("net.http", url="http://no.such.invalid/")["finding"]
