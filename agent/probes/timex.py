"""How well the clock is kept: what the kernel knows of its own error, from adjtimex(2)."""

from __future__ import annotations

import struct

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.probes.host import Host

# struct timex: modes, offset, freq, maxerror, esterror, status, constant, precision, tolerance, time, tick, ppsfreq,
# jitter, shift, stabil, jitcnt, calcnt, errcnt, stbcnt, tai
TIMEX = struct.Struct("@Illlli3l2l3li5li44x")
TIME_ERROR = 5
STA_NANO = 0x2000
PARTS_PER_MILLION = 65_536e6  # frequencies are parts per million in units of 2^-16


@probe("timex", blocks=False)
def timex(host: Host) -> Iterator[tuple[str, float]]:
    """adjtimex(2), which only reads here.

    Metrics:
        node_timex_sync_status (gauge): Is clock synchronized to a reliable server (1 = yes, 0 = no).
        node_timex_offset_seconds (gauge): Time offset in between local system and reference clock.
        node_timex_pps_jitter_total (counter): Pulse per second count of jitter limit exceeded events.
        node_timex_pps_calibration_total (counter): Pulse per second count of calibration intervals.
        node_timex_pps_error_total (counter): Pulse per second count of calibration errors.
        node_timex_pps_stability_exceeded_total (counter): Pulse per second count of stability limit exceeded events.
        node_timex_* (gauge): Value of the name of adjtimex(2).
    """
    ask = host.memory.get("timex")
    if ask is None:
        ask = host.memory["timex"] = _libc()
    state, told = ask()  # type: ignore[operator]
    yield from readings(state, told)


def readings(state: int, told: bytes) -> Iterator[tuple[str, float]]:
    """Yield what a state and a struct timex tell.

    Raises:
        NoData: this process may not ask.
    """
    if state < 0:
        raise NoData("adjtimex")
    (_, offset, freq, maxerror, esterror, status, constant, _, _, _, _, tick, ppsfreq, jitter, shift, stabil, jitcnt,
     calcnt, errcnt, stbcnt, tai) = TIMEX.unpack(told)  # fmt: skip
    fraction = 1e9 if status & STA_NANO else 1e6
    yield "node_timex_sync_status", float(state != TIME_ERROR)
    yield "node_timex_offset_seconds", offset / fraction
    yield "node_timex_frequency_adjustment_ratio", 1 + freq / PARTS_PER_MILLION
    yield "node_timex_maxerror_seconds", maxerror / 1e6
    yield "node_timex_estimated_error_seconds", esterror / 1e6
    yield "node_timex_status", float(status)
    yield "node_timex_loop_time_constant", float(constant)
    yield "node_timex_tick_seconds", tick / 1e6
    yield "node_timex_pps_frequency_hertz", ppsfreq / PARTS_PER_MILLION
    yield "node_timex_pps_jitter_seconds", jitter / fraction
    yield "node_timex_pps_shift_seconds", float(shift)
    yield "node_timex_pps_stability_hertz", stabil / PARTS_PER_MILLION
    yield "node_timex_pps_jitter_total", float(jitcnt)
    yield "node_timex_pps_calibration_total", float(calcnt)
    yield "node_timex_pps_error_total", float(errcnt)
    yield "node_timex_pps_stability_exceeded_total", float(stbcnt)
    yield "node_timex_tai_offset_seconds", float(tai)


def _libc() -> Callable[[], tuple[int, bytes]]:
    """Return adjtimex as a function that gives (state of the clock or -1, struct timex).

    Python does not have it. `_ctypes` without the module `ctypes` around it takes 0.6 MB less, half of all.
    """
    try:
        import _ctypes
    except ImportError:  # a Python that was built without it
        raise NoData("_ctypes") from None

    class Char(_ctypes._SimpleCData):  # type: ignore[type-arg]  # noqa: SLF001
        _type_ = "c"

    function = _ctypes.dlsym(_ctypes.dlopen(None, 0), "adjtimex")  # type: ignore[arg-type]  # None is this process
    buffer = (Char * TIMEX.size)()  # all zeros: no mode, so nothing is set

    def ask() -> tuple[int, bytes]:
        return _ctypes.call_function(function, (buffer,)), bytes(buffer)

    return ask
