"""The ways to the collector: through a proxy, to one of several addresses, over IPv6."""

import base64
from pathlib import Path

import pytest

from agent.config import Config, parse
from agent.connection import Connection
from agent.endpoint import endpoint, proxy
from agent.errors import CertificateError, ConfigError, TransportError
from agent.loop import complete
from agent.start import connect
from agent.state import Enrolment
from tests.agent.authority import Authority
from tests.agent.collector import TOKEN, TestCollector, running
from tests.agent.helpers import agent, command, enrolled, eventually
from tests.agent.proxy import connect_proxy

ASK = "GET /v1/ca HTTP/1.1\r\n"


def way(collector: TestCollector, environ: dict[str, str] | None = None, **chosen: str) -> Connection:
    """The way that an agent enrolled at the collector takes with this configuration."""
    text = "".join(f"{key} = {value}\n" for key, value in chosen.items())
    ca = collector.authority.pem if collector.authority else ""
    enrolment = Enrolment("pc.hq.acme", collector.url, 10.0, TOKEN, ca)
    return connect(parse(text, "agent.conf", ()), enrolment, environ or {})


def status(connection: Connection) -> int:
    answer = complete(connection.request(ASK, b"", 5.0))
    connection.close()
    return answer.status


def test_a_proxy_connects_through_and_cannot_read(collector: TestCollector) -> None:
    with connect_proxy() as through:
        assert status(way(collector, proxy=f"http://127.0.0.1:{through.port}")) == 200
        assert through.asked == [f"CONNECT {endpoint(collector.url).authority} HTTP/1.1"]
        assert b"/v1/ca" not in through.passed


def test_a_proxy_that_wants_a_password(collector: TestCollector, tmp_path: Path) -> None:
    secret = base64.b64encode("dömain\\user:p@ss:w%rd".encode()).decode()
    with connect_proxy(secret) as through:
        url = f"http://d%C3%B6main%5Cuser:p%40ss:w%25rd@127.0.0.1:{through.port}"
        assert status(way(collector, proxy=url)) == 200
        (tmp_path / "password").write_text("p@ss:w%rd\n")
        url = f"http://d%C3%B6main%5Cuser@127.0.0.1:{through.port}"
        assert status(way(collector, proxy=url, proxy_password_file=str(tmp_path / "password"))) == 200
        with pytest.raises(TransportError, match="407") as refused:
            status(way(collector, proxy=f"http://user:secret-word@127.0.0.1:{through.port}"))
        assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n", b"", b"x" * 70_000],
    ids=["forbidden", "another protocol", "nothing", "endless"],
)
def test_a_proxy_that_does_not_connect(collector: TestCollector, answer: bytes) -> None:
    with connect_proxy(answer=answer) as through, pytest.raises(TransportError):
        status(way(collector, proxy=f"http://127.0.0.1:{through.port}"))


def test_the_systems_proxy_only_if_it_is_asked_for(collector: TestCollector) -> None:
    with connect_proxy() as through:
        environ = {"https_proxy": f"http://127.0.0.1:{through.port}"}
        assert status(way(collector, environ)) == 200
        assert not through.asked
        assert status(way(collector, environ, proxy="system")) == 200
        assert through.asked
    assert status(way(collector, {}, proxy="system")) == 200


@pytest.mark.parametrize(
    "url", ["127.0.0.1:3128", "socks5://127.0.0.1:1080", "http://u:top-secret@host:port", "http://"]
)
def test_a_proxy_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(TransportError, match="HOST:PORT") as error:
        proxy(url)
    assert "top-secret" not in str(error.value)


def test_an_agent_reports_through_a_proxy(collector: TestCollector, state: Path) -> None:
    with connect_proxy() as through, agent(state, config=f"interval = 1\nproxy = http://127.0.0.1:{through.port}\n"):
        eventually(lambda: len(collector.rows()) > 1)
        assert through.asked


def test_the_next_address_is_tried_at_once_and_then_kept(collector: TestCollector, authority: Authority) -> None:
    with running(authority) as second:
        connection = way(collector, collectors=f"{second.url}, https://127.0.0.1:1")
        assert complete(connection.request(ASK, b"", 5.0)).status == 200
        collector.stop()
        with pytest.raises(TransportError):
            complete(connection.request(ASK, b"", 5.0))
        assert connection.fail_over()
        assert complete(connection.request(ASK, b"", 5.0)).status == 200
        assert connection.endpoint.port == endpoint(second.url).port
        assert connection.fail_over()
        assert not connection.fail_over()  # round
        assert connection.endpoint.port == endpoint(collector.url).port
        connection.close()
        collector.start()


def test_an_agent_goes_on_at_the_other_collector(collector: TestCollector, authority: Authority, state: Path) -> None:
    with running(authority) as second, agent(state, config=f"interval = 1\ncollectors = {second.url}\n") as process:
        eventually(lambda: len(collector.rows()) > 1)
        collector.stop()
        eventually(lambda: len(second.rows()) > 1)
        assert process.stop() == 0
        assert second.said(5)
        collector.start()


def test_another_address_is_held_to_the_same_ca(collector: TestCollector) -> None:
    with running(Authority()) as stranger:
        connection = way(collector, collectors=stranger.url)
        connection.fail_over()
        with pytest.raises(CertificateError):
            status(connection)
        assert not stranger.pushes


def test_tls_is_never_given_up_for_another_address(collector: TestCollector) -> None:
    with pytest.raises(TransportError, match="http://"):
        way(collector, collectors="http://127.0.0.1:8080")


@pytest.mark.parametrize("value", ["collector.example", "https://a, ftp://b", " ".join(["https://a:1"] * 9)])
def test_addresses_that_are_none(value: str) -> None:
    with pytest.raises(ConfigError, match="line 1"):
        parse(f"collectors = {value}", "agent.conf", ())
    assert Config().collectors == []


def test_an_agent_reports_over_ipv6(authority: Authority, tmp_path: Path) -> None:
    with running(authority, host="::1") as collector, agent(enrolled(collector, tmp_path / "state")):
        eventually(collector.rows)


def test_enrolling_through_a_proxy_keeps_it(collector: TestCollector, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with connect_proxy() as through:
        url = f"http://127.0.0.1:{through.port}"
        done = command("enrol", collector.enrolment_token(), "--proxy", url, state=state)
        assert done.returncode == 0, done.stderr
        assert len(through.asked) == 2
        assert (state / "agent.conf").read_text() == f"proxy = {url}\n"
        assert (state / "agent.conf").stat().st_mode & 0o777 == 0o600
        assert command("uninstall", state=state).returncode == 0
        assert len(through.asked) == 3
    assert collector.retired == 1


def test_enrolling_keeps_a_configuration_that_is_there(collector: TestCollector, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with connect_proxy() as through:
        text = f"# ours\nproxy = http://127.0.0.1:{through.port}\n"
        (state / "agent.conf").write_text(text)
        assert command("enrol", collector.enrolment_token(), state=state).returncode == 0
        assert len(through.asked) == 2
        done = command("enrol", collector.enrolment_token(), "--proxy", "http://other:1", "--force", state=state)
        assert done.returncode == 1
        assert "agent.conf" in done.stderr
    assert (state / "agent.conf").read_text() == text
