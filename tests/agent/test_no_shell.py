"""No shell and no evaluation of text in the agent: whatever is sent to it is data, in every line of its code."""

import ast
from pathlib import Path

import pytest

import agent

SOURCES = sorted(Path(agent.__file__).parent.rglob("*.py"))
CALLS = {"eval", "exec", "compile", "input", "breakpoint"}
MODULES = {"code", "codeop", "commands", "dill", "marshal", "pickle", "pickletools", "popen2", "pty", "pydoc", "runpy",
           "shelve", "timeit", "xmlrpc"}  # fmt: skip
FUNCTIONS = {"os.system", "os.popen", "os.execl", "os.execle", "os.execlp", "os.execlpe", "os.execvp", "os.execvpe",
             "os.spawnl", "os.spawnle", "os.spawnlp", "os.spawnlpe", "os.spawnvp", "os.spawnvpe", "os.startfile",
             "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
             "types.FunctionType", "types.CodeType", "builtins.eval", "builtins.exec"}  # fmt: skip
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "cmd", "cmd.exe", "/bin/sh", "/bin/bash", "wsl", "sudo", "su",
          "env", "xargs", "ssh"}  # fmt: skip


def faults(source: str) -> list[str]:
    """Return what a source has that could execute text."""
    return [f"line {getattr(node, 'lineno', 0)}: {what}" for node in ast.walk(ast.parse(source)) for what in _of(node)]


def _of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        taken = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        return [name for name in names if name.split(".")[0] in MODULES] + [name for name in taken if name in FUNCTIONS]
    if isinstance(node, ast.Attribute):
        return [ast.unparse(node)] if ast.unparse(node) in FUNCTIONS else []
    if isinstance(node, ast.Name):
        return [node.id] if node.id in CALLS else []
    if isinstance(node, ast.Call):
        return _of_call(node)
    if isinstance(node, ast.List | ast.Tuple):
        return _of_words(node)
    return []


def _of_call(node: ast.Call) -> list[str]:
    shells = [word for word in node.keywords if word.arg in ("shell", "executable", "preexec_fn")]
    return [f"{word.arg}={ast.unparse(word.value)}" for word in shells]


def _of_words(node: ast.List | ast.Tuple) -> list[str]:
    """A list of words that begins with a shell and goes on with what it is to do."""
    words = [one.value if isinstance(one, ast.Constant) else None for one in node.elts]
    if words and words[0] in SHELLS and any(word in ("-c", "/c", "/C", "-e") for word in words[1:]):
        return [ast.unparse(node)]
    return []


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(SOURCES[0].parent)) for path in SOURCES])
def test_no_file_of_the_agent_can_execute_text(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')", "exec(x)", "f = eval", "compile(x, '', 'exec')", "import pickle", "from marshal import loads",
        "import os; os.system('x')", "import os; f = os.popen", "from os import system", "os.execvp('sh', [])",
        "subprocess.run(x, shell=True)", "subprocess.run(x, shell=flag)", "subprocess.getoutput('x')",
        "Popen(x, executable='/bin/sh')", "run(['sh', '-c', text])", "run(('cmd.exe', '/c', text))",
        "run(['/bin/bash', '-e', '-c', x])", "import pty", "import runpy", "builtins.eval('x')",
        "Popen(x, preexec_fn=f)",
    ],
)  # fmt: skip
def test_the_rule_finds(source: str) -> None:
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    ["run(['ls', '-c'])", "x.system", "import subprocess", "def evaluate(): ...", "re.compile('x')", "words = ['sh']"],
)
def test_the_rule_lets_pass(source: str) -> None:
    assert not faults(source)
