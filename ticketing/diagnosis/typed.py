"""A diagnosis as a person types it: `disk.top_dirs path=/var/log count=5`."""

from __future__ import annotations

import re
from typing import Final

from ticketing.errors import Refused

MAX_TYPED: Final = 1_200
_NAME: Final = re.compile(r"\s*([a-z][a-z0-9_.]{0,63})\s*(.*)", re.DOTALL)
_ARGUMENT: Final = re.compile(r"([a-z_]\w{0,31})=(.*?)(?=\s+[a-z_]\w{0,31}=|\s*$)", re.DOTALL)


def typed(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the arguments; a value may hold spaces. Raises Refused if it is not written so."""
    found = _NAME.fullmatch(text[:MAX_TYPED])
    if found is None:
        raise Refused("that is no diagnosis; it is written like disk.top_dirs path=/var")
    name, rest = found[1], found[2]
    arguments = dict(_ARGUMENT.findall(rest))
    if _ARGUMENT.sub("", rest).strip():
        raise Refused("the arguments are written name=value")
    return name, arguments
