"""Bringing results to the collector, over the ways that the agent takes, from the process that made them."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping

from agent.answer import Answer
from agent.connection import Connection
from agent.diagnosis.store import decode_key
from agent.errors import TransportError
from agent.loop import complete

TIMEOUT = 15.0
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between tries; then it is given up
GZIP_FROM = 1_024


class Collector:
    """What is asked of the collector and brought to it during a diagnosis."""

    def __init__(self, connection: Connection, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._token = token
        self._sleep = sleep

    def post(self, result: Mapping[str, object]) -> str:
        """Bring a result; return "" once it was taken, else why it was not. What is not the end is tried once."""
        body = json.dumps(result).encode()
        head = f"POST /v1/results HTTP/1.1\r\nAuthorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
        if len(body) >= GZIP_FROM:
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            head += "Content-Encoding: gzip\r\n"
        said = ""
        for pause in (*(() if result["state"] in ("asking", "running") else PAUSES), None):
            try:
                answer = complete(self._connection.request(head, body, TIMEOUT))
            except TransportError as error:
                said = str(error)
                self._connection.fail_over()
            else:
                if answer.status in (200, 202, 204):
                    return ""
                said = f"the collector answered {answer.status}"
                if answer.status not in (429, 500, 502, 503, 504):
                    return said
            if pause is not None:
                self._sleep(pause)
        return said

    def key(self) -> bytes | None:
        """Return the public key that its diagnoses are signed with, None if it has none.

        Raises:
            TransportError: it could not be asked.
        """
        head = f"GET /v1/diagnosis-key HTTP/1.1\r\nAuthorization: Bearer {self._token}\r\n"
        answer = complete(self._connection.request(head, b"", TIMEOUT))
        return _key(answer) if answer.status == 200 else None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _key(answer: Answer) -> bytes | None:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    text = said.get("diagnosis_key") if isinstance(said, dict) else None
    return decode_key(text) if isinstance(text, str) else None
