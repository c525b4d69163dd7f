"""Lays out the map of a site: what hangs on what, as a tree from left to right; the template draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ticketing.web.sources import DeviceView, LinkView

ROW: Final = 34.0  # from one device to the one below it
COLUMN: Final = 250.0  # from a device to what hangs on it
WIDTH, HEIGHT = 180.0, 26.0  # of a device's box
_MARGIN: Final = 8.0
_CHARACTERS: Final = 24  # that a box has room for
_PORT_CHARACTERS: Final = 11


@dataclass(frozen=True, slots=True)
class Box:
    """A device on the map; coordinates are pixels."""

    device: DeviceView
    link: LinkView | None
    x: float
    y: float
    text: str  # its name, as far as there is room
    port: str  # where it is plugged in, as far as there is room


@dataclass(frozen=True, slots=True)
class Drawing:
    """The map of a site: the boxes, and lines between them as path data with the class of their device."""

    width: float = 0.0
    height: float = 0.0
    boxes: Sequence[Box] = field(default_factory=list)
    lines: Sequence[tuple[str, Box]] = field(default_factory=list)


def draw(devices: Sequence[DeviceView], links: Mapping[int, LinkView]) -> Drawing:
    """Return the map of some devices; one whose parent is not among them stands at the left."""
    known = {one.id: one for one in devices}
    below: dict[int, list[DeviceView]] = {}
    for one in sorted(devices, key=_rank):
        link = links.get(one.id)
        parent = link.parent if link and link.parent in known and not _circle(one.id, links) else 0
        below.setdefault(parent, []).append(one)
    # Those on which something hangs come first, then what hangs on nothing.
    roots = sorted(below.get(0, []), key=lambda one: (one.id not in below, _rank(one)))
    places = _places(roots, below)
    boxes = {number: _box(known[number], links.get(number), *place) for number, place in places.items()}
    lines = [
        (_line(boxes[parent], boxes[one.id]), boxes[one.id])
        for parent, children in below.items()
        if parent
        for one in children
    ]
    width = max((box.x for box in boxes.values()), default=0.0) + WIDTH + _MARGIN
    height = max((box.y for box in boxes.values()), default=0.0) + HEIGHT + _MARGIN
    return Drawing(width, height, sorted(boxes.values(), key=lambda box: (box.y, box.x)), lines)


def _rank(device: DeviceView) -> tuple[int, str]:
    return ("network", "server", "ups", "printer", "desktop").index(device.klass), device.name


def _circle(number: int, links: Mapping[int, LinkView]) -> bool:
    seen = {number}
    while (link := links.get(number)) is not None:
        number = link.parent
        if number in seen:
            return True
        seen.add(number)
    return False


def _places(roots: Sequence[DeviceView], below: Mapping[int, Sequence[DeviceView]]) -> dict[int, tuple[float, float]]:
    """Return (x, y) of each device: a parent is beside the first of what hangs on it, a leaf below the one before."""
    places: dict[int, tuple[float, float]] = {}
    bottom = _MARGIN
    waiting = [(one.id, 0, False) for one in reversed(roots)]
    while waiting:
        number, depth, done = waiting.pop()
        children = [one.id for one in below.get(number, ())]
        x = _MARGIN + depth * COLUMN
        if not children:
            places[number] = x, bottom
            bottom += ROW
        elif done:
            places[number] = x, places[children[0]][1]
        else:
            waiting.append((number, depth, True))
            waiting += [(child, depth + 1, False) for child in reversed(children)]
    return places


def _box(device: DeviceView, link: LinkView | None, x: float, y: float) -> Box:
    port = link.port if link else ""
    if len(port) > _PORT_CHARACTERS:  # its number is at the end
        port = "…" + port[1 - _PORT_CHARACTERS :]
    name = device.name if len(device.name) <= _CHARACTERS else device.name[: _CHARACTERS - 1] + "…"
    return Box(device, link, x, y, name, port)


def _line(parent: Box, child: Box) -> str:
    """Return the path from the right of a parent to the left of a child."""
    x, y, end, low = parent.x + WIDTH, parent.y + HEIGHT / 2, child.x, child.y + HEIGHT / 2
    middle = x + 20
    return f"M{x:g} {y:g}H{middle:g}V{low:g}H{end:g}"
