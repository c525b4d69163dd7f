"""A network between a sender and the collector that breaks: it passes, refuses, swallows, or cuts off what comes."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Network:
    """Listens on a port of its own and passes on to another.

    Attributes:
        mode: what happens from now on: `pass`, `refuse` (closed at once), `silent` (half open: nothing answers),
            `no-reply` (requests arrive, their answers do not), `cut` (a part arrives), `slow` (some bytes at a time).
    """

    def __init__(self, target: int, chance: random.Random) -> None:
        self.mode = "pass"
        self._target = target
        self._chance = chance
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and cut everything off."""
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """Cut off what is connected."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client, self.mode), daemon=True).start()

    def _one(self, client: socket.socket, mode: str) -> None:
        with client, suppress(OSError):
            self._open.add(client)
            if mode == "refuse":
                return
            if mode == "silent":
                while client.recv(65_536):
                    pass
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                back = threading.Thread(target=self._back, args=(server, client, mode), daemon=True)
                back.start()
                self._forth(client, server, mode)
                back.join(30)
        self._open.discard(client)

    def _forth(self, client: socket.socket, server: socket.socket, mode: str) -> None:
        left = self._chance.randrange(1, 2000)
        with suppress(OSError):
            while data := client.recv(16 if mode == "slow" else 65_536):
                if mode == "cut" and len(data) >= left:
                    server.sendall(data[:left])
                    break
                server.sendall(data)
                left -= len(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _back(self, server: socket.socket, client: socket.socket, mode: str) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if mode == "no-reply":
                    break
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def network(target: int, chance: random.Random) -> Iterator[Network]:
    """A network that is there."""
    made = Network(target, chance)
    try:
        yield made
    finally:
        made.close()
