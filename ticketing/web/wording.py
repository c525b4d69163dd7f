"""What a rule says about an incident, cut to what a line of the pages needs."""

from __future__ import annotations

from typing import Final

from ticketing.incident import Incident

# What the page says elsewhere already.
_KNOWN: Final = frozenset({"instance", "job", "customer", "site", "class", "role", "alertname", "severity"})
_FACTS: Final = 12


def brief(incident: Incident, language: str) -> str:
    """Return the summary on one line, without the device's name in front: that stands beside it."""
    text = " ".join(incident.summary(language).split())
    if not incident.device:
        return text
    text = text.replace(f"{incident.device}.{incident.site}.{incident.customer}", incident.device)
    rest = text.removeprefix(incident.device)
    return rest.lstrip(":： ") if rest != text and rest[:1] in {":", "：", " "} else text


def note(incident: Incident, name: str, language: str) -> str:
    """Return an annotation of the rule, in the language if the rule has it, "" if it has none."""
    translated = incident.annotations.get(f"{name}_zh", "") if language.startswith("zh") else ""
    return (translated or incident.annotations.get(name, "")).strip()


def facts(incident: Incident) -> list[tuple[str, str]]:
    """Return the labels that tell this incident from others of its rule: the mount point, the interface."""
    told = [(name, value) for name, value in incident.labels.items() if name not in _KNOWN and value]
    return told[:_FACTS]
