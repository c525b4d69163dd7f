"""Who may write a policy file on Windows: SYSTEM, the administrators, TrustedInstaller, and nobody else.

Written from Microsoft's documentation (GetNamedSecurityInfo, ConvertSecurityDescriptorToStringSecurityDescriptor, the
Security Descriptor Definition Language); the reading of the text is tested on recorded descriptors, the calls were
never run on Windows.
"""

from __future__ import annotations

import ctypes
import re

TRUSTED = {
    "SY", "BA", "S-1-5-18", "S-1-5-32-544",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
}  # fmt: skip
WRITE_BITS = 0x000D0156 | 0x50000000  # write, append, attributes, delete (child), DAC, owner; generic write and all
OWNER_AND_DACL = 0x1 | 0x4
FILE_OBJECT = 1
_ENTRY = re.compile(r"\(([^;]*);([^;]*);([^;]*);[^;]*;[^;]*;([^;)]*)[^)]*\)")
_OWNER = re.compile(r"O:([A-Z]{2}|S-[0-9-]+)(?=[A-Z]:|$)")


def check_owner_windows(path: str) -> None:
    """See to it that nobody but the system and administrators can write the file.

    Raises:
        PolicyError: somebody can, or it cannot be known.
    """
    from agent.diagnosis.policy import PolicyError

    wrong = distrust(descriptor(path))
    if wrong:
        raise PolicyError(wrong)


def distrust(sddl: str) -> str:
    """Return why a security descriptor (SDDL) is not to be trusted, "" if it is."""
    owner = _OWNER.search(sddl)
    if owner is None or owner.group(1) not in TRUSTED:
        return f"it belongs to {owner.group(1) if owner else 'nobody'}; it must be the administrators'"
    if "D:" not in sddl or "D:NO_ACCESS_CONTROL" in sddl:
        return "everybody may write it"
    for kind, _, rights, who in _ENTRY.findall(sddl.partition("D:")[2].partition("S:")[0]):
        if kind in ("A", "XA") and who not in TRUSTED and _may_write(rights):
            return f"{who} may write it; only administrators may"
    return ""


def _may_write(rights: str) -> bool:
    if rights.startswith("0x"):
        return bool(int(rights, 16) & WRITE_BITS)
    pairs = {rights[at : at + 2] for at in range(0, len(rights), 2)}
    return bool(pairs & {"GA", "GW", "FA", "FW", "WD", "WO", "SD", "DC", "DT", "WP"})


def descriptor(path: str) -> str:
    """Return the owner and the list of rights of a file, as text.

    Raises:
        OSError: it cannot be read.
    """
    library = ctypes.WinDLL("advapi32")  # type: ignore[attr-defined]  # Windows alone
    found, text = ctypes.c_void_p(), ctypes.c_wchar_p()
    status = library.GetNamedSecurityInfoW(
        ctypes.c_wchar_p(path), FILE_OBJECT, OWNER_AND_DACL, None, None, None, None, ctypes.byref(found)
    )
    if status:
        raise OSError(status, f"the rights of {path} cannot be read")
    if not library.ConvertSecurityDescriptorToStringSecurityDescriptorW(
        found, 1, OWNER_AND_DACL, ctypes.byref(text), None
    ):
        raise OSError(f"the rights of {path} cannot be told")
    return text.value or ""
