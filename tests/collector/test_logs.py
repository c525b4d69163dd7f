"""Log lines: one for each, whatever is in them, with the id of the request that they belong to."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from collector import logs
from collector.ingest.http import Request, answer
from collector.ingest.requests import LINES, Refusals

HOSTILE = 'a\nlevel=ERROR faked\r\x1b[31m"}{'


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


def test_each_line_is_json_with_its_fields(written: io.StringIO) -> None:
    logs.log_to(written, logging.INFO, "json")
    context = logs.request_id.set("abc12345")
    logging.getLogger("x").warning("%s", HOSTILE, extra={"status": 404, "odd": {1, 2}})
    logs.request_id.reset(context)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("x").exception("failed")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("warning", "x", HOSTILE)
    assert (first["request_id"], first["status"]) == ("abc12345", 404)
    assert first["time"].endswith("+00:00")
    assert "request_id" not in second
    assert "ValueError" in second["exception"]


def test_a_line_of_text_cannot_be_faked(written: io.StringIO) -> None:
    logs.log_to(written, logging.INFO)
    logging.getLogger("x").warning("%s", HOSTILE, extra={"path": HOSTILE, "request_id": "r1"})
    [line] = written.getvalue().splitlines()
    assert "level=WARNING logger=x request_id=r1" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("offered", ["", "short", "x" * 65, "a b c d e f g", "abcdefgh\n"])
def test_an_id_that_is_no_plain_word_is_replaced(offered: str) -> None:
    assert logs.new_id(offered) != offered
    assert logs.new_id("from-a.proxy_1") == "from-a.proxy_1"


def test_refusals_have_a_line_each_up_to_a_bound(written: io.StringIO) -> None:
    logs.log_to(written, logging.INFO, "json")
    now = [100.0]
    refusals = Refusals(lambda: now[0])
    request = Request("192.0.2.7")
    request.method, request.path = b"POST", b"/v1/push?token=secret"
    response = refusals.answered(request, "id1", answer(401, 1.0, b'{"error": "no"}'))
    assert response.startswith(b"HTTP/1.1 401 Unauthorized\r\nX-Request-ID: id1\r\n")
    assert refusals.answered(request, "id2", response) == response  # the main process has named and logged it
    assert b"X-Request-ID: id3" in refusals.answered(request, "id3", answer(204, 1.0))
    for _ in range(100):
        refusals.answered(request, "id4", answer(400, 1.0))
    now[0] += 1
    refusals.answered(request, "id5", answer(400, 1.0))
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert len(lines) == LINES + 2
    assert lines[0] == {**lines[0], "request_id": "id1", "status": 401, "path": "/v1/push", "peer": "192.0.2.7"}
    assert lines[-2]["message"] == f"{101 - LINES} more requests were refused"
    assert "secret" not in written.getvalue()
