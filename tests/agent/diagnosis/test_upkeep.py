"""What waits, what was changed, what is mounted, what time it is, and what containers do."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import container, mount, time_sync, upkeep
from agent.diagnosis.errors import NotFound
from agent.diagnosis.upkeep_macos import changes as of_macos
from agent.diagnosis.upkeep_windows import of_uninstall
from agent.heavy.tools import ENVIRONMENT, Output
from tests.agent.diagnosis.looks import diagnose, look
from tests.agent.diagnosis.networks import needs_networks, network
from tests.agent.helpers import NOW
from tests.agent.recorded import Recorded, lay

APT = """Reading package lists...
Inst openssl [3.0.11] (3.0.15 Debian-Security:12/stable-security [amd64])
Inst nginx [1.22] (1.24 Debian:12/stable [amd64])
Inst new-one (1.0 Debian:12/stable [amd64])
Conf openssl (3.0.15)
"""


def test_updates_that_wait(tmp_path: Path) -> None:
    apt = Recorded({"apt-get --simulate": APT})
    found = diagnose("updates.pending", look(tmp_path, command=apt))
    assert found["finding"] == "2 updates wait, 1 of them for security (openssl)"
    lay(tmp_path, {"run/reboot-required": ""})
    assert diagnose("updates.pending", look(tmp_path, command=apt))["finding"].endswith(
        "; the machine asks for a restart"
    )
    assert diagnose("updates.pending", look(tmp_path, command=Recorded({"apt-get": ""})))["finding"] == (
        "No update waits, but the machine asks for a restart"
    )
    with pytest.raises(NotFound):
        diagnose("updates.pending", look(tmp_path, command=Recorded({})))
    with pytest.raises(
        OSError, match="apt-get ended with 100"
    ):  # that nothing is said does not mean that nothing waits
        diagnose("updates.pending", look(tmp_path, command=Recorded({"apt-get": Output(100, "")})))


def test_updates_of_dnf() -> None:
    updates = (
        "\nopenssl.x86_64 1:3.0.7-27.el9 baseos\nnginx.x86_64 1.24-1.el9 appstream\nObsoleting Packages\na.b c d\n"
    )
    security = "RHSA-2026:1 Important/Sec. openssl-3.0.7-27.el9.x86_64\n"
    found = upkeep.of_dnf(updates, security)
    assert [(one["name"], one["important"]) for one in found] == [("openssl", True), ("nginx", False)]
    told = Recorded({"dnf --cacheonly --quiet check-update": Output(100, updates),
                     "dnf --cacheonly --quiet updateinfo": ""})  # fmt: skip
    assert diagnose("updates.pending", look(command=told))["finding"].startswith(
        "2 updates wait, none of them for security"
    )


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def test_the_last_change_is_named(tmp_path: Path) -> None:
    log = f"{stamp(NOW - 900)} upgrade nginx:amd64 1.22 1.24\n{stamp(NOW - 90_000)} install old:amd64 <none> 1\nx\n"
    lay(tmp_path, {"var/log/dpkg.log": log, "etc/nginx/nginx.conf": "x", "etc/old.conf": "x", "etc/ld.so.cache": "x"})
    for path, at in (("nginx/nginx.conf", NOW - 300), ("old.conf", NOW - 1e6), ("ld.so.cache", NOW - 1)):
        os.utime(tmp_path / "etc" / path, (at, at))
    then = time.strftime("%H:%M", time.localtime(NOW - 300))
    found = diagnose("changes.recent", look(tmp_path, now=NOW))
    assert found["finding"] == f"Last change: the file /etc/nginx/nginx.conf at {then}, one of 2 changes in 24 hours"
    assert [one["what"] for one in found["data"]["changes"]] == ["/etc/nginx/nginx.conf", "upgrade nginx 1.22 → 1.24"]
    many = "".join(f"{stamp(NOW - 100 + number)} upgrade lib{number}:amd64 1 2\n" for number in range(20))
    lay(tmp_path, {"var/log/dpkg.log": many})
    said = diagnose("changes.recent", look(tmp_path, now=NOW))["finding"]
    assert "upgrade lib19 1 → 2, upgrade lib18 1 → 2, upgrade lib17 1 → 2, and 18 more changes" in said
    assert diagnose("changes.recent", look(tmp_path / "none", now=NOW))["finding"] == (
        "Nothing was changed in 24 hours, as far as the agent can see"
    )


def test_changes_of_other_systems(tmp_path: Path) -> None:
    rpm = "2026-09-21T14:02:11+0000 SUBDEBUG Upgraded: nginx-1.24-1.x86_64\nx SUBDEBUG Upgraded: y\n"
    assert [one.what for one in upkeep.of_dnf_log(rpm)] == ["upgraded nginx-1.24-1.x86_64"]
    keys = {
        "x": {"DisplayName": "Acrobat", "InstallDate": "20260921", "DisplayVersion": "26.1"},
        "y": {"InstallDate": "9"},
    }
    assert [one.what for one in of_uninstall(keys)] == ["install Acrobat 26.1"]
    assert list(of_macos(look(tmp_path))) == []


@pytest.mark.parametrize("name", ["/proc/self/mounts", "/etc/fstab"])
def test_tables_of_mounts(tmp_path: Path, name: str) -> None:
    text = "# x\n//nas/my\\040share /srv/my\\040share cifs rw,password=hunter2 0 0\nbroken\n"
    lay(tmp_path, {"proc/self/mounts": text, "etc/fstab": text})
    (one,) = mount.mounts(look(tmp_path).host, name)
    assert (one.path, one.source, mount.server_of(one)) == ("/srv/my share", "//nas/my share", "nas")


def test_what_fstab_wants_and_is_not_there(tmp_path: Path) -> None:
    lay(tmp_path, {
        "etc/fstab": "/dev/sda1 / ext4 rw 0 1\nnas:/home /home nfs rw 0 0\n/dev/sdb1 /usb ext4 noauto 0 0\n",
        "proc/self/mounts": "/dev/sda1 / ext4 rw 0 0\n",
    })  # fmt: skip
    assert diagnose("mount.check", look(tmp_path))["finding"] == "/home is in fstab, but not mounted (from nas:/home)"
    lay(tmp_path, {"etc/fstab": "/dev/sda1 / ext4 rw 0 1\n", "proc/self/mounts": "/dev/sda1 / ext4 ro,relatime 0 0\n"})
    assert diagnose("mount.check", look(tmp_path))["finding"].startswith(
        "/ is mounted read-only, though fstab wants it"
    )
    assert diagnose("mount.check", look(tmp_path), path="/srv")["finding"] == (
        "Nothing is mounted at /srv; it lies on /"
    )


def test_a_real_mount_and_one_that_is_not_there() -> None:
    assert diagnose("mount.check", path="/proc")["finding"].startswith("/proc (proc from proc) answers after ")
    assert mount.ask("/nonexistent") == ("", "No such file or directory")


def test_a_mount_whose_server_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What hangs in the kernel is stood for by a program that does not come to an end."""
    lay(tmp_path, {"bin/stat": "#!/bin/sh\nexec sleep 600\n"})
    (tmp_path / "bin/stat").chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(mount, "SECONDS", 0.3)
    lay(tmp_path, {"proc/self/mounts": "127.0.0.1:/export /srv nfs4 rw 0 0\n"})
    assert diagnose("mount.check", look(tmp_path))["finding"] == (
        "nfs4 mount /srv does not answer: "
        "its server 127.0.0.1 does not take connections on port 2049 (Connection refused)"
    )


class Docker(BaseHTTPRequestHandler):
    """What a runtime of containers answers."""

    containers: ClassVar[dict[str, dict[str, object]]] = {}

    def do_GET(self) -> None:
        """Answer."""
        name = self.path.split("/")[-2]
        listed = [{"Id": key, "Names": ["/" + key]} for key in self.containers]
        body = json.dumps(self.containers.get(name, listed)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """There is none."""
        return ""


class Runtime(ThreadingMixIn, UnixStreamServer):
    """A server at a socket of the file system."""

    daemon_threads = True


@contextmanager
def docker(root: Path, containers: dict[str, dict[str, object]]) -> Iterator[None]:
    (root / "run").mkdir(parents=True, exist_ok=True)
    (root / "run/docker.sock").unlink(missing_ok=True)
    handler = type("Handler", (Docker,), {"containers": containers})
    with Runtime(str(root / "run/docker.sock"), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield
        server.shutdown()
        thread.join()


def inspected(name: str, status: str, code: int = 0, restarts: int = 0, **state: object) -> dict[str, object]:
    return {
        "Name": "/" + name, "RestartCount": restarts, "HostConfig": {"Memory": 256_000_000},
        "Config": {"Image": "acme/web:1", "Env": ["PASSWORD=hunter2"]},
        "State": {"Status": status, "ExitCode": code, "StartedAt": "2026-09-21T10:00:00.123Z",
                  "FinishedAt": "2026-09-21T14:03:20.9Z", **state},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (inspected("web", "exited", 137, OOMKilled=True), " was killed at {at} because its memory of 256 MB ran out"),
        (inspected("web", "restarting", 1, 12),
         " restarts again and again: 12 times so far, it ended with 1 at {at}"),
        (inspected("web", "exited", 3), " ended at {at} with exit code 3"),
        (inspected("web", "created", 127, Error="exec: no such file"), " could not be started: exec: no such file"),
        (inspected("web", "running", Health={"Status": "unhealthy", "FailingStreak": 7}),
         " runs, but its health check fails (7 times in a row)"),
        (inspected("web", "paused"), " is paused"),
    ],
)  # fmt: skip
def test_containers_that_are_in_trouble(tmp_path: Path, one: dict[str, object], said: str) -> None:
    at = time.strftime("%H:%M", time.localtime(1_790_000_000 - 600))
    with docker(tmp_path, {"web": one, "done": inspected("done", "exited")}):
        found = diagnose("container.state", look(tmp_path, now=NOW))
        assert found["finding"] == "container web (acme/web:1)" + said.format(at=at)
        assert "hunter2" not in str(found)
        gone = diagnose("container.state", look(tmp_path, now=NOW), name="nothing")
        assert gone["finding"] == "There is no container nothing; there are: web, done"


def test_containers_that_are_well(tmp_path: Path) -> None:
    with docker(tmp_path, {"web": inspected("web", "running"), "done": inspected("done", "exited")}):
        assert diagnose("container.state", look(tmp_path))["finding"] == "1 containers run, 1 ended in order"
        assert " runs since " in diagnose("container.state", look(tmp_path), name="web")["finding"]


def test_a_runtime_that_is_not_there_or_not_for_us(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        diagnose("container.state", look(tmp_path))
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "run/docker.sock"))
        with pytest.raises(NotFound):
            diagnose("container.state", look(tmp_path))


NTP = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 123)); print("ready", flush=True)
while True:
    data, where = s.recvfrom(512); now = time.time() + float(sys.argv[2]) + 2208988800
    stamp = struct.pack(">II", int(now), int(now % 1 * 2**32))
    s.sendto(bytes((36, int(sys.argv[3]), 0, 0)) + bytes(20) + data[40:48] + stamp + stamp, where)
"""


@needs_networks()
def test_a_clock_that_is_wrong() -> None:
    with network(1) as (node,):
        for server, off, stratum, said in (
            ("127.0.0.1", "47", "2", "the clock is 47.0 s behind 127.0.0.1"),
            ("127.0.0.2", "-3600", "2", "the clock is 3600.0 s ahead of 127.0.0.2"),
            ("127.0.0.3", "0", "2", "the clock is right"),
            (
                "127.0.0.4",
                "0",
                "16",
                "the time server 127.0.0.4 says that it does not know the time itself (stratum 16)",
            ),
        ):
            with node.serving(NTP, server, off, stratum):
                assert node.diagnose("time.sync", f"server={server}")["finding"].startswith(said)
        said = node.diagnose("time.sync", "server=127.0.0.9")["finding"]
        assert said == "No time server answers (127.0.0.9: Connection refused): the clock cannot be kept right"


def test_who_is_to_be_asked_for_the_time(tmp_path: Path) -> None:
    assert time_sync.of_file("# x\nserver a.example iburst\npool b.example\n[Time]\nNTP=c d\nserver\n") == [
        "a.example", "b.example", "c", "d",
    ]  # fmt: skip
    assert time_sync.of_windows("time.windows.com,0x9 other,0x1") == ["time.windows.com", "other"]
    nobody = diagnose("time.sync", look(tmp_path, command=Recorded({})))
    assert nobody["finding"].startswith("No time server is configured here, ")
    answers = [time_sync.Answer("a"), time_sync.Answer("b")]
    for one, offset in zip(answers, (0.0, 90.0), strict=True):
        one.stratum, one.offset = 2, offset
    sentence, values = time_sync.judge(answers, "")
    assert sentence % values == "the time servers do not agree: a and b differ by 90.0 s"


@given(st.binary(max_size=80), st.text(max_size=200))
def test_fuzz_what_others_say(data: bytes, text: str) -> None:
    for whole in (data, b"\x24\x02" + data + bytes(48)):
        try:
            time_sync.parse("x", whole, 1.0, 2.0)
        except ValueError:
            continue
    upkeep.of_apt("Inst " + text + "\n" + text)
    upkeep.of_dnf(text, text)
    list(upkeep.of_dpkg("2026-11-23 14:02:11 upgrade " + text + "\n" + text))
    list(upkeep.of_dnf_log(text))
    row = container.of_inspect({"Name": text, "State": {"StartedAt": text, "ExitCode": text}, "Config": text})
    container.judge(row)
