"""The probes of Windows and macOS, run here, where psutil reads the same machine as /proc."""

import pytest

from agent import probes, wire
from agent.exposition import describe, metrics
from agent.probes import NoData
from agent.probes.host import Host

FOUND = {module: probes.discover_one(module) for module in probes.WINDOWS}


def read(module: str) -> dict[str, float]:
    return dict(FOUND[module].read(Host()))


@pytest.mark.parametrize("module", probes.WINDOWS)
def test_what_is_read_is_documented_and_in_notation(module: str) -> None:
    told = metrics(FOUND[module].read.__doc__ or "")
    try:
        readings = read(module)
    except NoData:
        assert module in ("power_psutil", "services_windows", "counters_windows")  # no battery, no Windows here
        return
    assert readings
    for series in readings:
        name, _ = wire.read_series(series)
        assert describe(name, told)[1] != "No help.", name


@pytest.mark.parametrize(
    ("module", "linux", "series"),
    [
        ("memory_psutil", "memory", "node_memory_MemTotal_bytes"),
        ("memory_psutil", "memory", "node_memory_SwapTotal_bytes"),
        ("cpu_psutil", "cpu", "node_boot_time_seconds"),
        ("load_psutil", "load", "node_load15"),
    ],
)
def test_it_says_what_proc_says(module: str, linux: str, series: str) -> None:
    here = dict(probes.discover("linux")[linux].read(Host()))
    assert read(module)[series] == pytest.approx(here[series], rel=0.05)


def test_names_and_labels_are_those_of_linux() -> None:
    for module, linux in (("cpu_psutil", "cpu"), ("network_psutil", "network"), ("memory_psutil", "memory")):
        here = set(dict(probes.discover("linux")[linux].read(Host())))
        known = {series.partition("{")[0] for series in here}
        assert {series.partition("{")[0] for series in read(module)} <= known, module
    assert {series for series in read("cpu_psutil") if "idle" in series} <= set(
        dict(probes.discover("linux")["cpu"].read(Host()))
    )
