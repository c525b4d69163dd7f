"""The agent as a Windows service, by the service control manager's own functions: no wrapper program is needed.

The manager starts `pythonw.exe -I agent\\__main__.py windows-service`; the installer has registered it as NAME.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from agent.errors import AgentError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.agent import Agent

NAME = "watchdesk-agent"
OWN_PROCESS = 0x10
STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
STOP, INTERROGATE, SHUTDOWN, POWER = 1, 4, 5, 13
ACCEPTED = 0x01 | 0x04 | 0x40  # stop, shutdown, changes of the power
SUSPENDS = 4  # PBT_APMSUSPEND
SPECIFIC_ERROR = 1066  # the reason is in the second code
STOP_SECONDS = 15
LOOK_SECONDS = 1.0  # between two looks for the enrolment, while there is none
SHUTDOWN_TTL = 7 * 86_400.0
# Who may look into the state: the system, administrators, and the account that the service runs as.
TRUSTED = ("*S-1-5-18", "*S-1-5-32-544", "*S-1-5-19")


def close_to_others(directory: str) -> None:
    """Let only TRUSTED into a directory, and into what is made in it.

    Raises:
        StateError: it cannot be closed.
    """
    grants = [word for who in TRUSTED for word in ("/grant:r", f"{who}:(OI)(CI)F")]
    program = os.path.join(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32", "icacls.exe")
    try:
        done = subprocess.run(  # noqa: S603 - words of our own, no shell
            [program, directory, "/inheritance:r", *grants, "/q"], capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateError(f"{directory} cannot be closed to others: {error}") from error
    if done.returncode:
        raise StateError(f"{directory} cannot be closed to others (icacls: {done.returncode}); run it as administrator")


class Control:
    """What the manager asks for, taken to the agent, which may not be there yet."""

    def __init__(self) -> None:
        self._agent: Agent | None = None
        self._wanted: tuple[str, float | None] | None = None

    def hear(self, agent: Agent) -> None:
        """Know the agent; a stop that came before it holds."""
        self._agent = agent
        if self._wanted is not None:
            agent.stop(*self._wanted)

    @property
    def stopped(self) -> bool:
        """Whether a stop was asked for."""
        return self._wanted is not None

    def take(self, control: int, event: int) -> bool:
        """Take a control code and the kind of its event; return whether the service is about to stop."""
        if control in (STOP, SHUTDOWN):
            self._wanted = ("shutdown", SHUTDOWN_TTL) if control == SHUTDOWN else ("stop", None)
            if self._agent is not None:
                self._agent.stop(*self._wanted)
            return True
        if control == POWER and event == SUSPENDS and self._agent is not None:
            self._agent.nap()
        return False


def run_until_stopped(control: Control, directory: str, sleep: Callable[[float], object] = time.sleep) -> int:
    """Run the agent as soon as it is enrolled, and again when it wants a fresh start; return the exit code."""
    from agent.start import run

    while not control.stopped and not os.path.exists(os.path.join(directory, "token")):
        sleep(LOOK_SECONDS)
    if control.stopped:
        return 0
    try:
        while run(directory, None, control.hear) and not control.stopped:
            continue
    except AgentError as error:
        sys.stderr.write(f"watchdesk-agent: {error}\n")
        return 1
    return 0


def serve() -> int:
    """Be the service, until the manager ends it; return the exit code of the process."""
    if sys.platform != "win32":
        sys.stderr.write("watchdesk-agent: windows-service is for the service manager of Windows\n")
        return 2
    else:  # noqa: RET505 - so that mypy knows for which system this is
        import ctypes
        import threading
        from ctypes import wintypes

        from agent.state import default_directory

        directory = default_directory(os.environ)
        log = os.path.join(directory, "agent.log")
        if os.path.isdir(directory):
            if os.path.exists(log) and os.path.getsize(log) > 1 << 20:
                os.replace(log, log + ".old")
            sys.stderr = open(log, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - as long as the process
        library = ctypes.WinDLL("advapi32", use_last_error=True)
        library.RegisterServiceCtrlHandlerExW.restype = wintypes.HANDLE
        control = Control()
        code = [0]

        class Status(ctypes.Structure):
            _fields_ = [
                (name, wintypes.DWORD)
                for name in ("kind", "state", "accepted", "exit", "specific", "checkpoint", "wait")
            ]

        handler_type = ctypes.WINFUNCTYPE(
            wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p
        )
        main_type = ctypes.WINFUNCTYPE(None, wintypes.DWORD, ctypes.POINTER(wintypes.LPWSTR))
        handle: list[int] = []
        registered, ended = threading.Event(), threading.Event()

        def say(state: int) -> None:
            wait = STOP_SECONDS * 1_000 if state == STOP_PENDING else 0
            accepted = ACCEPTED if state == RUNNING else 0
            failed = SPECIFIC_ERROR if state == STOPPED and code[0] else 0
            status = Status(OWN_PROCESS, state, accepted, failed, code[0], 0, wait)
            library.SetServiceStatus(wintypes.HANDLE(handle[0]), ctypes.byref(status))

        @handler_type
        def handler(number: int, event: int, _data: object, _context: object) -> int:
            if control.take(number, event):
                say(STOP_PENDING)
            return 0

        @main_type
        def service_main(_count: int, _words: object) -> None:
            handle.append(library.RegisterServiceCtrlHandlerExW(NAME, handler, None))
            say(RUNNING)
            registered.set()
            ended.wait()

        class Entry(ctypes.Structure):
            _fields_ = [("name", wintypes.LPWSTR), ("main", main_type)]

        table = (Entry * 2)(Entry(NAME, service_main), Entry(None, main_type()))

        def dispatch() -> None:
            if not library.StartServiceCtrlDispatcherW(table):
                sys.stderr.write(f"watchdesk-agent: no service manager (error {ctypes.get_last_error()})\n")
                code[0] = 1
            registered.set()

        # The manager has a thread of its own, for the agent is made to run in the first one.
        dispatcher = threading.Thread(target=dispatch, daemon=True)
        dispatcher.start()
        registered.wait()
        if handle:
            code[0] = run_until_stopped(control, directory)
            say(STOPPED)
            ended.set()
            dispatcher.join(STOP_SECONDS)
        return code[0]
