"""What a monitor tells of itself: VESA's E-EDID 1.4, the first block of 128 bytes."""

from __future__ import annotations

import struct

HEADER = b"\x00\xff\xff\xff\xff\xff\xff\x00"
BLOCK = 128
DESCRIPTORS = (54, 72, 90, 108)
NAME, SERIAL = 0xFC, 0xFF


def monitor(data: bytes, *, with_serial: bool = True) -> dict[str, object]:
    """Return vendor, name, year, inches and serial number, as far as they are told; nothing if it is no EDID."""
    if len(data) < BLOCK or data[:8] != HEADER or sum(data[:BLOCK]) % 256:
        return {}
    letters = struct.unpack_from(">H", data, 8)[0]
    found: dict[str, object] = {
        "vendor": "".join(chr(64 + (letters >> shift & 31)) for shift in (10, 5, 0)),
        "model": f"{struct.unpack_from('<H', data, 10)[0]:04x}",
        "year": 1990 + data[17],
    }
    width, height = data[21], data[22]
    if width and height:
        found["inches"] = round((width**2 + height**2) ** 0.5 / 2.54, 1)
    number = struct.unpack_from("<I", data, 12)[0]
    if with_serial and number:
        found["serial"] = str(number)
    for at in DESCRIPTORS:
        if data[at : at + 3] == b"\0\0\0":
            text = data[at + 5 : at + 18].split(b"\n")[0].decode("cp437").strip()
            if data[at + 3] == NAME:
                found["name"] = text
            elif data[at + 3] == SERIAL and with_serial:
                found["serial"] = text
    return found
