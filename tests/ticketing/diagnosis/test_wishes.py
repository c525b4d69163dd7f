"""The annotation `diagnosis`: read as it was written, filled in afterwards."""

import pytest

from ticketing.diagnosis.wishes import Wish, wishes


def test_names_with_arguments() -> None:
    found = wishes("disk.top_dirs path={{ $labels.mountpoint }} count=5, memory.by_process")
    assert found == [
        Wish("disk.top_dirs", {"path": "{{ $labels.mountpoint }}", "count": "5"}),
        Wish("memory.by_process", {}),
    ]
    assert found[0].filled({"mountpoint": "/var"}) == {"path": "/var", "count": "5"}


def test_a_label_never_becomes_a_name_or_another_argument() -> None:
    (wish,) = wishes("disk.top_dirs path={{ .Labels.mountpoint }}")
    assert wish.filled({"mountpoint": "/x, log.around at=1 {{ $labels.y }}"}) == {
        "path": "/x, log.around at=1 {{ $labels.y }}"
    }


@pytest.mark.parametrize("labels", [{}, {"mountpoint": ""}])
def test_what_lacks_a_label_is_not_asked(labels: dict[str, str]) -> None:
    (wish,) = wishes("disk.top_dirs path=/{{ $labels.mountpoint }}")
    assert wish.filled(labels) is None


@pytest.mark.parametrize(
    "written",
    [
        "rm -rf /",
        "disk",
        "disk.top_dirs /var",
        "disk.top_dirs path=a path=b",
        "disk.top_dirs path={{ query `up` }}",
        "disk.top_dirs path={{ $value }}",
        "a.b, c.d, e.f, g.h, i.j",
        "Disk.Top",
        "disk.top_dirs 1=2",
    ],
)
def test_what_is_none_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wishes(written)


def test_nothing() -> None:
    assert wishes("") == []
    assert wishes(" , ") == []
