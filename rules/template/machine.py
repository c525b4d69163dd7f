"""Runs a template's tree, as Go does, within bounds (go: text/template/exec.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from rules.errors import TemplateError
from rules.template import gofmt, nodes
from rules.template.functions import FUNCTIONS, Around, CallError, Function
from rules.template.values import Args, QueryResult, field, truth, type_name

MAX_OUTPUT: Final = 256 << 10  # characters of one expansion
MAX_STEPS: Final = 200_000
MAX_CALLS: Final = 50  # of templates inside each other

_NONE: Final = object()  # no value comes down the pipeline
_NIL_OK: Final = frozenset({"any", "value", "template.queryResult", "*template.sample"})


class _Jump(Exception):
    """break or continue on its way to the loop."""


class Machine:
    """One expansion of a template."""

    def __init__(self, text: str, name: str, trees: Mapping[str, nodes.Block], around: Around) -> None:
        self._text = text
        self._name = name
        self._trees = trees
        self._around = around
        self._out: list[str] = []
        self._length = 0
        self._steps = 0
        self._calls = 0
        self._current = name
        self._vars: list[list[Any]] = []
        self._node: nodes.Anything | None = None

    def run(self, data: Any) -> str:
        """The expansion; TemplateError tells what Go would."""
        self._around.invoke = self._invoke
        self._call(self._name, data)
        return "".join(self._out)

    # Where we are

    def _at(self, node: nodes.Anything) -> None:
        self._node = node
        self._steps += 1
        if self._steps > MAX_STEPS:
            self._fail(f"the template takes more than {MAX_STEPS:,} steps")

    def _fail(self, message: str) -> NoReturn:
        raise self._error(message)

    def _error(self, message: str) -> TemplateError:
        place, shown = self._name, ""
        if self._node is not None:
            before = self._text[: self._node.at]
            column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogatepass"))
            place = f"{self._name}:{before.count(chr(10)) + 1}:{column}"
            shown = str(self._node)
        shown = shown if len(shown) <= 2000 else shown[:2000] + "..."
        return TemplateError(f'template: {place}: executing "{self._current}" at <{shown}>: {message}')

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_OUTPUT:
            self._fail(f"the output is longer than {MAX_OUTPUT:,} characters")
        self._out.append(text)

    # Statements

    def _call(self, name: str, dot: Any) -> None:
        outer = self._vars, self._current
        self._vars, self._current = [["$", dot]], name
        self._calls += 1
        self._block(self._trees[name], dot)
        self._calls -= 1
        self._vars, self._current = outer

    def _invoke(self, name: str, data: Any) -> str:
        """What `tmpl` returns: another template's expansion."""
        if name not in self._trees:
            raise CallError(f'template: no template "{name}" associated with template "{self._name}"')
        if self._calls >= MAX_CALLS:
            raise CallError(f"exceeded maximum template depth ({MAX_CALLS})")
        outer, self._out = self._out, []
        self._call(name, data)
        made, self._out = "".join(self._out), outer
        self._length -= len(made)
        return made

    def _block(self, block: nodes.Block, dot: Any) -> None:
        for node in block.nodes:
            if isinstance(node, nodes.Text):
                self._write(node.text)
                continue
            self._at(node)
            match node:
                case nodes.Action():
                    self._action(node, dot)
                case nodes.Branch(kind="range"):
                    self._range(node, dot)
                case nodes.Branch():
                    self._if(node, dot)
                case nodes.Call():
                    self._template(node, dot)
                case nodes.Jump():
                    raise _Jump(node.kind)

    def _action(self, node: nodes.Action, dot: Any) -> None:
        value = self._pipe(node.pipe, dot)
        if not node.pipe.names:
            self._at(node)
            self._write("<no value>" if value is None else gofmt.text(value))

    def _if(self, node: nodes.Branch, dot: Any) -> None:
        scope = len(self._vars)
        value = self._pipe(node.pipe, dot)
        if truth(value):
            self._block(node.body, value if node.kind == "with" else dot)
        elif node.other is not None:
            self._block(node.other, dot)
        del self._vars[scope:]

    def _range(self, node: nodes.Branch, dot: Any) -> None:
        outer = len(self._vars)
        value = self._pipe(node.pipe, dot)
        scope = len(self._vars)
        names = len(node.pipe.names)
        turns = 0
        for index, element in self._elements(value):
            turns += 1
            self._at(node)
            if names:
                self._vars[-1][1] = element
            if names > 1:
                self._vars[-2][1] = index
            try:
                self._block(node.body, element)
            except _Jump as jump:
                if jump.args[0] == "break":
                    break
            finally:
                del self._vars[scope:]
        if not turns and node.other is not None:
            self._block(node.other, dot)
        del self._vars[outer:]

    def _elements(self, value: Any) -> Any:
        if value is None:
            return ()
        if isinstance(value, Mapping):
            return ((key, value[key]) for key in sorted(value))
        if isinstance(value, QueryResult):
            return enumerate(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return ((i, i) for i in range(value))
        raise self._error(f"range can't iterate over {gofmt.text(value)}")

    def _template(self, node: nodes.Call, dot: Any) -> None:
        if node.name not in self._trees:
            self._fail(f"template {gofmt.quote(node.name)} not defined")
        if self._calls >= MAX_CALLS:
            self._fail(f"exceeded maximum template depth ({MAX_CALLS})")
        self._call(node.name, self._pipe(node.pipe, dot) if node.pipe else None)

    # Pipelines

    def _pipe(self, pipe: nodes.Pipe, dot: Any) -> Any:
        self._at(pipe)
        value: Any = _NONE
        for command in pipe.commands:
            value = self._command(command, dot, value)
        for name in pipe.names:
            if pipe.assign:
                next(v for v in reversed(self._vars) if v[0] == name)[1] = value
            else:
                self._vars.append([name, value])
        return value

    def _command(self, command: nodes.Command, dot: Any, final: Any) -> Any:
        first = command.args[0]
        args = command.args[1:]
        if isinstance(first, nodes.Identifier):
            return self._function(first, command, args, dot, final)
        if isinstance(first, nodes.Field | nodes.Chain | nodes.Variable):
            return self._fields(first, args, dot, final)
        if not isinstance(first, nodes.Pipe):
            self._at(first)
        if args or final is not _NONE:
            self._fail(f"can't give argument to non-function {self._shown(first)}")
        if isinstance(first, nodes.Pipe):
            return self._pipe(first, dot)
        if isinstance(first, nodes.Dot):
            return dot
        if isinstance(first, nodes.Nil):
            self._fail("nil is not a command")
        return first.value

    def _shown(self, node: nodes.Operand) -> str:
        return f"({node})" if isinstance(node, nodes.Pipe) else str(node)

    def _fields(self, node: nodes.Field | nodes.Chain | nodes.Variable, args: list[Any], dot: Any, final: Any) -> Any:
        self._at(node)
        if isinstance(node, nodes.Field):
            value = dot
        elif isinstance(node, nodes.Variable):
            value = next(v for v in reversed(self._vars) if v[0] == node.name)[1]
        else:
            value = self._argument(node.node, "any", dot)
        called = bool(args) or final is not _NONE
        if called and not node.path:
            self._fail(f"can't give argument to non-function {node}")
        for depth, name in enumerate(node.path):
            self._node = node
            value = self._field(value, name, called and depth == len(node.path) - 1)
        return value

    def _field(self, value: Any, name: str, called: bool) -> Any:
        if value is None:
            return None
        if isinstance(value, Mapping):
            if called:
                self._fail(f"{name} is not a method but has arguments")
            return value.get(name, None if isinstance(value, Args) else "")
        try:
            found = field(value, name)
        except KeyError:
            self._fail(f"can't evaluate field {name} in type {type_name(value)}")
        if called:
            self._fail(f"{name} has arguments but cannot be invoked as function")
        return found

    def _function(
        self, node: nodes.Identifier, whole: nodes.Anything, args: list[nodes.Operand], dot: Any, final: Any
    ) -> Any:
        self._at(node)
        function = FUNCTIONS[node.name]
        piped = [] if final is _NONE else [final]
        self._arity(function, node.name, len(args), len(args) + len(piped))
        if node.name in ("and", "or"):
            return self._logic(node.name, args, piped, dot)
        values = [self._argument(arg, function.param(i), dot) for i, arg in enumerate(args)]
        values += [self._checked(value, function.param(len(args))) for value in piped]
        try:
            made = function.call(self._around, *values)
        except CallError as error:
            self._node = whole
            self._fail(f"error calling {node.name}: {error}")
        if isinstance(made, str):
            self._steps += len(made) >> 8
            if len(made) > MAX_OUTPUT * 4:
                self._fail(f"{node.name} makes a text longer than {MAX_OUTPUT * 4:,} characters")
        return made

    def _arity(self, function: Function, name: str, written: int, given: int) -> None:
        fixed = len(function.params)
        if function.rest is not None and given < fixed:
            self._fail(f"wrong number of args for {name}: want at least {fixed} got {written}")
        if function.rest is None and given != fixed:
            self._fail(f"wrong number of args for {name}: want {fixed} got {given}")

    def _logic(self, name: str, args: list[nodes.Operand], piped: list[Any], dot: Any) -> Any:
        value = None
        for arg in args:
            value = self._argument(arg, "value", dot)
            if truth(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def _argument(self, node: nodes.Operand, kind: str, dot: Any) -> Any:
        self._at(node)
        match node:
            case nodes.Dot():
                return self._checked(dot, kind)
            case nodes.Nil():
                if kind not in _NIL_OK:
                    self._fail(f"cannot assign nil to {kind}")
                return None
            case nodes.Field() | nodes.Variable() | nodes.Chain():
                return self._checked(self._fields(node, [], dot, _NONE), kind)
            case nodes.Pipe():
                return self._checked(self._pipe(node, dot), kind)
            case nodes.Identifier():
                return self._checked(self._function(node, node, [], dot, _NONE), kind)
            case nodes.Constant():
                return self._constant(node, kind)

    def _constant(self, node: nodes.Constant, kind: str) -> Any:
        if kind in ("any", "value"):
            return node.value
        if kind == "string":
            if not isinstance(node.value, str):
                self._fail(f"expected string; found {node}")
            return node.value
        raise self._error(f"can't handle {node} for arg of type {kind}")

    def _checked(self, value: Any, kind: str) -> Any:
        if kind in ("any", "value"):
            return value
        if value is None:
            if kind not in _NIL_OK:
                self._fail(f"invalid value; expected {kind}")
            return QueryResult() if kind == "template.queryResult" else None
        found = type_name(value)
        if found != kind:
            self._fail(f"wrong type for value; expected {kind}; got {found}")
        return value
