"""Whose rights a program gets that is not ours."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Account(TypedDict, total=False):
        """Arguments of subprocess.Popen."""

        user: int
        group: int
        extra_groups: list[int]


def account(user: str | None) -> Account:
    """Return what makes Popen drop root's rights; nothing where we have none to drop.

    Raises:
        OSError: there is no such user, and it must not run as root instead.
    """
    if user is None or sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd

    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise OSError(f"there is no user {user}") from None
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
