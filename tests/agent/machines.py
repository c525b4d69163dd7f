"""Recorded machines: a text file of /proc, /sys and / that becomes a directory."""

import os
from pathlib import Path

RECORDED = 1_700_000_000
FIXTURES = Path(__file__).parent / "fixtures"


def unpack(name: str, to: Path) -> Path:
    """Lay a recorded machine out under a directory; there are `proc`, `sys` and `root` in it."""
    path: Path | None = None
    lines: list[str] = []

    def close() -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(line + "\n" for line in lines))
            os.utime(path, (RECORDED, RECORDED))

    for line in (FIXTURES / f"{name}.txt").read_text().split("\n")[:-1]:
        if not line.startswith("@ "):
            lines.append(line)
            continue
        close()
        where, arrow, target = line[2:].partition(" -> ")
        path, lines = (None if arrow else to / where), []
        if arrow:
            (to / where).parent.mkdir(parents=True, exist_ok=True)
            (to / where).symlink_to(target)
    close()
    return to
