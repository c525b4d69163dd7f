"""`watchdesk up`: everything on one machine, told as it happens."""

from __future__ import annotations

import secrets
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from collector.collector import Collector
from collector.config import Config
from collector.enrolment import new_token
from collector.localagent import LocalAgent
from collector.register.sites import slug

if TYPE_CHECKING:
    from collector.cli.context import Context

CUSTOMER, SITE = "home", "here"  # whose machine this is until the register says otherwise
ADMIN = "admin"


class Up:
    """The collector and an agent for this machine."""

    def __init__(self, context: Context, config: Config, *, say: Callable[[str], None]) -> None:
        self._context = context
        self._say = say
        self._collector = Collector(context.data, config)
        self._agent = LocalAgent(context.data / "agent")
        self._started = False

    async def start(self) -> None:
        """Start everything.

        Raises:
            StartError: what is in the way, in a sentence that says what to do.
        """
        self._say(f"Starting the collector on {self._context.data} ...")
        await self._collector.start()
        self._started = True
        password = self._first_administrator()
        await self._start_agent()
        runtime = self._collector.runtime
        self._say("")
        self._say(f"  Watchdesk is at   {runtime.web}")
        if password:
            self._say(f"  Log in as         {ADMIN}, password {password}   (shown this once)")
        self._say(f"  See a ticket      {sys.argv[0]} --data {self._context.data} drill disk-full")
        self._say("  Stop              Ctrl-C")
        self._say("")

    def _first_administrator(self) -> str:
        """Make the administrator if nobody can log in yet, and return the password."""
        if self._collector.accounts.users():
            return ""
        password = secrets.token_urlsafe(12)
        self._collector.accounts.create(ADMIN, password, role="admin")
        return password

    async def _start_agent(self) -> None:
        """Enrol an agent for this machine where that was not done for this collector, and start it."""
        url = self._collector.runtime.agents
        enrolled = self._agent.state / "up.url"
        if not enrolled.exists() or enrolled.read_text() != url:
            self._say("Enrolling an agent for this machine ...")
            name = slug(socket.gethostname())
            former = self._collector.register.device_by_instance(f"{name}.{SITE}.{CUSTOMER}")
            if former is not None:  # its agent's state is lost, or speaks to another port
                self._collector.register.retire(former.id, time.time())
            token = new_token(
                self._context.data, self._collector.register, url, (CUSTOMER, SITE), now=time.time(), life=300
            )
            self._agent.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._agent.enrol(token, name=name, force=True)
            enrolled.write_text(url)
        await self._agent.start()

    async def stop(self) -> None:
        """Stop the agent, which says goodbye, and then the collector."""
        await self._agent.stop()
        if self._started:
            self._say("Stopping ...")
            await self._collector.stop()
