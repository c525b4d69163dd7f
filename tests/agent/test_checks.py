"""Checks of others: plugins, HTTP, TCP, ICMP, exporters, text files; good ones and hostile ones."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.config import parse
from agent.errors import ConfigError
from agent.exposed import samples
from agent.heavy import checks
from agent.heavy.asking import answered
from agent.heavy.checks import MAX_SERIES
from agent.heavy.perfdata import MAX_VALUES, perfdata, split_output
from agent.heavy.tools import NOT_FOUND, TIMED_OUT, Output, Task, run
from agent.probes import NoData, discover_one
from agent.probes.host import Host
from tests.agent.helpers import NOW
from tests.agent.recorded import agains, events, lay, series, task


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("load1=0.5;2;5;0;", [("load1", 0.5, "", 2.0, 5.0)]),
        ("'free space'=12MB;;10:20", [("free space", 12 * 1024**2, "bytes", None, None)]),
        ("time=35ms;100;200 size=1KB", [("time", 0.035, "seconds", 0.1, 0.2), ("size", 1024.0, "bytes", None, None)]),
        ("it''s=1 'it''s'=2c", [("it''s", 1.0, "", None, None), ("it's", 2.0, "total", None, None)]),
        ("/=2643MB;5948;5958;0;5968 '/a b'=50%;80;90", [
            ("/", 2643 * 1024**2, "bytes", 5948 * 1024**2, 5958 * 1024**2), ("/a b", 50.0, "percent", 80.0, 90.0)]),
        ("rta=U loss=100%", [("loss", 100.0, "percent", None, None)]),
        ("a=-1.5e3", [("a", -1500.0, "", None, None)]),
        ("a=1furlong b=nan c=1_0 d== =5 'open", [("", 5.0, "", None, None)]),
        ("", []),
    ],
)  # fmt: skip
def test_performance_data(text: str, found: list[tuple[str, float, str, float | None, float | None]]) -> None:
    told = [(one.label, one.value, one.unit, one.warning, one.critical) for one in perfdata(text)]
    assert told == found


def test_performance_data_is_bounded() -> None:
    assert len(perfdata(" ".join(f"n{number}=1" for number in range(10_000)))) == MAX_VALUES
    assert perfdata("'" + "x" * 1_000_000) == []


def test_the_lines_of_a_plugin() -> None:
    text = "DISK OK - free | /=2643MB\nmore words\nlast words | /boot=68MB\n/home=69357MB\n"
    assert split_output(text) == ("DISK OK - free\nmore words\nlast words", " /=2643MB  /boot=68MB /home=69357MB")


def options(**more: str) -> dict[str, str]:
    return {"check.disk": "nagios /usr/lib/nagios/plugins/check_disk -w '10 %'", **more}


def test_a_plugins_state_text_and_numbers() -> None:
    given = task({"/usr/lib": Output(2, "DISK CRITICAL - full | /=99%;80;90\n")}, options=options())
    found = list(checks.read(given))
    values = series(found)
    assert values.pop('watchdesk_check_duration_seconds{check="disk"}') >= 0
    assert values == {
        'watchdesk_check_state{check="disk"}': 2,
        'watchdesk_check_perfdata{check="disk",label="/",unit="percent"}': 99,
        'watchdesk_check_perfdata_warning{check="disk",label="/",unit="percent"}': 80,
        'watchdesk_check_perfdata_critical{check="disk",label="/",unit="percent"}': 90,
    }
    (event,) = events(found)
    assert (event.type, event.source, event.level) == ("check", "disk", "error")
    assert event.text == "critical: DISK CRITICAL - full"
    assert given.command.asked == [["/usr/lib/nagios/plugins/check_disk", "-w", "10 %"]]  # type: ignore[attr-defined]
    assert agains(found) == [60.0]


@pytest.mark.parametrize(
    ("said", "state", "text"),
    [
        (Output(0, "OK"), 0, ""),
        (Output(1, "WARNING"), 1, "warning: WARNING"),
        (Output(7, "what"), 3, "unknown: what"),
        (Output(-9, ""), 3, "unknown: "),
        (Output(TIMED_OUT, "half"), 3, "unknown: no answer within 10 s"),
        (Output(NOT_FOUND, ""), 3, "unknown: there is no /usr/lib/nagios/plugins/check_disk"),
    ],
)
def test_every_end_of_a_plugin(said: Output, state: int, text: str) -> None:
    found = list(checks.read(task({"/usr/lib": said}, options=options())))
    assert series(found)['watchdesk_check_state{check="disk"}'] == state
    assert [event.text[: len(text)] for event in events(found)] == ([text] if state else [])


def test_only_a_change_of_state_is_an_event() -> None:
    memory: dict[str, object] = {}
    told = []
    for number, code in enumerate((0, 2, 2, 0, 0, 1)):
        answers = {"/usr/lib": Output(code, "text")}
        given = task(answers, options=options(), memory=json.loads(json.dumps(memory)), now=NOW + 61 * number)
        told.append([event.level for event in events(list(checks.read(given)))])
        memory = given.memory
    assert told == [[], ["error"], [], ["info"], [], ["warning"]]


def test_what_is_not_due_is_told_again_without_being_run() -> None:
    first = task({"/usr/lib": "OK | a=1"}, options=options())
    list(checks.read(first))
    second = task({}, options=options(), memory=json.loads(json.dumps(first.memory)), now=NOW + 30)
    assert series(list(checks.read(second)))['watchdesk_check_perfdata{check="disk",label="a"}'] == 1
    back = task({"/usr/lib": "OK | a=2"}, options=options(), memory=first.memory, now=NOW - 86_400)
    assert series(list(checks.read(back)))['watchdesk_check_perfdata{check="disk",label="a"}'] == 2


class Server:
    """An HTTP server that answers as its path says."""

    def __init__(self) -> None:
        body = "".join(f'pg_stat_rows{{table="{number}"}} {number}\n' for number in range(3_000))
        pages = {
            "/metrics": (
                200,
                b'# TYPE pg_up gauge\npg_up 1\npg_size{db="a, \\"b\\""} 1.5e6 179\ngo_threads 9\n',
            ),
            "/flood": (200, body.encode()),
            "/bad": (200, b"pg_up 1\n<html>\xff\n"),
            "/gone": (404, b""),
            "/moved": (302, b""),
            "/error": (500, b"x"),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = pages.get(self.path, (200, b"fine"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_words: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    ("path", "state", "status"), [("/x", 0, 200), ("/moved", 0, 302), ("/gone", 2, 404), ("/error", 2, 500)]
)
def test_http(server: Server, path: str, state: int, status: int) -> None:
    found = series(list(checks.read(task({}, options={"check.web": f"http {server.url}{path}"}))))
    assert found['watchdesk_check_state{check="web"}'] == state
    assert found['probe_success{check="web"}'] == float(not state)
    assert found['probe_http_status_code{check="web"}'] == status


def test_what_nobody_answers(server: Server) -> None:
    server.server.shutdown()
    server.server.server_close()
    where = f"tcp 127.0.0.1:{server.port}"
    chosen = {"check.web": f"http {server.url}/", "check.port": where, "check.bad": "tcp nonsense"}
    found = list(checks.read(task({}, options=chosen)))
    assert [series(found)[f'watchdesk_check_state{{check="{name}"}}'] for name in ("web", "port", "bad")] == [2, 2, 2]
    assert len(events(found)) == 3


def test_tcp_and_icmp(server: Server) -> None:
    said = "3 packets transmitted, 2 received, 33.3333% packet loss\nrtt min/avg/max/mdev = 0.3/0.5/0.7/0.1 ms\n"
    chosen = {"check.port": f"tcp 127.0.0.1:{server.port}", "check.host": "icmp 192.0.2.1", "check.evil": "icmp -f"}
    found = series(list(checks.read(task({"ping": said}, options=chosen))))
    assert found['watchdesk_check_state{check="port"}'] == 0
    assert found['watchdesk_check_state{check="host"}'] == 0
    assert found['watchdesk_check_loss_ratio{check="host"}'] == pytest.approx(1 / 3, rel=1e-3)
    assert found['probe_icmp_duration_seconds{check="host"}'] == 0.0005
    assert found['watchdesk_check_state{check="evil"}'] == 2


def test_pings_of_other_systems() -> None:
    windows = "    Packets: Sent = 3, Received = 0, Lost = 3 (100% loss),\n"
    assert answered(windows) == (1.0, None)
    windows = "    Packets: Sent = 3, Received = 3, Lost = 0 (0% loss),\n    Minimum = 1ms, Average = 2ms\n"
    assert answered(windows) == (0.0, 0.002)
    macos = "3 packets transmitted, 0.0% packet loss\nround-trip min/avg/max/stddev = 1.0/2.0/3.0/0.5 ms\n"
    assert answered(macos) == (0.0, 0.002)
    assert answered("ping: unknown host") == (1.0, None)


def test_an_exporter_on_this_machine(server: Server) -> None:
    found = list(checks.read(task({}, options={"exporter.pg": server.url + "/metrics"})))
    assert series(found) == {
        'pg_up{exporter="pg"}': 1,
        'pg_size{db="a, \\"b\\"",exporter="pg"}': 1.5e6,
        'watchdesk_exporter_up{exporter="pg"}': 1,
    }


@pytest.mark.parametrize(("path", "up", "most"), [("/flood", 1, MAX_SERIES), ("/bad", 0, 1), ("/gone", 0, 0)])
def test_an_exporter_that_floods_or_fails(server: Server, path: str, up: int, most: int) -> None:
    found = series(list(checks.read(task({}, options={"exporter.pg": server.url + path}))))
    assert found.pop('watchdesk_exporter_up{exporter="pg"}') == up
    assert len(found) == most


def test_a_real_plugin_runs_as_nobody_and_without_a_shell(tmp_path: Path) -> None:
    plugin = lay(tmp_path, {"check": '#!/bin/sh\necho "OK $1 $(id -un) | n=1"\n'}) / "check"
    plugin.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:4]):
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    host = Host()
    given = Task(host, {"check.own": f"nagios {plugin} '$(reboot); x'"}, NOW, {}, run)
    memory_free = list(checks.read(given))
    assert series(memory_free)['watchdesk_check_state{check="own"}'] == 0


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("check.x = ssh host", "does not begin with one of"),
        ("check.x = nagios check_load", "whole path"),
        ("check.x = http", "does not begin"),
        ("check.a b = tcp a:1", "not a name"),
        ("exporter.x = http://10.0.0.1:9100/metrics", "not an address such as"),
        ("exporter.x = https://127.0.0.1/", "not an address such as"),
        ("check.x.interval = 0", "not a number of seconds"),
        ("privacy.nonsense = off", "unknown key"),
        ("privacy.serials = no", "neither on nor off"),
        ("privacy.events.nonsense = off", "unknown key"),
        ("certificates.files = cert.pem", "not a whole path"),
        ("certificates.ports = 70000", "no port"),
        ("backup.x = stamp", "not a whole path"),
        ("watch = maybe", "neither on nor off"),
    ],
)
def test_what_the_configuration_refuses(line: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as raised:
        parse(f"# x\n{line}\n", "agent.conf", ["cpu"])
    assert "line 2" in str(raised.value)


def test_what_the_configuration_takes() -> None:
    lines = (
        "check.web = http https://intranet/\ncheck.web.interval = 30\ncheck.web.timeout = 5\nprivacy.serials = off\n"
        "privacy.events.login = off\nexporter.pg = http://[::1]:9187/metrics\nbackup.home = /srv/*.stamp\n"
        "watch.processes = nginx, postgres\nreach.internet = 192.0.2.1:443\ncertificates.ports = 443, 8443\n"
    )
    assert len(parse(lines, "agent.conf", []).options) == 10


TEXT = [
    ("a 1\n", [("a", {}, 1.0)]),
    ('a{b="c"} 1 123\n# HELP a\n\n', [("a", {"b": "c"}, 1.0)]),
    ('a { b="c", d="} x", } +Inf\n', [("a", {"b": "c", "d": "} x"}, float("inf"))]),
    ("a NaN\nb 2\n", [("b", {}, 2.0)]),
]


@pytest.mark.parametrize(("text", "found"), TEXT, ids=range(len(TEXT)))
def test_the_text_format(text: str, found: list[tuple[str, dict[str, str], float]]) -> None:
    assert list(samples(text, 10)) == found


@pytest.mark.parametrize(
    "text", ["a", "a b", "a 1 2 3", "1a 1", 'a{b="c} 1', "a{b=c} 1", "a{} 1 x y", "x" * 10_000 + " 1"]
)
def test_what_is_not_the_text_format(text: str) -> None:
    with pytest.raises(ValueError, match=r"no value|too long|could not|not valid|does not end|missing"):
        list(samples(text, 10))


def test_text_files_one_of_which_is_bad(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {"t/good.prom": "acme_ok 1\nwatchdesk_spool_bytes 5\n", "t/bad.prom": "acme_bad\n", "t/x.txt": "x 1\n"},
    )
    read = discover_one("textfile").read
    host = Host(root=str(tmp_path), options={"textfile.directory": "/t"})
    found = dict(read(host))
    assert (found["acme_ok"], found["node_textfile_scrape_error"]) == (1, 1)
    assert not any(name.startswith(("watchdesk", "x", "acme_bad")) for name in found)
    lay(tmp_path, {"t/bad.prom": "acme_bad 2\n"})
    again = dict(read(host))
    assert (again["acme_bad"], again["node_textfile_scrape_error"]) == (2, 0)
    (tmp_path / "t/good.prom").unlink()
    (tmp_path / "t/bad.prom").unlink()
    with pytest.raises(NoData):
        dict(read(host))
