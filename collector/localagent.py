"""Runs real agent processes on this machine: the one of `watchdesk up`, and those of drills."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from collector.errors import StartError

ENROL_SECONDS = 30.0
STOP_SECONDS = 5.0


class LocalAgent:
    """An agent with a state folder of its own, as a process of its own session: Ctrl-C reaches only us."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id of the running agent, 0 if there is none."""
        return self._process.pid if self._process else 0

    async def enrol(self, token: str, *, name: str = "", force: bool = False) -> None:
        """Enrol with a token, as a remote agent does.

        Raises:
            StartError: the agent's own sentence on what went wrong.
        """
        more = [*(["--name", name] if name else []), *(["--force"] if force else [])]
        process = await asyncio.create_subprocess_exec(
            *self._command("enrol"), token, *more, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(process.communicate(), ENROL_SECONDS)
        if process.returncode:
            raise StartError(f"The agent could not enrol: {errors.decode(errors='replace').strip()}")

    async def start(self) -> None:
        """Start the agent."""
        with (self.state / "agent.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command("run"), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    async def stop(self) -> None:
        """Stop the agent and wait until it said goodbye."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def kill(self) -> None:
        """End the agent without a goodbye."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def _command(self, verb: str) -> list[str]:
        # -I: nothing of the caller's environment or folder gets into the agent.
        return [sys.executable, "-I", "-m", "agent", "--state", str(self.state), verb]
