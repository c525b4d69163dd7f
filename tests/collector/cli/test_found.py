"""What a person sees of a result on a terminal."""

import pytest

from collector.cli.found import MAX_ROWS, show_found


def test_values_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    processes = [{"pid": 412, "name": "mysqld", "parents": ["systemd (1)"], "unit": None}, {"pid": 7, "name": "sh"}]
    show_found({"total": 25276502016, "share": 0.25, "talks": [], "size": {"used": 3}, "processes": processes})
    assert capsys.readouterr().out.splitlines() == [
        "",
        "total: 25276502016",
        "share: 0.25",
        "talks: ",
        "size: used 3",
        "",
        "processes:",
        "PID  NAME    PARENTS",
        "412  mysqld  systemd (1)",
        "7    sh",
    ]


def test_long_tables_and_cells_are_cut_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_found({"rows": [{"name": "x" * 500}] * (MAX_ROWS + 2)})
    out = capsys.readouterr().out
    assert out.count("…\n") == MAX_ROWS
    assert "… and 2 more; --json has them all." in out
    assert "x" * 61 not in out


def test_a_terminal_obeys_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_found({"a\x1b]0;": "b\x1b[2J\r\n", "rows": [{"name\x07": "\u202egnp.exe"}]})
    out = capsys.readouterr().out
    assert out.splitlines() == ["", "a: b ", "", "rows:", "NAME", "gnp.exe"]
