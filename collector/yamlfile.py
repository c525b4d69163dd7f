"""Reads a YAML file into typed structures; what is wrong is named with its line."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
import yaml

_Content = TypeVar("_Content")


class Document:
    """A YAML text; what it holds is plain until it is converted. An empty text is an empty mapping."""

    def __init__(self, text: str, file: str, error_type: type[Exception]) -> None:
        """Parse the text. Raises `error_type`, its message beginning with `file:line: `, if it is no YAML."""
        self._file = file
        self._error = error_type
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            content = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise error_type(f"{file}:{line}: not YAML: {error.problem}.") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise error_type(f"{file}:1: not YAML: {error}.") from error
        self.content = {} if content is None else content

    def convert(self, content: Any, kind: type[_Content], *path: str) -> _Content:
        """Return a part of the content as a structure; `path` are the keys that lead to it. Raises `error_type`."""
        try:
            return msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            raise self.fault(str(error), *path, *_path(str(error))) from error

    def fault(self, message: str, *path: str) -> Exception:
        """Return the error that says what is wrong at a key, with its line or that of the nearest key above it."""
        return self._error(f"{self._file}:{self._line(path)}: {message.rstrip('.')}.")

    def _line(self, path: tuple[str, ...]) -> int:
        node, line = self._root, 1
        for name in path:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == name:
                        node, line = value, key.start_mark.line + 1
                        break
            elif isinstance(node, yaml.SequenceNode) and name.isdigit() and int(name) < len(node.value):
                node = node.value[int(name)]
                line = node.start_mark.line + 1
        return line


def _path(message: str) -> list[str]:
    """Return the keys in a message of msgspec, whose path ends in "at `$.agents.listen`"."""
    where = re.search(r"at `\$\.?(.*)`$", message)
    unknown = re.search(r"unknown field `(.*?)`", message)
    names = [name for name in re.split(r"[.\[\]]+", where[1] if where else "") if name]
    return [*names, *([unknown[1]] if unknown else [])]
