"""The tree of a template; each node can write itself as Go does in its errors (go: text/template/parse/node.go)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Text:
    at: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Dot:
    at: int

    def __str__(self) -> str:
        return "."


@dataclass(slots=True)
class Nil:
    at: int

    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True)
class Constant:
    """A number, a string, a character or a truth value; `text` as it was written."""

    at: int
    text: str
    value: bool | int | float | str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class Identifier:
    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Field:
    at: int
    path: list[str]

    def __str__(self) -> str:
        return "".join("." + name for name in self.path)


@dataclass(slots=True)
class Variable:
    """`$name` and the fields behind it."""

    at: int
    name: str
    path: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return ".".join([self.name, *self.path])


@dataclass(slots=True)
class Chain:
    """Fields of something in parentheses, or of a function's result."""

    at: int
    node: Operand
    path: list[str]

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return ".".join([inner, *self.path])


@dataclass(slots=True)
class Command:
    at: int
    args: list[Operand]

    def __str__(self) -> str:
        return " ".join(f"({a})" if isinstance(a, Pipe) else str(a) for a in self.args)


@dataclass(slots=True)
class Pipe:
    at: int
    names: list[str]
    assign: bool
    commands: list[Command]

    def __str__(self) -> str:
        names = ", ".join(self.names) + (" = " if self.assign else " := ") if self.names else ""
        return names + " | ".join(map(str, self.commands))


Operand = Dot | Nil | Constant | Identifier | Field | Variable | Chain | Pipe


@dataclass(slots=True)
class Action:
    at: int
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(slots=True)
class Branch:
    """if, with or range."""

    at: int
    kind: str
    pipe: Pipe
    body: Block
    other: Block | None

    def __str__(self) -> str:
        other = "" if self.other is None else f"{{{{else}}}}{self.other}"
        return f"{{{{{self.kind} {self.pipe}}}}}{self.body}{other}{{{{end}}}}"


@dataclass(slots=True)
class Jump:
    """break or continue."""

    at: int
    kind: str

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


@dataclass(slots=True)
class Call:
    """{{template "name" pipeline}}."""

    at: int
    name: str
    quoted: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {self.quoted}" + (f" {self.pipe}" if self.pipe else "") + "}}"


@dataclass(slots=True)
class Block:
    at: int
    nodes: list[Statement]

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


Statement = Text | Action | Branch | Jump | Call
Anything = Statement | Operand | Block | Command
