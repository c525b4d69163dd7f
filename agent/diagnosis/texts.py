"""What people read when they are asked, in their language. The agent's few sentences need no catalogue of gettext."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.diagnosis.texts_zh import ABOUT
from agent.redact import clean

CLASSES = {
    "health": "readings of the machine's health, nothing personal",
    "names": "names of processes, files and accounts",
    "content": "contents: lines of logs, or data packets",
}
QUESTION = """%(company)s would like to look at something on this computer.

What: %(about)s (%(name)s)
With: %(arguments)s
It sees: %(class)s
Asked by: %(by)s
For the ticket: %(ticket)s
How long: once, %(seconds)d s at most; you can stop it
Without an answer within %(answer_seconds)d s nothing is looked at."""
RUNNING = """%(company)s is looking: %(about)s (%(name)s)
Close this window to stop it."""
CHINESE = {
    QUESTION: """%(company)s 想查看这台计算机上的一些信息。

内容：%(about)s（%(name)s）
参数：%(arguments)s
可看到：%(class)s
请求者：%(by)s
工单：%(ticket)s
时长：一次，最多 %(seconds)d 秒；您可以随时停止
%(answer_seconds)d 秒内没有回答，则不查看任何内容。""",
    RUNNING: """%(company)s 正在查看：%(about)s（%(name)s）
关闭此窗口即可停止。""",
    CLASSES["health"]: "机器的健康读数，不含个人信息",
    CLASSES["names"]: "进程、文件和账户的名称",
    CLASSES["content"]: "内容：日志行或数据包",
    "Allow": "允许",
    "Refuse": "拒绝",
    "Stop it": "停止",
    "Watchdesk asks": "Watchdesk 请求许可",
    "Watchdesk is looking": "Watchdesk 正在查看",
    "a rule (%s)": "规则（%s）",
    "%s, a person": "%s（人员）",
    "none": "无",
    "Nothing is asked.": "目前没有请求。",
    "Allow? [y/N] ": "允许吗？[y/N] ",
    "Allowed. `watchdesk-agent consent --no %s` takes it back.": "已允许。`watchdesk-agent consent --no %s` 可撤回。",
    "Refused.": "已拒绝。",
}


class Words:
    """Texts in a language of two letters."""

    def __init__(self, language: str) -> None:
        is_chinese = language == "zh"
        self._texts: Mapping[str, str] = CHINESE if is_chinese else {}
        self._about: Mapping[str, str] = ABOUT if is_chinese else {}

    def __call__(self, text: str) -> str:
        """Return a text."""
        return self._texts.get(text, text)

    def question(self, said: Mapping[str, Any]) -> str:
        """Return a question whole. What the collector wrote in it is one line each, so that it can pose as nothing."""
        return self(QUESTION) % self._values(said)

    def running(self, said: Mapping[str, Any]) -> str:
        """Return what is shown while it runs."""
        return self(RUNNING) % self._values(said)

    def _values(self, said: Mapping[str, Any]) -> dict[str, Any]:
        kind, _, who = str(said["by"]).partition(":")
        by = {"rule": self("a rule (%s)"), "person": self("%s, a person")}.get(kind, "%s") % clean(who or kind, 80)
        given = ", ".join(f"{key}={value}" for key, value in said["arguments"].items())
        return {
            "company": clean(str(said["company"]), 100),
            "about": self._about.get(said["name"], clean(str(said["about"]), 200)),
            "name": clean(str(said["name"]), 64), "arguments": clean(given, 300) or self("none"), "by": by,
            "class": self(CLASSES[said["class"]]), "ticket": clean(str(said["ticket"]), 32) or self("none"),
            "seconds": int(said["seconds"]), "answer_seconds": int(said["answer_seconds"]),
        }  # fmt: skip
