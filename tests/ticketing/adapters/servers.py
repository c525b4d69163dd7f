"""Recipients on this machine that do what real ones do: take it, refuse it, take it and say nothing."""

from __future__ import annotations

import contextlib
import datetime
import email
import email.policy
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Desk:
    """What a recipient was sent, and how it answers: each answer is used once, and the last for ever after."""

    answers: list[str] = field(default_factory=lambda: ["ok"])
    port: int = 0
    taken: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def next(self) -> str:
        """Return how to answer now."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def http_desk(*answers: str) -> Iterator[Desk]:
    """Yield an HTTP server: "ok", a status, "status/seconds" with Retry-After, "hang" (take it and say nothing)."""
    desk = Desk(list(answers) or ["ok"])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = desk.next()
            if answer in {"ok", "hang"}:
                desk.taken.append(body)
            desk.headers.append({name.lower(): value for name, value in self.headers.items()})
            if answer == "hang":
                desk.closing.wait(30)
                self.close_connection = True
                return
            status, _, seconds = answer.partition("/")
            self.send_response(200 if status == "ok" else int(status))
            if seconds:
                self.send_header("Retry-After", seconds)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no" if status != "ok" else b"ok")

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    desk.port = server.server_address[1]
    yield from _serving(server, desk)


@contextlib.contextmanager
def smtp_desk(*answers: str, tls: ssl.SSLContext | None = None, password: str = "") -> Iterator[Desk]:
    """Yield an SMTP server: "ok", a status for the recipient, "data/STATUS" after the mail, "hang" after the mail."""
    desk = Desk(list(answers) or ["ok"])

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
                _talk(self, desk, tls, password, opened)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    desk.port = server.server_address[1]
    yield from _serving(server, desk)


def _serving(server: socketserver.ThreadingTCPServer | ThreadingHTTPServer, desk: Desk) -> Iterator[Desk]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield desk
    finally:
        desk.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _talk(
    handler: socketserver.StreamRequestHandler,
    desk: Desk,
    tls: ssl.SSLContext | None,
    password: str,
    opened: contextlib.ExitStack,
) -> None:
    connection, reader = handler.connection, handler.rfile
    answer, encrypted = desk.next(), False

    def say(text: str) -> None:
        connection.sendall(f"{text}\r\n".encode())

    say("220 here")
    while line := reader.readline():
        verb, _, rest = line.decode().strip().partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                offers = ["STARTTLS"] if tls and not encrypted else []
                offers += ["AUTH PLAIN"] if password else []
                say("\r\n".join(["250-desk", *(f"250-{offer}" for offer in offers), "250 SMTPUTF8"]))
            case "STARTTLS" if tls:
                say("220 go on")
                connection = opened.enter_context(tls.wrap_socket(connection, server_side=True))
                reader, encrypted = opened.enter_context(connection.makefile("rb")), True
            case "AUTH":
                desk.logins.append(rest)
                say("235 welcome" if rest.endswith(password) else "535 wrong password")
            case "RCPT" if answer.isdigit():
                say(f"{answer} no")
            case "DATA":
                say("354 go on")
                mail = _mail(reader)
                if answer in {"ok", "hang"}:
                    desk.taken.append(mail)
                if answer == "hang":
                    desk.closing.wait(30)
                    return
                say("250 taken" if answer == "ok" else f"{answer.removeprefix('data/')} no")
            case "QUIT":
                say("221 bye")
                return
            case _:
                say("250 ok")


def _mail(reader: Any) -> EmailMessage:
    lines = []
    while (line := reader.readline()) != b".\r\n":
        lines.append(line[1:] if line.startswith(b"..") else line)
    made = email.message_from_bytes(b"".join(lines), policy=email.policy.SMTP)
    assert isinstance(made, EmailMessage)
    return made


def certificate(folder: Path) -> ssl.SSLContext:
    """Return the context of a server at 127.0.0.1; its certificate is `folder/ca.pem`, and vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


def closed_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
