"""net.dns: what each name server of this machine answers, and which of them does not say what the others do."""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import dataclass

from agent.diagnosis import dns
from agent.diagnosis.arguments import choice, target, text
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.probes.host import read_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.dns import Answer
    from agent.probes.host import Host

SECONDS = 4.0
MAX_SERVERS = 8
SLOW = 1.0
STUB = "127.0.0.53"

AGREE = "%(name)s is %(answer)s; all %(count)s name servers say so"
ONE = "%(name)s is %(answer)s, says %(server)s, the only name server"
DIFFERS = "DNS server %(server)s answers %(answer)s for %(name)s, others %(others)s"
DISAGREE = "The name servers do not agree on %(name)s: %(answers)s"
SILENT = "DNS server %(server)s does not answer (%(error)s); others say that %(name)s is %(others)s"
ALL_SILENT = "No name server answers: %(answers)s"
MISSING = "There is no name %(name)s, all %(count)s name servers say (NXDOMAIN)"
EMPTY = "%(name)s exists, but has no record of type %(kind)s"
BROKEN = "All name servers fail at %(name)s: %(answers)s"
HOSTS = "%(name)s is set to %(answer)s in this machine's hosts file, while DNS says %(others)s"
SLOWLY = "%(name)s is %(answer)s, but %(server)s takes %(seconds)s s to say so"

TOLD = {"server": "name", "code": "name", "records": ["name"], "milliseconds": "number", "error": "name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Which name, of which type; `server` is one that is asked besides the machine's own."""

    name: str = text(most=253, pattern=r"[A-Za-z0-9_.:-]+")  # it is not spoken to, only asked about
    kind: str = choice("A", *dns.TYPES)
    server: str = target("")


@diagnosis(
    "net.dns", Dns, privacy="health", seconds=25,
    findings=(AGREE, ONE, DIFFERS, DISAGREE, SILENT, ALL_SILENT, MISSING, EMPTY, BROKEN, HOSTS, SLOWLY),
    output={"name": "name", "kind": "name", "servers": [TOLD], "hosts": ["name"]},
)  # fmt: skip
def lookup(look: Look, asked: Dns) -> Found:
    """What each name server answers for a name, and whether they agree."""
    servers = list(dict.fromkeys([*([asked.server] if asked.server else []), *name_servers(look.host)]))[:MAX_SERVERS]
    if not servers:
        raise NotFound("a name server in resolv.conf")
    answers = _ask_all(servers, asked)
    fixed = of_hosts(look.host, asked.name) if asked.kind in ("A", "AAAA") else []
    rows = [
        {"server": server, "code": one.code, "records": [f"{kind} {text}" for kind, text in one.records],
         "milliseconds": round(1000 * one.seconds, 1) if not one.error else None, "error": one.error}
        for server, one in answers.items()
    ]  # fmt: skip
    data: dict[str, object] = {"name": asked.name, "kind": asked.kind, "servers": rows, "hosts": fixed}
    said, values = judge(asked.name, asked.kind, answers, fixed)
    return Found(said, {"name": asked.name, "kind": asked.kind, "count": len(answers), **values}, data)


def _ask_all(servers: list[str], asked: Dns) -> dict[str, Answer]:
    """Ask all at once, as the slowest says how long it takes."""
    answers: dict[str, Answer] = {}
    name, kind = asked.name, asked.kind
    if kind == "PTR" and _is_address(name):
        name = dns.reverse(name)

    def ask(server: str) -> None:
        answers[server] = dns.ask(server, name, kind, SECONDS)

    threads = [threading.Thread(target=ask, args=(server,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * SECONDS)
    return {server: answers.get(server, dns.Answer("", [], error="no answer")) for server in servers}


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except OSError:
            continue
        return True
    return False


def judge(name: str, kind: str, answers: dict[str, Answer], fixed: list[str]) -> tuple[str, dict[str, str | float]]:
    """Return the sentence that names the server at fault, if one is."""
    told = {server: one for server, one in answers.items() if not one.error}
    silent = [server for server in answers if server not in told]
    if not told:
        return ALL_SILENT, {"answers": "; ".join(f"{server}: {answers[server].error}" for server in answers)}
    said = {server: _said(one, kind) for server, one in told.items()}
    common = max(said.values(), key=lambda one: list(said.values()).count(one))
    odd = [server for server in said if _contradicts(said[server], common, told[server])]
    if odd and list(said.values()).count(common) > len(odd):
        return DIFFERS, {"server": odd[0], "answer": _shown(said[odd[0]]), "others": _shown(common)}
    if odd:
        return DISAGREE, {"answers": "; ".join(f"{server}: {_shown(one)}" for server, one in said.items())}
    if silent:
        return SILENT, {"server": ", ".join(silent), "error": answers[silent[0]].error, "others": _shown(common)}
    first = next(iter(told))
    if fixed and not set(fixed) & common and not _is_address(name):
        return HOSTS, {"answer": ", ".join(fixed), "others": _shown(common)}
    if common == frozenset({"NXDOMAIN"}):
        return MISSING, {}
    if all(one.code not in ("NOERROR", "NXDOMAIN") for one in told.values()):
        return BROKEN, {"answers": "; ".join(f"{server}: {one.code}" for server, one in told.items())}
    if common == frozenset({"NOERROR"}):
        return EMPTY, {}
    slow = max(told, key=lambda server: told[server].seconds)
    if told[slow].seconds > SLOW:
        return SLOWLY, {"answer": _shown(common), "server": slow, "seconds": round(told[slow].seconds, 1)}
    return (ONE, {"answer": _shown(common), "server": first}) if len(told) == 1 else (AGREE, {"answer": _shown(common)})


def _said(one: Answer, kind: str) -> frozenset[str]:
    return one.of(kind) or frozenset({one.code})


def _contradicts(mine: frozenset[str], common: frozenset[str], answer: Answer) -> bool:
    """Whether it says something else: not merely others of several addresses, nor that it cannot tell."""
    return not mine & common and answer.code in ("NOERROR", "NXDOMAIN")


def _shown(said: frozenset[str]) -> str:
    first = sorted(said)[:4]
    return ", ".join(first) + (", …" if len(said) > 4 else "")


def name_servers(host: Host) -> list[str]:
    """Return the name servers of resolv.conf; those behind systemd-resolved, where that is what it names."""
    servers = _of_file(host.root + "/etc/resolv.conf")
    behind = _of_file(host.root + "/run/systemd/resolve/resolv.conf")
    if STUB in servers and behind:
        servers = [*servers, *behind]
    if not servers and sys.platform == "win32":
        from agent.diagnosis.net_windows import name_servers as of_registry

        servers = of_registry()
    return list(dict.fromkeys(servers))[:MAX_SERVERS]


def _of_file(path: str) -> list[str]:
    rows = (line.split() for line in (read_attribute(path) or "").splitlines())
    return [row[1].partition("%")[0] for row in rows if len(row) > 1 and row[0] == "nameserver" and _is_address(row[1])]


def of_hosts(host: Host, name: str) -> list[str]:
    """Return the addresses that the hosts file gives a name."""
    wanted = name.rstrip(".").lower()
    path = "C:\\Windows\\System32\\drivers\\etc\\hosts" if sys.platform == "win32" else host.root + "/etc/hosts"
    rows = (line.partition("#")[0].split() for line in (read_attribute(path) or "").splitlines())
    return [row[0] for row in rows if len(row) > 1 and wanted in (one.lower() for one in row[1:])]
