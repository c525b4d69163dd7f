"""Debian's other agents on loopback, each reading the machine every ten seconds."""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import install

PACKAGES = {"zabbix_agent2": "zabbix-agent2", "netdata": "netdata-core", "collectd": "collectd-core"}
KEYS = (
    "system.cpu.util[,user]", "system.cpu.util[,system]", "system.cpu.util[,idle]", "system.cpu.load[all,avg1]",
    "vm.memory.size[available]", "vm.memory.size[total]", "system.swap.size[,free]", "vfs.fs.size[/,free]",
    "vfs.fs.size[/,total]", "vfs.fs.inode[/,pfree]", "net.if.in[lo]", "net.if.out[lo]", "proc.num[]",
    "proc.num[,,run]", "system.uptime", "kernel.maxfiles", "vfs.dev.read[,ops]", "vfs.dev.write[,ops]",
    "system.users.num", "system.localtime",
)  # fmt: skip
COLLECTD = """Hostname "bench"
Interval 10
PIDFile "{folder}/pid"
BaseDir "{folder}"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin csv
<Plugin csv>
  DataDir "{folder}"
</Plugin>
{plugins}
"""
PLUGINS = "cpu memory load df disk interface processes swap vmem uptime users entropy contextswitch irq tcpconns"


def missing() -> list[str]:
    """Install the peers where this user may; return those that stay missing."""
    absent = [name for name in PACKAGES if _path(name) is None]
    if absent and shutil.which("apt-get") and os.geteuid() == 0:
        install([PACKAGES[name] for name in absent])
    return [name for name in PACKAGES if _path(name) is None]


def _path(name: str) -> str | None:
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")


def free_port() -> int:
    """Return a port that nobody has, of those that zabbix_agent2 takes."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def peer(name: str, folder: Path, interval: float) -> Iterator[int]:
    """Run one; yields its process id."""
    folder.mkdir()
    folder.chmod(0o777)  # some give up root's rights by themselves
    port = free_port()
    command = {"zabbix_agent2": _zabbix, "netdata": _netdata, "collectd": _collectd}[name](folder, port)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    ended = threading.Event()
    asking = threading.Thread(target=_ask, args=(port, interval, ended), daemon=True)
    if name == "zabbix_agent2":
        asking.start()
    try:
        yield process.pid
    finally:
        ended.set()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # netdata leaves its plugins behind
        process.wait(10)


def _zabbix(folder: Path, port: int) -> list[str]:
    (folder / "conf").write_text(
        f"Server=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\nHostname=bench\nLogType=console\n"
        f"ControlSocket={folder}/control\nPluginSocket={folder}/plugin\n"
    )
    return [str(_path("zabbix_agent2")), "-f", "-c", str(folder / "conf")]


def _netdata(folder: Path, port: int) -> list[str]:
    for name in ("cache", "lib", "log", "conf"):
        (folder / name).mkdir()
    (folder / "netdata.conf").write_text(
        f"[global]\nrun as user = root\n[db]\nupdate every = 10\nmode = ram\n[web]\nbind to = 127.0.0.1:{port}\n"
        f"[directories]\ncache = {folder}/cache\nlib = {folder}/lib\nlog = {folder}/log\nconfig = {folder}/conf\n"
        "[ml]\nenabled = no\n[statsd]\nenabled = no\n"
    )
    return [str(_path("netdata")), "-D", "-c", str(folder / "netdata.conf")]


def _collectd(folder: Path, _port: int) -> list[str]:
    plugins = "\n".join(f"LoadPlugin {name}" for name in PLUGINS.split())
    (folder / "conf").write_text(COLLECTD.format(folder=folder, plugins=plugins))
    return [str(_path("collectd")), "-f", "-C", str(folder / "conf")]


def _ask(port: int, interval: float, ended: threading.Event) -> None:
    """Ask zabbix_agent2 for its items, a connection each, as its server does."""
    while not ended.wait(interval):
        for key in KEYS:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
                asked.sendall(b"ZBXD\1" + struct.pack("<Q", len(key)) + key.encode())
                asked.recv(4_096)
