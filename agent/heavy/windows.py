"""Asking Windows by CIM classes, through PowerShell. What is asked is written in these files; nothing is put in."""

from __future__ import annotations

from agent.heavy.tools import NOT_FOUND, listing, mapping
from agent.probes import NoData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.heavy.tools import Task

POWERSHELL = ["powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive", "-Command"]


def cim(task: Task, classes: Mapping[str, str], timeout: float = 60.0) -> dict[str, list[dict[str, object]]]:
    """Return the objects of several CIM classes, or other expressions, by a name for each.

    Raises:
        NoData: there is no PowerShell.
    """
    parts = ";".join(f"'{name}'=@({expression})" for name, expression in classes.items())
    script = (
        "$ErrorActionPreference='SilentlyContinue';"
        "[Console]::OutputEncoding=[Text.Encoding]::UTF8;"
        f"@{{{parts}}} | ConvertTo-Json -Compress -Depth 4"
    )
    told = task.command([*POWERSHELL, script], timeout=timeout)
    found = told.json()
    if told.code == NOT_FOUND or not isinstance(found, dict):  # no answer is not an answer of nothing
        raise NoData("powershell")
    return {name: [row for one in listing(found.get(name)) if (row := mapping(one))] for name in classes}


def get(kind: str, properties: str, namespace: str = "root/cimv2", where: str = "") -> str:
    """Return the expression for some properties of all objects of a CIM class."""
    condition = f' -Filter "{where}"' if where else ""
    return f"Get-CimInstance -Namespace {namespace} -ClassName {kind}{condition} | Select-Object {properties}"
