"""Mail to a real server: threads, encryption, and what each refusal means."""

import base64
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.ticketing.adapters.messages import ANNOTATIONS, message
from tests.ticketing.adapters.servers import Desk, certificate, closed_port, smtp_desk
from tests.ticketing.alerts import alert
from ticketing.adapters.adapter import Message
from ticketing.adapters.email import Settings
from ticketing.adapters.email.template import compose
from ticketing.errors import SettingsError, TransportError


def settings(desk: Desk | None, **more: Any) -> Settings:
    port = desk.port if desk else closed_port()
    given = {"to": ["noc@example.net"], "sender": "watchdesk@desk.example", "host": "localhost", "port": port}
    return msgspec.convert({**given, "security": "none", "timeout": 1.0, **more}, Settings)


def send(desk: Desk, folder: Path, said: Message, **more: Any) -> EmailMessage:
    settings(desk, **more).open(folder).deliver(said)
    mail = desk.taken[-1]
    assert isinstance(mail, EmailMessage)
    return mail


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_the_opening_begins_the_conversation_and_tells_all(tmp_path: Path) -> None:
    with smtp_desk() as desk:
        mail = send(desk, tmp_path, message(tmp_path))
    assert mail["Subject"] == "[P3][acme/hq] fs01: /data is 96% full  [INC-1]"
    assert re.fullmatch(r"<inc-[0-9a-f-]{36}\.0@desk\.example>", mail["Message-ID"])
    assert mail["References"] is None
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
    text = body(mail, "plain")
    for line in (
        "IMPACT   File share; 42 users",
        "WHAT     96%; threshold 90%; usually 21%; DiskFull",
        "TREND    +4.1% an hour; full in 9 hr; ▁▅█",
        "CHANGED  08:43 software: installed: backup 2.1",
        "NEXT     Extend /data",
        "CLOSES   Less than 90% is used. By itself, as long as nobody has worked on it.",
        "KEY      acme/hq/fs01/DiskFull//data",
        "https://desk.example/incidents/1",
    ):
        assert line in text.splitlines(), text
    assert ">File share; 42 users</td>" in body(mail, "html")


def test_what_follows_stays_in_the_conversation_and_tells_the_change_alone(tmp_path: Path) -> None:
    worse = alert(at=60, severity="critical", value=99.0, annotations={**ANNOTATIONS, "summary": "fs01: /data is 99%"})
    over = [alert("resolved", at=240, severity="critical"), alert("resolved", at=300)]
    said = message(tmp_path, alert(annotations=ANNOTATIONS, value=96.0), worse, *over, first=2)
    mail = compose(said, "watchdesk@desk.example", "Watchdesk", ["noc@example.net"])
    opening = compose(message(tmp_path), "watchdesk@desk.example", "Watchdesk", ["noc@example.net"])
    assert mail["Subject"] == f"Re: {opening['Subject']}"
    assert mail["In-Reply-To"] == mail["References"] == opening["Message-ID"]
    assert mail["Message-ID"] != opening["Message-ID"]
    lines = body(mail, "plain").splitlines()
    assert "severity changed; warning→critical; P3→P1; 96%→99%" in lines[0]
    assert "critical→warning" in lines[1]
    assert "resolved; open→resolved; after 5 min" in lines[2]
    assert lines[3].startswith("INC-1 P3 warning, resolved: fs01: /data is 99%")
    assert not any(line.startswith("IMPACT") for line in lines)


def test_in_chinese(tmp_path: Path) -> None:
    mail = compose(message(tmp_path, language="zh_CN"), "a@b.example", "Watchdesk", ["noc@example.net"])
    assert "fs01：/data 已使用 96%" in mail["Subject"]
    text = body(mail, "plain")
    assert "阈值 90%" in text
    assert not re.search(r"threshold|an hour|By itself", text)


def test_a_repetition_is_the_same_mail(tmp_path: Path) -> None:
    with smtp_desk("hang", "ok") as desk:
        said = message(tmp_path)
        with pytest.raises(TransportError) as caught:
            send(desk, tmp_path, said)
        assert (caught.value.permanent, caught.value.uncertain) == (False, True)
        send(desk, tmp_path, said)
    first, second = desk.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert body(first, "plain") == body(second, "plain")


@pytest.mark.parametrize(
    ("answer", "permanent"), [("550", True), ("450", False), ("data/554", True), ("data/451", False)]
)
def test_what_the_server_refuses(tmp_path: Path, answer: str, permanent: bool) -> None:
    with smtp_desk(answer) as desk, pytest.raises(TransportError, match=answer.removeprefix("data/")) as caught:
        send(desk, tmp_path, message(tmp_path))
    assert (caught.value.permanent, caught.value.uncertain) == (permanent, False)
    assert desk.taken == []


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TransportError) as caught:
        settings(None).open(tmp_path).deliver(message(tmp_path))
    assert not caught.value.permanent


def test_encrypted_and_signed_in(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guessed")
    (tmp_path / "secret").write_text("secret\n")
    more = {"security": "starttls", "ca_file": "ca.pem", "user": "desk"}
    with smtp_desk(tls=certificate(tmp_path), password=base64.b64encode(b"\0desk\0secret").decode()) as desk:
        send(desk, tmp_path, message(tmp_path), password_file="secret", **more)
        with pytest.raises(TransportError, match="535") as caught:
            settings(desk, password_file="wrong", **more).open(tmp_path).deliver(message(tmp_path))
    assert not caught.value.permanent  # the provider mends the password; the mails wait for it
    assert len(desk.taken) == 1


def test_a_server_that_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    with smtp_desk(tls=certificate(tmp_path)) as desk, pytest.raises(TransportError, match="certificate") as caught:
        settings(desk, security="starttls").open(tmp_path).deliver(message(tmp_path))
    assert not caught.value.permanent
    assert desk.taken == []


def test_a_server_without_encryption_gets_no_password(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with smtp_desk(password="x") as desk:
        given = settings(desk, security="starttls", user="desk", password_file="secret").open(tmp_path)
        with pytest.raises(TransportError):
            given.deliver(message(tmp_path))
    assert desk.logins == []
    with pytest.raises(SettingsError, match="open connection"):
        settings(None, host="mail.example.net", user="desk", password_file="secret").open(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["a@b.example\r\nBcc: c@d.example"]},
        {"to": ["a@b.example, c@d.example"]},
        {"sender": "nobody"},
        {"port": 0},
        {"password": "in the configuration"},
    ],
)
def test_settings_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings(None, **wrong)
