"""The commands about diagnosis: their arguments, and what they call. What they need is loaded when they run."""

from __future__ import annotations

import argparse
import os

from agent.state import State

ABOUT = {
    "diagnoses": "list every diagnosis that this agent knows, and what each may see",
    "diagnose": "run a diagnosis here, and print what would be sent",
    "consent": "show what the provider asks to look at, and answer",
    "audit": "the record of what was asked of this machine, decided and sent",
    "sent": "show what diagnoses have sent",
}


def add_arguments(name: str, to: argparse.ArgumentParser) -> None:
    """Add what a command takes."""
    if name == "diagnose":
        to.add_argument("name", metavar="NAME", help="its name, see `watchdesk-agent diagnoses`")
        to.add_argument("arguments", metavar="ARGUMENT=VALUE", nargs="*", help="its arguments")
    elif name == "consent":
        to.add_argument("--yes", metavar="ID", default="", help="allow this one")
        to.add_argument("--no", metavar="ID", default="", help="refuse this one, or take the yes back while it runs")
        to.add_argument("--prompt", action="store_true", help="show windows in this session, until nothing is asked")
        to.add_argument("--at", metavar="DIR", default="", help="where questions are; else where agents ask")
    elif name == "sent":
        to.add_argument("id", metavar="ID", nargs="?", default="", help="one of them, whole")
    elif name == "audit":
        to.add_argument("deed", metavar="list|verify", choices=("list", "verify"))
    if name in ("diagnoses", "audit"):
        to.add_argument("--json", action="store_true", help="for a script: an object a line")


def say(text: str) -> None:
    """Print for people."""
    print(text)  # noqa: T201


def diagnoses_command(_state: State, chosen: argparse.Namespace) -> int:
    """List the catalogue."""
    from agent.diagnosis.local import listed

    say(listed(as_json=chosen.json))
    return 0


def diagnose_command(state: State, chosen: argparse.Namespace) -> int:
    """Run a diagnosis for the one who asks here."""
    from agent.diagnosis.local import run_here

    say(run_here(state, chosen.name, chosen.arguments))
    return 0


def consent_command(state: State, chosen: argparse.Namespace) -> int:
    """Answer what is asked."""
    from agent.diagnosis import console
    from agent.diagnosis.sessions import language
    from agent.diagnosis.texts import Words

    if chosen.prompt:
        return console.windows(state, chosen.at, os.environ)
    return console.consent(state, Words(language(os.environ)), say, yes=chosen.yes, no=chosen.no)


def audit_command(state: State, chosen: argparse.Namespace) -> int:
    """Show the record, or hold it against itself."""
    from agent.diagnosis import console

    if chosen.deed == "list":
        say(console.listed(state, as_json=chosen.json))
        return 0
    text, whole = console.verified(state)
    say(text)
    return 0 if whole else 1


def sent_command(state: State, chosen: argparse.Namespace) -> int:
    """Show what was sent."""
    from agent.diagnosis import console

    say(console.sent(state, chosen.id, os.environ))
    return 0


COMMANDS = {
    "audit": audit_command,
    "consent": consent_command,
    "diagnose": diagnose_command,
    "diagnoses": diagnoses_command,
    "sent": sent_command,
}
