"""Zabbix with PostgreSQL, as Debian has them: values that come by its trapper protocol, twenty triggers a host."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import psutil

from tests.bench import load
from tests.e2e.desk import free_port

HOSTS: Final = 1_000
ITEMS: Final = 100
ROUNDS: Final = 6
BATCH: Final = 250
THREADS: Final = 8
SCHEMAS: Final = Path("/usr/share/zabbix-server-pgsql")
POSTGRES: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

_SETTINGS: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_buffers = 1GB
max_wal_size = 4GB
checkpoint_timeout = 10min
max_connections = 100
"""
_SERVER: Final = """
ListenIP=127.0.0.1
ListenPort={port}
LogFile={folder}/zabbix.log
PidFile={folder}/zabbix.pid
SocketDir={folder}
DBHost={folder}
DBName=zabbix
DBUser=postgres
StartPollers=1
StartPollersUnreachable=1
StartTrappers=8
StartPingers=0
StartPreprocessors=3
StartDBSyncers=4
CacheSize=256M
HistoryCacheSize=256M
HistoryIndexCacheSize=64M
TrendCacheSize=128M
ValueCacheSize=512M
CacheUpdateFrequency=3600
HousekeepingFrequency=0
AllowRoot=1
FpingLocation=/bin/true
"""
_HOSTS: Final = """
begin;
insert into hosts(hostid,host,name,status) select 100000+h,'bench'||h,'bench'||h,0 from generate_series(0,{hosts}-1) h;
insert into hosts_groups(hostgroupid,hostid,groupid) select 100000+h,100000+h,2 from generate_series(0,{hosts}-1) h;
insert into items(itemid,type,hostid,name,key_,delay,history,trends,value_type,status)
 select 1000000+h*100+i,2,100000+h,'m'||i,'m'||i,'0','90d','365d',0,0
 from generate_series(0,{hosts}-1) h, generate_series(0,99) i;
insert into item_rtdata(itemid) select 1000000+h*100+i from generate_series(0,{hosts}-1) h, generate_series(0,99) i;
insert into triggers(triggerid,expression,description,status,value,priority)
 select 2000000+h*20+t, '{{'||(3000000+h*20+t)||'}}>90','trigger '||t,0,0,3
 from generate_series(0,{hosts}-1) h, generate_series(0,19) t;
insert into functions(functionid,itemid,triggerid,name,parameter)
 select 3000000+h*20+t,1000000+h*100+t,2000000+h*20+t, case when t<10 then 'last' else 'avg' end,
 case when t<10 then '$' else '$,5m' end from generate_series(0,{hosts}-1) h, generate_series(0,19) t;
commit;
"""


def trapper_rate() -> tuple[float | None, int, str, str]:
    """Return (values a core-second of Zabbix and its database, values, version, why there is none)."""
    if shutil.which("zabbix_server") is None or not POSTGRES or not SCHEMAS.is_dir():
        return None, 0, "zabbix", "zabbix-server-pgsql and postgresql are not installed"
    if os.geteuid():
        return None, 0, "zabbix", "PostgreSQL is started as its own user, which takes root"
    folder = Path(tempfile.mkdtemp(prefix="zabbix-bench-"))
    shutil.chown(folder, "postgres", "postgres")
    bench = _Bench(folder)
    try:
        return bench.measure()
    except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
        return None, 0, "zabbix", str(error)
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


class _Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = next(port for port in iter(free_port, 0) if port < 32768)  # the most that Zabbix takes
        self.server: subprocess.Popen[bytes] | None = None
        self.running = False

    def _as_postgres(self, *words: str, text: str | None = None) -> str:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, cwd="/", check=True)
        return done.stdout.strip()

    def _sql(self, text: str, database: str = "zabbix") -> str:
        psql = [str(POSTGRES[-1] / "psql"), "-h", str(self.folder), "-qAt", "-v", "ON_ERROR_STOP=1", "-d", database]
        return self._as_postgres(*psql, text=text)

    def measure(self) -> tuple[float, int, str, str]:
        data = self.folder / "data"
        initdb = [str(POSTGRES[-1] / "initdb"), "-D", str(data), "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8"]
        self._as_postgres(*initdb, "-U", "postgres")
        with (data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=self.folder))
        log = str(self.folder / "log")
        self._as_postgres(str(POSTGRES[-1] / "pg_ctl"), "-D", str(data), "-l", log, "-w", "start")
        self.running = True
        self._sql("create database zabbix;", "postgres")
        for name in ("schema", "images", "data"):
            self._sql(gzip.decompress((SCHEMAS / f"{name}.sql.gz").read_bytes()).decode())
        self._sql(_HOSTS.format(hosts=HOSTS))
        self._sql("vacuum analyze;")
        config = self.folder / "zabbix.conf"
        config.write_text(_SERVER.format(folder=self.folder, port=self.port))
        self.server = subprocess.Popen(["zabbix_server", "-f", "-c", str(config)], stdout=subprocess.DEVNULL)
        self._wait()
        version = subprocess.run(["zabbix_server", "-V"], capture_output=True, text=True, check=True).stdout.split()[2]
        postgres = int((data / "postmaster.pid").read_text().split()[0])
        roots = [psutil.Process(self.server.pid), psutil.Process(postgres)]
        for process in _all(roots):
            load.pin_process(process.pid, 0)
        before = _spent(roots)
        total = self._send()
        deadline = time.monotonic() + 240
        while int(self._sql("select count(*) from history;")) < total:
            if time.monotonic() > deadline:
                raise RuntimeError("the values were not in the database after four minutes")
            time.sleep(1)
        return total / (_spent(roots) - before), total, f"zabbix {version}, PostgreSQL", ""

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.2)
            else:
                time.sleep(3)  # its caches
                return
        raise RuntimeError("zabbix_server does not listen: " + (self.folder / "zabbix.log").read_text()[-500:])

    def _send(self) -> int:
        """Send every item's value a few times; return how many."""
        now = int(time.time()) - ROUNDS - 2
        payloads = []
        for host in range(HOSTS):
            values = [
                {
                    "host": f"bench{host}",
                    "key": f"m{item}",
                    "value": f"{(item * 7 + turn) % 80}.25",
                    "clock": now + turn,
                }
                for turn in range(ROUNDS)
                for item in range(ITEMS)
            ]
            for first in range(0, len(values), BATCH):
                body = json.dumps({"request": "sender data", "data": values[first : first + BATCH]}).encode()
                payloads.append(b"ZBXD\1" + struct.pack("<II", len(body), 0) + body)
        failed: list[bytes] = []

        def run(mine: list[bytes]) -> None:
            for payload in mine:
                with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
                    connection.sendall(payload)
                    answer = b""
                    while piece := connection.recv(4096):
                        answer += piece
                if b"failed: 0" not in answer:
                    failed.append(answer)

        threads = [threading.Thread(target=run, args=(payloads[n::THREADS],)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError(f"zabbix refused: {failed[0]!r}")
        return HOSTS * ITEMS * ROUNDS

    def stop(self) -> None:
        """End both servers."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
        if self.running:
            stop = [str(POSTGRES[-1] / "pg_ctl"), "-D", str(self.folder / "data"), "-m", "immediate", "stop"]
            self._as_postgres(*stop)


def _all(roots: list[psutil.Process]) -> list[psutil.Process]:
    return [process for root in roots for process in (root, *root.children(recursive=True))]


def _spent(roots: list[psutil.Process]) -> float:
    """Return the CPU seconds of processes and their children, of those that have ended too."""
    return float(sum(sum(process.cpu_times()[:4]) for process in _all(roots)))
