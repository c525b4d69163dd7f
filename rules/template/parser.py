"""From tokens to a tree, with Go's errors (go: text/template/parse/parse.go)."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NoReturn

from rules.errors import TemplateError
from rules.template import nodes
from rules.template.constants import parse_char, parse_number, unquote
from rules.template.gofmt import quote
from rules.template.lexer import Token, tokens

MAX_DEPTH: Final = 100  # of blocks and parentheses inside each other
_OPERANDS: Final = frozenset({"bool", "char", "dot", "field", "identifier", "number", "nil", "string", "variable", "("})


def parse(text: str, name: str, functions: Container[str]) -> dict[str, nodes.Block]:
    """The templates that a text defines, itself under `name`; TemplateError tells what Go would."""
    return _Parser(text, name, functions).parse()


class _Parser:
    def __init__(self, text: str, name: str, functions: Container[str]) -> None:
        self._text = text
        self._name = name
        self._functions = functions
        self._tokens = list(tokens(text))
        self._next = 0
        self._vars = ["$"]
        self._ranges = 0
        self._depth = 0
        self._trees: dict[str, nodes.Block] = {}

    def parse(self) -> dict[str, nodes.Block]:
        root = nodes.Block(0, [])
        while self._peek().kind != "eof":
            if self._peek().kind == "left":
                mark = self._next
                self._take()
                if self._take_solid().kind == "define":
                    self._define()
                    continue
                self._next = mark
            node = self._text_or_action()
            if isinstance(node, str):
                self._fail(f"unexpected {node}")
            if node is not None:
                root.nodes.append(node)
        self._trees[self._name] = root
        return self._trees

    # Tokens

    def _peek(self) -> Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _take_solid(self) -> Token:
        """The next token that is not space."""
        while (token := self._take()).kind == "space":
            pass
        return token

    def _peek_solid(self) -> Token:
        while self._peek().kind == "space":
            self._next += 1
        return self._peek()

    def _expect(self, kind: str, context: str) -> Token:
        token = self._take_solid()
        if token.kind != kind:
            self._unexpected(token, context)
        return token

    def _fail(self, message: str) -> NoReturn:
        raise self._error(message)

    def _error(self, message: str) -> TemplateError:
        at = self._tokens[min(max(self._next - 1, 0), len(self._tokens) - 1)].at
        return TemplateError(f"template: {self._name}:{1 + self._text.count(chr(10), 0, at)}: {message}")

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        raise self._surprise(token, context)

    def _surprise(self, token: Token, context: str) -> TemplateError:
        return self._error(token.text if token.kind == "error" else f"unexpected {token} in {context}")

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH} levels")

    # Statements

    def _text_or_action(self) -> nodes.Statement | str | None:
        """A statement; "{{end}}" or "{{else}}" where a block ends; None for what leaves nothing behind."""
        token = self._take_solid() if self._peek().kind == "space" else self._take()
        if token.kind == "text":
            return nodes.Text(token.at, token.text)
        if token.kind == "left":
            return self._action()
        raise self._surprise(token, "input")

    def _action(self) -> nodes.Statement | str | None:
        mark = self._next
        token = self._take_solid()
        match token.kind:
            case "if" | "with" | "range":
                return self._control(token.kind)
            case "else":
                return self._else()
            case "end":
                self._expect("right", "end")
                return "{{end}}"
            case "break" | "continue":
                return self._jump(token)
            case "template":
                return self._template("template clause")
            case "block":
                return self._block()
        self._next = mark
        at = self._peek().at
        return nodes.Action(at, self._pipeline("command", "right"))

    def _else(self) -> str:
        token = self._peek_solid()
        if token.kind not in ("if", "with"):
            self._expect("right", "else")
        return "{{else}}"

    def _jump(self, token: Token) -> nodes.Jump:
        end = self._take_solid()
        if end.kind != "right":
            self._unexpected(end, f"{{{{{token.kind}}}}}")
        if not self._ranges:
            self._fail(f"{{{{{token.kind}}}}} outside {{{{range}}}}")
        return nodes.Jump(token.at, token.kind)

    def _control(self, kind: str) -> nodes.Branch:
        self._enter()
        scope = len(self._vars)
        pipe = self._pipeline(kind, "right")
        self._ranges += kind == "range"
        body, ended_by = self._items()
        self._ranges -= kind == "range"
        other = self._other(kind) if ended_by == "{{else}}" else None
        del self._vars[scope:]
        self._depth -= 1
        return nodes.Branch(pipe.at, kind, pipe, body, other)

    def _other(self, kind: str) -> nodes.Block:
        """What follows {{else}}: another branch that shares the {{end}}, or a list."""
        token = self._peek()
        if token.kind in ("if", "with"):
            if token.kind != kind:
                self._unexpected(self._take(), "input")
            self._take()
            return nodes.Block(token.at, [self._control(kind)])
        block, ended_by = self._items()
        if ended_by != "{{end}}":
            self._fail(f"expected end; found {ended_by}")
        return block

    def _items(self) -> tuple[nodes.Block, str]:
        """Statements up to {{end}} or {{else}}, which is returned too."""
        block = nodes.Block(self._peek_solid().at, [])
        while self._peek_solid().kind != "eof":
            node = self._text_or_action()
            if isinstance(node, str):
                return block, node
            if node is not None:
                block.nodes.append(node)
        raise self._error("unexpected EOF")

    def _template_name(self, context: str) -> tuple[Token, str]:
        token = self._take_solid()
        if token.kind != "string":
            self._unexpected(token, context)
        return token, self._unquoted(token)

    def _template(self, context: str) -> nodes.Call:
        token, name = self._template_name(context)
        pipe = None
        if self._peek_solid().kind == "right":
            self._take()
        else:
            pipe = self._pipeline(context, "right")
        return nodes.Call(token.at, name, token.text, pipe)

    def _block(self) -> nodes.Call:
        token, name = self._template_name("block clause")
        pipe = self._pipeline("block clause", "right")
        self._body(name, "block clause")
        return nodes.Call(token.at, name, token.text, pipe)

    def _define(self) -> None:
        _, name = self._template_name("define clause")
        self._expect("right", "define clause")
        self._body(name, "define clause")

    def _body(self, name: str, context: str) -> None:
        """The body of a template defined inside; it sees no variables of its surroundings."""
        self._enter()
        outer, self._vars = self._vars, ["$"]
        ranges, self._ranges = self._ranges, 0
        block, ended_by = self._items()
        if ended_by != "{{end}}":
            self._fail(f"unexpected {ended_by} in {context}")
        self._vars, self._ranges = outer, ranges
        self._trees[name] = block
        self._depth -= 1

    # Pipelines

    def _pipeline(self, context: str, end: str) -> nodes.Pipe:
        self._enter()
        pipe = nodes.Pipe(self._peek_solid().at, [], False, [])
        self._declarations(pipe, context)
        while (token := self._peek_solid()).kind in _OPERANDS:
            pipe.commands.append(self._command())
        self._take()
        if token.kind != end:
            self._unexpected(token, context)
        if not pipe.commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.args[0], nodes.Constant | nodes.Dot | nodes.Nil):
                self._fail(f"non executable command in pipeline stage {stage}")
        self._depth -= 1
        return pipe

    def _declarations(self, pipe: nodes.Pipe, context: str) -> None:
        while (variable := self._peek_solid()).kind == "variable":
            mark = self._next
            self._take()
            after = self._peek_solid()
            if after.kind not in ("=", ":=", ","):
                self._next = mark
                return
            self._take()
            pipe.names.append(variable.text)
            self._vars.append(variable.text)
            if after.kind != ",":
                pipe.assign = after.kind == "="
                return
            if context != "range" or len(pipe.names) > 1:
                self._fail(f"too many declarations in {context}")
            if self._peek_solid().kind not in ("variable", "right", ")"):
                self._fail("range can only initialize variables")

    def _command(self) -> nodes.Command:
        command = nodes.Command(self._peek_solid().at, [])
        while True:
            self._peek_solid()
            operand = self._operand()
            if operand is not None:
                command.args.append(operand)
            token = self._take()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self._next -= 1
            elif token.kind != "|":
                self._unexpected(token, "operand")
            break
        if not command.args:
            self._fail("empty command")
        return command

    def _operand(self) -> nodes.Operand | None:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        at = self._peek().at
        path = []
        while self._peek().kind == "field":
            path.append(self._take().text[1:])
        if isinstance(node, nodes.Field):
            return nodes.Field(at, node.path + path)
        if isinstance(node, nodes.Variable):
            return nodes.Variable(at, node.name, path)
        if isinstance(node, nodes.Constant | nodes.Nil | nodes.Dot):
            self._fail(f"unexpected . after term {quote(str(node))}")
        return nodes.Chain(at, node, path)

    def _term(self) -> nodes.Operand | None:
        token = self._take_solid()
        match token.kind:
            case "identifier":
                if token.text not in self._functions:
                    self._fail(f'function "{token.text}" not defined')
                return nodes.Identifier(token.at, token.text)
            case "dot":
                return nodes.Dot(token.at)
            case "nil":
                return nodes.Nil(token.at)
            case "variable":
                if token.text not in self._vars:
                    self._fail(f'undefined variable "{token.text}"')
                return nodes.Variable(token.at, token.text)
            case "field":
                return nodes.Field(token.at, [token.text[1:]])
            case "bool":
                return nodes.Constant(token.at, token.text, token.text == "true")
            case "number" | "char" | "string":
                return nodes.Constant(token.at, token.text, self._constant(token))
            case "(":
                return self._pipeline("parenthesized pipeline", ")")
        self._next -= 1
        return None

    def _constant(self, token: Token) -> int | float | str:
        if token.kind == "string":
            return self._unquoted(token)
        try:
            return parse_char(token.text) if token.kind == "char" else parse_number(token.text)
        except ValueError as error:
            self._fail(str(error))

    def _unquoted(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as error:
            self._fail(str(error))
