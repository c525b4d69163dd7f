"""An HTTP proxy on loopback that connects through, as a customer's network has them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ConnectProxy:
    """Answers CONNECT; counts what it was asked for, and keeps what went through it."""

    def __init__(self, credentials: str = "", answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self._credentials = credentials
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.asked: list[str] = []
        self.passed = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            first, *lines = head.decode().split("\r\n")
            self.asked.append(first)
            if self._credentials and f"Proxy-Authorization: Basic {self._credentials}" not in lines:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            client.sendall(self._answer)
            if b" 200 " not in self._answer:
                return
            host, _, port = first.split()[1].rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as collector:
                back = threading.Thread(target=self._pass, args=(collector, client), daemon=True)
                back.start()
                self._pass(client, collector)
                back.join(5)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self.passed += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one end hung up
            return


@contextmanager
def connect_proxy(credentials: str = "", answer: bytes | None = None) -> Iterator[ConnectProxy]:
    """A proxy that listens; `credentials` are those of the Basic scheme, encoded."""
    proxy = ConnectProxy(credentials) if answer is None else ConnectProxy(credentials, answer)
    try:
        yield proxy
    finally:
        proxy.close()
