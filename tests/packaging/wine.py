"""Windows for tests: Wine, and CPython for it from a wheel that carries one.

python.org's embeddable package is what we ship with; here its place is taken by the interpreter's library out of
panda3d's wheel, a launcher of three lines, and this machine's own standard library. psutil wants python3.dll, which is
made to pass on to it.
"""

import io
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

# Where nobody gave it files for in- and output, Wine has some that cannot be used, and Windows none: here it gets NUL.
LAUNCHER = """\
#include <windows.h>
typedef int (*Main)(int, wchar_t **);
int wmain(int argc, wchar_t **argv) {
#ifdef WITHOUT_CONSOLE
    static const DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    STARTUPINFOW given;
    GetStartupInfoW(&given);
    if (given.cbReserved2 >= sizeof(int)) *(int *) given.lpReserved2 = 0;
    for (int i = 0; i < 3; i++)
        SetStdHandle(names[i], CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, 3, NULL, OPEN_EXISTING, 0, NULL));
#endif
    return ((Main) GetProcAddress(LoadLibraryW(L"python311.dll"), "Py_Main"))(argc, argv);
}
"""
COMPILER = "x86_64-w64-mingw32-gcc"
STANDARD_LIBRARY = Path("/usr/lib/python3.11")
LEFT_OUT = ("__pycache__", "test", "idlelib", "lib-dynload", "dist-packages", "site-packages", "config-3.11")


def wheels(folder: Path) -> tuple[Path, Path]:
    """Fetch the wheels of panda3d and psutil for Windows; return their files."""
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pinned = (Path(__file__).parents[2] / "requirements/agent.txt").read_text()
    pin = re.search(r"^psutil==[\d.]+", pinned, re.MULTILINE)
    assert pin is not None
    for wanted in ("panda3d==1.10.16", pin.group()):
        command = [*fetch, "--platform", "win_amd64", "--python-version", "311", "--dest", str(folder), wanted]
        subprocess.run(command, check=True, timeout=600)
    return next(folder.glob("panda3d*")), next(folder.glob("psutil*"))


def interpreter(panda: Path, psutil: Path, folder: Path) -> Path:
    """Make what stands for python.org's embeddable package; return the zip."""
    parts = folder / "parts"
    parts.mkdir()
    with zipfile.ZipFile(panda) as wheel:
        for name in wheel.namelist():
            if name.startswith("deploy_libs/") and name.endswith((".dll", ".pyd")) and "/t" not in name:
                (parts / Path(name).name).write_bytes(wheel.read(name))
    (folder / "launcher.c").write_text(LAUNCHER)
    build = [COMPILER, "-municode", "-s", str(folder / "launcher.c")]
    for name, kind in (("python.exe", ["-mconsole"]), ("pythonw.exe", ["-mwindows", "-DWITHOUT_CONSOLE"])):
        subprocess.run([*build, *kind, "-o", str(parts / name)], check=True)
    _forwarder(psutil, folder, parts / "python3.dll")
    packed = folder / "python-embed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for part in parts.iterdir():
            archive.write(part, part.name)
        archive.writestr("python311.zip", _library())
        archive.writestr("python311._pth", "python311.zip\n.\n")
    return packed


def _forwarder(psutil: Path, folder: Path, made: Path) -> None:
    with zipfile.ZipFile(psutil) as wheel:
        (folder / "psutil.pyd").write_bytes(wheel.read("psutil/_psutil_windows.pyd"))
    dump = ["x86_64-w64-mingw32-objdump", "-p", str(folder / "psutil.pyd")]
    told = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    imports = told.partition("DLL Name: python3.dll")[2].partition("DLL Name:")[0]
    names = sorted(set(re.findall(r"\b_?Py\w+", imports)))
    (folder / "python3.def").write_text(
        "LIBRARY python3\nEXPORTS\n" + "".join(f"{name} = python311.{name}\n" for name in names)
    )
    (folder / "empty.c").write_text("")
    command = [COMPILER, "-shared", "-s", str(folder / "empty.c"), str(folder / "python3.def"), "-o", str(made)]
    subprocess.run(command, check=True)


def _library() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(STANDARD_LIBRARY.rglob("*.py")):
            place = path.relative_to(STANDARD_LIBRARY)
            if not set(place.parts) & set(LEFT_OUT):
                archive.write(path, place)
    return packed.getvalue()


@dataclass(frozen=True)
class Windows:
    """A Wine of its own below a folder."""

    folder: Path

    def run(self, *words: str) -> tuple[int, str]:
        """Run a program to its end; return its exit code and what it said."""
        # A file, not a pipe: Wine's server, which the first program starts, keeps what it was given open.
        with (self.folder.parent / "said").open("w+b") as said:
            done = subprocess.run(
                ["wine", *words], env=self._environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                timeout=300, check=False,
            )  # fmt: skip
            said.seek(0)
            return done.returncode, said.read().decode("utf-8", "replace")

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "WINEPREFIX": str(self.folder), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree="}

    def close(self) -> None:
        """End all that runs in it."""
        for word in ("--kill", "--wait"):
            subprocess.run(["wineserver", word], env=self._environment, check=False, timeout=60)

    @property
    def drive(self) -> Path:
        """Where drive C: is."""
        return self.folder / "drive_c"
