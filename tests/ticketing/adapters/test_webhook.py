"""Calls to a real server: what is signed, and what each answer means."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.ticketing.adapters.messages import message
from tests.ticketing.adapters.servers import Desk, closed_port, http_desk
from ticketing.adapters.webhook import Settings
from ticketing.errors import SettingsError, TransportError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def settings(port: int, **more: Any) -> Settings:
    return msgspec.convert({"url": f"http://127.0.0.1:{port}/hook?a=1", "timeout": 1.0, **more}, Settings)


def post(desk: Desk, folder: Path, **more: Any) -> dict[str, Any]:
    settings(desk.port, **more).open(folder).deliver(message(folder))
    found = json.loads(desk.taken[-1])
    assert isinstance(found, dict)
    return found


def test_what_is_sent(tmp_path: Path) -> None:
    with http_desk() as desk:
        sent = post(desk, tmp_path)
    assert (sent["version"], sent["type"], sent["sequence"]) == (1, "incident.open", 0)
    assert sent["incident"]["key"] == "acme/hq/fs01/DiskFull//data"
    assert sent["incident"]["evidence"]["normal"] == 21
    assert sent["incident"]["evidence"]["changes"][0]["text"] == "installed: backup 2.1"
    assert sent["changes"][0]["action"] == "open"
    assert sent["url"] == "https://desk.example/incidents/1"
    assert desk.headers[0]["content-type"] == "application/json"
    assert "webhook-signature" not in desk.headers[0]


def test_the_signature_is_that_of_the_specification(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    with http_desk() as desk:
        post(desk, tmp_path, secret_file="secret")
    headers = desk.headers[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + desk.taken[0]
    digest = hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_a_repetition_has_the_same_id(tmp_path: Path) -> None:
    with http_desk("hang", "ok") as desk:
        with pytest.raises(TransportError) as caught:
            post(desk, tmp_path)
        assert (caught.value.permanent, caught.value.uncertain) == (False, True)
        post(desk, tmp_path)
    first, second = desk.headers
    assert first["webhook-id"] == second["webhook-id"] == first["idempotency-key"] == "noc/1/1"


@pytest.mark.parametrize(
    ("answer", "permanent", "uncertain", "wait"),
    [
        ("500", False, True, None),
        ("503", False, False, None),
        ("429/7", False, False, 7.0),
        ("429/999999", False, False, 3600.0),
        ("429/soon", False, False, None),
        ("400", True, False, None),
        ("410", True, False, None),
        ("401", False, False, None),
        ("302", False, False, None),
    ],
)
def test_what_the_server_refuses(
    tmp_path: Path, answer: str, permanent: bool, uncertain: bool, wait: float | None
) -> None:
    with http_desk(answer) as desk, pytest.raises(TransportError, match=answer[:3]) as caught:
        post(desk, tmp_path)
    error = caught.value
    assert (error.permanent, error.uncertain, error.retry_after) == (permanent, uncertain, wait)
    assert desk.taken == []


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TransportError) as caught:
        settings(closed_port()).open(tmp_path).deliver(message(tmp_path))
    assert (caught.value.permanent, caught.value.uncertain) == (False, False)


def test_headers_of_the_provider_are_sent_along(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("Authorization: Bearer abc\nX-Team: noc\n")
    with http_desk() as desk:
        post(desk, tmp_path, headers_file="headers")
    assert (desk.headers[0]["authorization"], desk.headers[0]["x-team"]) == ("Bearer abc", "noc")
    (tmp_path / "headers").write_text("no header at all\n")
    with pytest.raises(SettingsError, match="Name: value"):
        settings(1, headers_file="headers").open(tmp_path)


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    for wrong in ({"url": "ftp://x"}, {"url": "http://x/\r\nX: y"}, {"timeout": 0}, {"secret": "here"}):
        with pytest.raises(msgspec.ValidationError):
            settings(1, **wrong)
    (tmp_path / "secret").write_text("whsec_*")
    with pytest.raises(SettingsError, match="base64"):
        settings(1, secret_file="secret").open(tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        settings(1, secret_file="missing").open(tmp_path)
