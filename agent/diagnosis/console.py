"""`watchdesk-agent consent`, `audit` and `sent`, for people at a console."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.diagnosis import audit, prompt
from agent.diagnosis.prompt import NO, YES, Question
from agent.diagnosis.sessions import language
from agent.diagnosis.store import Store
from agent.diagnosis.texts import Words
from agent.errors import AgentError
from agent.redact import clean
from agent.state import State


def consent(state: State, words: Words, say: Callable[[str], None], *, yes: str = "", no: str = "") -> int:
    """Answer the question with this id, or show each and ask; return 0 if something was answered."""
    found = list(prompt.questions(prompt.folders(state.directory)))
    wanted = [one for one in found if (yes or no) in ("", one.said["id"])]
    if not wanted:
        say(words("Nothing is asked."))
        return 1
    for one in wanted:
        if yes or no:
            answer = YES if yes else NO
        else:
            say(words.question(one.said))
            answer = YES if one.state == "asked" and _read(words("Allow? [y/N] ")).strip().lower() == "y" else NO
        _answer(one, answer)
        identity = one.said["id"]
        say(words("Allowed. `watchdesk-agent consent --no %s` takes it back.") % identity if answer == YES
            else words("Refused."))  # fmt: skip
        one.close()
    return 0


def _read(text: str) -> str:
    sys.stdout.write(text)
    sys.stdout.flush()
    return sys.stdin.readline()


def _answer(one: Question, answer: str) -> None:
    try:
        one.answer(answer)
    except OSError as error:
        raise AgentError("the question is over") from error


def windows(state: State, at: str, environ: Mapping[str, str]) -> int:
    """Show a window for each question in this session, until there is none."""
    where = [at] if at else prompt.folders(state.directory)
    prompt.prompt(where, Words(language(environ)), prompt.kept_folder(environ))
    return 0


def listed(state: State, *, as_json: bool) -> str:
    """Return the record for people, or its entries as JSON, one a line."""
    found = [entry for _, entry in audit.entries(state.directory)]
    if as_json:
        return "\n".join(json.dumps(entry, sort_keys=True) for entry in found)
    return "\n".join(_line(entry) for entry in found) or "Nothing was asked of this machine."


def _line(entry: Mapping[str, Any]) -> str:
    if "broken" in entry:
        return "  (an entry that cannot be read)"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(entry.get("t", 0.0))))
    given = ",".join(f"{key}={value}" for key, value in dict(entry.get("arguments") or {}).items())
    parts = [
        str(entry.get("name", "-")) + (f"({given})" if given else ""),
        f"by {entry['by']}" if "by" in entry else "",
        f"for {entry['ticket']}" if entry.get("ticket") else "",
        f"allowed by {entry['consent']}" if "consent" in entry else "",
        str(entry.get("reason", "")) or str(entry.get("finding", "")),
    ]
    told = "  ".join(part for part in parts if part)
    return f"{entry['n']:>6}  {stamp}  {entry['event']:<9}{clean(told, 400)}"


def verified(state: State) -> tuple[str, bool]:
    """Return what to say about the record, and whether it is whole."""
    wrong = audit.verify(state.directory)
    if wrong:
        return "\n".join(wrong), False
    number, digest = audit.Audit(state.directory).head()
    return (f"The record is whole: {number} entries, the last with hash {digest}." if number else "No entries."), True


def sent(state: State, identity: str, environ: Mapping[str, str]) -> str:
    """Return what was sent, a line for each, or one of them whole; who is not root sees what they allowed."""
    found = _copies(state, environ)
    if identity:
        body = next((body for _, name, body in found if name == identity), None)
        if body is None:
            raise AgentError(f"nothing with the id {identity} was sent, or it is no longer kept")
        return json.dumps(json.loads(body), indent=1, ensure_ascii=False)
    return "\n".join(_sent_line(at, name, body) for at, name, body in found) or "Nothing was sent."


def _copies(state: State, environ: Mapping[str, str]) -> Sequence[tuple[float, str, bytes]]:
    if os.access(state.directory, os.R_OK):
        return Store(state).sent()
    return Store(State(os.path.dirname(prompt.kept_folder(environ)))).sent()


def _sent_line(at: float, identity: str, body: bytes) -> str:
    said = json.loads(body)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    told = clean(str(said.get("finding") or said.get("reason") or ""), 200)
    return f"{stamp}  {identity}  {said.get('state', ''):<8} {said.get('name', ''):<18} {told}"
