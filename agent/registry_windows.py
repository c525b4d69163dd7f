"""Reading HKEY_LOCAL_MACHINE; elsewhere than on Windows it is empty."""

from __future__ import annotations

import sys

MAX_KEYS = 5_000
MAX_VALUES = 200


def below(path: str) -> list[str]:
    """Return the names of the keys right below a key."""
    found: list[str] = []
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                while len(found) < MAX_KEYS:
                    found.append(winreg.EnumKey(key, len(found)))
        except OSError:  # there is no such key, or no further name
            return found
    return found


def values(path: str) -> dict[str, object]:
    """Return the values of a key."""
    found: dict[str, object] = {}
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                for number in range(MAX_VALUES):
                    name, value, _ = winreg.EnumValue(key, number)
                    found[name] = value
        except OSError:
            return found
    return found


def tree(path: str) -> dict[str, dict[str, object]]:
    """Return the values of a key under "", and of each key right below under its name."""
    return {"": values(path), **{name: values(f"{path}\\{name}") for name in below(path)}}
