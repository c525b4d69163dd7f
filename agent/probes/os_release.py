"""The distribution, of /etc/os-release."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import read_text
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

FILES = ("/etc/os-release", "/usr/lib/os-release")
FIELDS = (
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
)
READINGS = 60  # it changes when the system is upgraded


@probe("os_release", blocks=False)
def os_release(host: Host) -> Iterator[tuple[str, float]]:
    """/etc/os-release or /usr/lib/os-release.

    Metrics:
        node_os_info (gauge): A metric with a constant '1' value labeled by the fields of os-release.
        node_os_version (gauge): Metric containing the major.minor part of the OS version.
    """
    known = host.memory.get("os_release")
    if not isinstance(known, tuple) or known[0] <= 0:
        known = (READINGS, list(_readings(_fields(host))))
    host.memory["os_release"] = (known[0] - 1, known[1])
    yield from known[1]


def _fields(host: Host) -> dict[str, str]:
    for file in FILES:
        try:
            text = read_text(host.root + file)
        except NoData:
            continue
        return {key.lower(): _unquote(value.strip()) for key, _, value in _assignments(text)}
    raise NoData("os-release")


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.split("\n"):
        line = line.strip()
        if line and not line.startswith("#") and "=" in line:
            yield line.partition("=")


def _unquote(value: str) -> str:
    """Return the value as a shell would read it."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        single = value[0] == "'"
        value = value[1:-1]
        if single:
            return value
    for char in '\\"$`':
        value = value.replace("\\" + char, char)
    return value


def _readings(fields: dict[str, str]) -> Iterator[tuple[str, float]]:
    yield "node_os_info" + labels(**{key: fields.get(key, "") for key in FIELDS}), 1.0
    major, _, rest = fields.get("version_id", "").partition(".")
    minor = rest.partition(".")[0]
    if major.isdigit():
        version = float(f"{major}.{minor}" if minor.isdigit() else major)
        yield "node_os_version" + labels(**{key: fields.get(key, "") for key in ("id", "id_like", "name")}), version
