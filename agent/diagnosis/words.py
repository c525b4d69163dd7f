"""How numbers and times stand in a finding: the same in every language, so that a sentence can be translated."""

from __future__ import annotations

import time

from agent.heavy.tools import number
from agent.redact import HIDDEN, clean, redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
DAY = 86_400
MAX_COUNT = 1e15
MAX_COMMAND = 200
MAX_PATH = 300
# Programs that take a password in the same word as -p, and options whose next word is one.
SHORT_PASSWORD = ("mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "sshpass", "7z", "7za")
SECRET_AFTER = {
    "-p": ("sshpass", "plink", "ldapsearch", "mosquitto_pub", "mosquitto_sub", "docker", "smbclient"),
    "-P": ("mosquitto_pub", "mosquitto_sub", "snmpget", "ipmitool"),
    "-w": ("ldapsearch", "ldapadd", "ldapmodify"),
    "-a": ("redis-cli",),
    "-A": ("snmpget", "snmpwalk"),
    "-X": ("snmpget", "snmpwalk"),
    "-c": ("snmpget", "snmpwalk"),
    "-pw": ("plink", "pscp", "putty"),
    "-H": ("curl",),
}
SECRET_NAMES = ("password", "passwd", "passphrase", "token", "secret", "apikey", "api-key", "auth", "authkey")
USER_AND_PASSWORD = ("-u", "--user", "-U", "--proxy-user")


def count_of(value: object) -> int:
    """Return a member of a document as a whole number, 0 for what is none."""
    found = number(value)
    return round(found) if found is not None and abs(found) < MAX_COUNT else 0


def size(amount: float) -> str:
    """Return a number of bytes for people: 24 GB, 1.5 MB; by thousands, as disks are sold."""
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    unit = 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount /= 1_000
        unit += 1
    shown = f"{amount:.0f}" if amount >= 10 or not unit else f"{amount:.1f}".removesuffix(".0")
    return f"{sign}{shown} {UNITS[unit]}"


def moment(at: float, now: float) -> str:
    """Return a time as the machine's clock on the wall shows it; with its date if that is not today's."""
    then, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)


def shown_path(path: bytes | str) -> str:
    """Return a path as text: what is no UTF-8 or cannot be shown is replaced, what is long loses its middle."""
    text = path.decode("utf-8", "replace") if isinstance(path, bytes) else path
    text = clean(text, 4_096)
    return text if len(text) <= MAX_PATH else text[: MAX_PATH // 2] + "…" + text[-MAX_PATH // 2 + 1 :]


def command_line(words: Sequence[str], limit: int = MAX_COMMAND) -> str:
    """Return a command line without the passwords that people put there."""
    program = words[0].rpartition("/")[2] if words else ""
    out: list[str] = []
    before = ""
    for word in words[:100]:
        # What a shell is to run is one word of its own.
        out.append(command_line(word.split(" "), limit) if " " in word else _argument(program, before, word))
        before = word
    return redact(" ".join(out), limit)


def _argument(program: str, before: str, word: str) -> str:
    if program in SECRET_AFTER.get(before, ()):
        return HIDDEN
    if before in USER_AND_PASSWORD and (":" in word or "%" in word):
        mark = ":" if ":" in word else "%"
        return word.partition(mark)[0] + mark + HIDDEN
    if program in SHORT_PASSWORD and word.startswith("-p") and len(word) > 2:
        return "-p" + HIDDEN
    if (
        before.lower()
        .lstrip("-")
        .endswith(("password", "passwd", "passphrase", "token", "secret", "apikey", "api-key"))
    ):
        return HIDDEN if before.startswith("-") else word
    return word
