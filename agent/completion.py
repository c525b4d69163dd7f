"""Completion scripts, made from the parser so that they cannot fall behind it."""

from __future__ import annotations

import argparse

from agent import probes
from agent.cli import parser


def script(shell: str) -> str:
    """Return the script for bash, zsh or fish."""
    commands = _commands()
    if shell == "fish":
        return _fish(commands)
    bash = _bash(commands)
    return f"#compdef watchdesk-agent\nautoload -U +X bashcompinit && bashcompinit\n{bash}" if shell == "zsh" else bash


def _commands() -> dict[str, list[str]]:
    """Return each command's words: its options, and the values of its argument where they are known."""
    actions = parser()._actions  # noqa: SLF001 - argparse has no public way to list them
    subparsers = next(action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    found = {}
    for name, command in subparsers.choices.items():
        words = []
        for action in command._actions:  # noqa: SLF001
            words += [option for option in action.option_strings if option.startswith("--")]
            if action.choices is not None and not action.option_strings:
                words += [str(choice) for choice in action.choices]
        found[name] = words + (["all", *probes.discover()] if name == "probe" else [])
    return found


def _bash(commands: dict[str, list[str]]) -> str:
    cases = "\n".join(f"    {name}) words='{' '.join(words)}' ;;" for name, words in commands.items())
    return f"""_watchdesk_agent() {{
  local command= word words='{" ".join(commands)} --state --version --help'
  COMPREPLY=()
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
    --state) COMPREPLY=($(compgen -d -- "${{COMP_WORDS[COMP_CWORD]}}")); return ;;
    --config) COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}")); return ;;
  esac
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in {"|".join(commands)}) command=$word; break ;; esac
  done
  case "$command" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -F _watchdesk_agent watchdesk-agent"""


def _fish(commands: dict[str, list[str]]) -> str:
    lines = [f"complete -c watchdesk-agent -f -n __fish_use_subcommand -a '{' '.join(commands)}'"]
    for name, words in commands.items():
        if words:
            lines.append(
                f"complete -c watchdesk-agent -f -n '__fish_seen_subcommand_from {name}' -a '{' '.join(words)}'"
            )
    return "\n".join(lines)
