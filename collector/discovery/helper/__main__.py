"""`python -m collector.discovery.helper`: one task from standard input, findings to standard output."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

import msgspec

from collector.discovery.helper.sweeper import Sweeper
from collector.discovery.ports import ports
from collector.discovery.said import Said
from collector.discovery.task import Look, Task

_LOOK = msgspec.json.Decoder(Look)


def _say(what: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _first_line() -> bytes:
    """Return the first line of the input, without reading ahead: what follows is read on the event loop."""
    line = b""
    while not line.endswith(b"\n") and len(line) < 1 << 20 and (found := os.read(0, 1)):
        line += found
    return line


async def _work(task: Task) -> None:
    """Do the task until it is done or the input ends: then whoever asked for it is gone."""
    loop = asyncio.get_running_loop()
    sweeper = Sweeper(task, ports, _say)
    sweep = loop.create_task(sweeper.run())
    rest = b""

    def asked() -> None:
        nonlocal rest
        found = os.read(0, 65_536)
        if not found:
            sweep.cancel()
        *lines, rest = (rest + found).split(b"\n")
        for line in lines:
            with suppress(msgspec.DecodeError):  # what is not understood is not done
                sweeper.look(_LOOK.decode(line).address)

    loop.add_reader(0, asked)
    await asyncio.wait([sweep])
    if not sweep.cancelled():
        sweep.result()


def main() -> int:
    """Run the helper; 2 for a task that is not understood."""
    try:
        task = msgspec.json.decode(_first_line(), type=Task)
    except msgspec.DecodeError as error:
        print(f"no task: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        asyncio.run(_work(task))
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)  # at once: a thread may wait for a name server that is away


if __name__ == "__main__":
    sys.exit(main())
