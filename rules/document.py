"""YAML with line numbers, bounded: what rule files, unit tests and tables are read from.

The nodes are built from libyaml's events, which costs no recursion in C, with bounds on depth and on the number of
nodes once every alias is followed. An alias is the node of its anchor again, so that nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

import yaml

MAX_BYTES: Final = 16 << 20
MAX_DEPTH: Final = 60
MAX_NODES: Final = 1_000_000

NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})

Fail = Callable[[int, str], NoReturn]


@dataclass(slots=True)
class Scalar:
    """A scalar; `line` and `column` count from 1, `plain` tells that it was written without quotes."""

    text: str
    line: int
    column: int
    plain: bool = True
    block: bool = False
    size: int = 1

    @property
    def null(self) -> bool:
        """Whether this is YAML's null, which Prometheus takes for an absent value."""
        return self.plain and self.text in NULLS


@dataclass(slots=True)
class Sequence:
    """A list of nodes."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """A mapping in the order of the file; keys are scalars, and none is there twice."""

    line: int
    column: int
    items: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)
    merged: list[Node] = field(default_factory=list)
    size: int = 1


Node = Scalar | Sequence | Mapping
Frame = tuple[Sequence | Mapping, Scalar | None, str | None]


def _place(event: yaml.Event) -> tuple[int, int]:
    """Line and column of an event, from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


def parse(text: str, fail: Fail) -> Node | None:
    """The first document of a YAML text, None where there is none; `fail(line, message)` is called on a fault."""
    if len(text) > MAX_BYTES:
        fail(0, f"the file is larger than {MAX_BYTES >> 20} MiB")
    try:
        return _Composer(fail).compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fail(mark.line + 1 if mark else 0, f"not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        at = getattr(error, "position", 0)
        fail(text.count("\n", 0, at) + 1, f"not YAML: {str(error).splitlines()[0]}")
    except UnicodeError as error:
        fail(0, f"not UTF-8: {error.reason}" if isinstance(error, UnicodeEncodeError) else f"not UTF-8: {error}")


class _Composer:
    """Builds nodes from events with a stack of its own."""

    def __init__(self, fail: Fail) -> None:
        self._fail = fail
        self._anchors: dict[str, Node | None] = {}
        self._stack: list[Sequence | Mapping] = []
        self._pending: list[Scalar | None] = []  # of each open mapping: the key whose value comes next
        self._names: list[str | None] = []  # the anchor of each open collection
        self._nodes = 0
        self._root: Node | None = None

    def compose(self, text: str) -> Node | None:
        events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._close()
                case yaml.DocumentEndEvent():
                    return self._root
        return self._root

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line, column = _place(event)
        if event.tag is not None and event.tag not in ("!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"):
            self._fail(line, f"the tag {event.tag} is not taken")
        plain = bool(event.implicit[0]) and event.tag is None
        node = Scalar(str(event.value), line, column, plain, event.style in ("|", ">"))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        line, column = _place(event)
        node = self._anchors.get(event.anchor or "")
        if node is None:
            inside = event.anchor in self._anchors
            self._fail(line, f"the alias *{event.anchor} " + ("contains itself" if inside else "has no anchor"))
        if isinstance(node, Scalar):
            node = Scalar(node.text, line, column, node.plain, node.block)
        self._add(node, node.size, line)

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        line, column = _place(event)
        if len(self._stack) >= MAX_DEPTH:
            self._fail(line, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        start = isinstance(event, yaml.SequenceStartEvent)
        self._stack.append(Sequence(line, column) if start else Mapping(line, column))
        self._pending.append(None)
        self._names.append(event.anchor)

    def _close(self) -> None:
        node, name = self._stack.pop(), self._names.pop()
        self._pending.pop()
        if isinstance(node, Mapping):
            self._merge(node)
        if name is not None:
            self._anchors[name] = node
        self._add(node)

    def _add(self, node: Node, cost: int = 1, line: int = 0) -> None:
        self._nodes += cost
        if self._nodes > MAX_NODES:
            self._fail(line or node.line, f"more than {MAX_NODES:,} nodes, counting what aliases repeat")
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        parent.size += node.size
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif (key := self._pending[-1]) is None:
            self._key(parent, node)
        else:
            self._pending[-1] = None
            self._value(parent, key, node)

    def _key(self, parent: Mapping, node: Node) -> None:
        if not isinstance(node, Scalar):
            self._fail(node.line, "a key must be a scalar")
        if node.text in parent.items and not (node.plain and node.text == "<<"):
            self._fail(node.line, f"the key {node.text!r} is already there at line {parent.keys[node.text].line}")
        self._pending[-1] = node

    def _value(self, parent: Mapping, key: Scalar, node: Node) -> None:
        if key.plain and key.text == "<<":
            parent.merged.extend(node.items if isinstance(node, Sequence) else [node])
            return
        parent.items[key.text] = node
        parent.keys[key.text] = key

    def _merge(self, node: Mapping) -> None:
        """Take in what `<<` names; what stands in the mapping itself, and what was merged first, wins."""
        for source in node.merged:
            if not isinstance(source, Mapping):
                self._fail(source.line, "<< merges mappings only")
            for name, value in source.items.items():
                if name not in node.items:
                    node.items[name], node.keys[name] = value, source.keys[name]
        node.merged = []
