"""Set up napari-apgan from a fresh clone, with nothing but Python and pip.

    python3 tools/start.py demo     install, then run the demonstration
    python3 tools/start.py gui      install, then open napari with the demonstration's project
    python3 tools/start.py test     install with the test tools, then run the tests

Everything goes into the folder `.venv` beside this clone; delete it to undo. What follows the verb
is handed on (`tools/start.py test tests/io -x`).
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("APGAN_VENV", ROOT / ".venv"))

#: Shared library -> Debian package. Qt and its windows need them; pip cannot bring them.
QT_LIBRARIES = {
    "EGL": "libegl1",
    "GL": "libgl1",
    "OpenGL": "libopengl0",
    "dbus-1": "libdbus-1-3",
    "xkbcommon": "libxkbcommon0",
    "xkbcommon-x11": "libxkbcommon-x11-0",
    "xcb-cursor": "libxcb-cursor0",
    "xcb-icccm": "libxcb-icccm4",
    "xcb-image": "libxcb-image0",
    "xcb-keysyms": "libxcb-keysyms1",
    "xcb-randr": "libxcb-randr0",
    "xcb-render-util": "libxcb-render-util0",
    "xcb-shape": "libxcb-shape0",
    "xcb-xinerama": "libxcb-xinerama0",
    "xcb-xkb": "libxcb-xkb1",
    "glib-2.0": "libglib2.0-0",
    "fontconfig": "libfontconfig1",
}


def run(*command: str | Path, **options: object) -> int:
    """Run a command, shown first, and return its exit code."""
    print("$", *command, flush=True)
    return subprocess.call([str(part) for part in command], cwd=ROOT, **options)  # type: ignore[arg-type]


def must(*command: str | Path) -> None:
    """Run a command and stop here when it fails."""
    code = run(*command)
    if code:
        sys.exit(code)


def system_libraries(*, screen: bool) -> None:
    """Bring the libraries that Qt needs (as root on Debian), or name them and stop."""
    if not sys.platform.startswith("linux"):
        return
    packages = [p for lib, p in QT_LIBRARIES.items() if ctypes.util.find_library(lib) is None]
    if screen and not os.environ.get("DISPLAY") and shutil.which("xvfb-run") is None:
        packages += ["xvfb", "xauth", "libgl1-mesa-dri"]
    if not packages:
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        must("apt-get", "update", "-q")
        must("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
        return
    sys.exit(
        "The windows of napari need system libraries that are not here. On Debian or Ubuntu:\n"
        f"    sudo apt-get install {' '.join(packages)}\n"
        "On other systems install the packages that hold the same libraries, then start again."
    )


def environment() -> Path:
    """Make the virtual environment if it is not there, and return its Python."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        # Without its own pip: Debian parts `ensurepip` from Python; ours installs into it instead.
        must(sys.executable, "-m", "venv", "--without-pip", VENV)
    return python


def install(python: Path, *what: str) -> None:
    """Install this clone into the environment, kept on the tested torch."""
    must(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "-c",
        ROOT / "constraints.txt",
        *what,
    )


def with_screen() -> list[str]:
    """Return what to put before a command that opens windows where there is no screen."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24"]
    return []


def test(python: Path, options: list[str]) -> int:
    """Run what was named, or everything."""
    if any(not option.startswith("-") for option in options):
        return run(*with_screen(), python, "-m", "pytest", *options)
    return test_everything(python, options)


def test_everything(python: Path, options: list[str]) -> int:
    """Run the window's tests, in a process without torch, beside all the others.

    Each has a core to itself; what the window's tests print is shown when both are through.
    """
    covered = any(option.startswith("--cov") for option in options)
    if covered:
        options = [o for o in options if not o.startswith("--cov-report")] + ["--cov-report="]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parts = {name: ROOT / f".coverage.{name}" for name in ("window", "core")}

    def surroundings(name: str) -> dict[str, str]:
        return os.environ | ({"COVERAGE_FILE": str(parts[name])} if covered else {})

    command = [*with_screen(), str(python), "-m", "pytest", "tests/ui", *options]
    print("$", *command, "&", flush=True)
    with tempfile.TemporaryFile() as said:
        window = subprocess.Popen(
            command, cwd=ROOT, stdout=said, stderr=said, env=surroundings("window")
        )
        try:
            core = run(
                python, "-m", "pytest", "--ignore=tests/ui", *options, env=surroundings("core")
            )
            window.wait()
        finally:
            if window.poll() is None:
                window.terminate()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    if covered:
        run(python, "-m", "coverage", "combine", *parts.values())
        run(python, "-m", "coverage", "report")
    return window.returncode or core


def main() -> int:
    """Do what the first word says."""
    verb, *rest = sys.argv[1:] or ["help"]
    if verb not in ("demo", "gui", "test"):
        print(__doc__)
        return 0 if verb in ("help", "-h", "--help") else 2
    if sys.version_info < (3, 11):  # noqa: UP036 (pip would say it far less clearly)
        sys.exit(f"napari-apgan needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    if verb == "demo":
        python = environment()
        install(python, str(ROOT))
        return run(python, "-m", "napari_apgan.cli", "demo", *rest)
    system_libraries(screen=verb == "test")
    python = environment()
    if verb == "gui":
        install(python, f"{ROOT}[all]")
        return run(python, "-m", "napari_apgan.cli", "demo", "--gui", *rest)
    install(python, "-e", f"{ROOT}[test]")
    os.environ.setdefault("QT_API", "pyqt6")
    return test(python, rest)


if __name__ == "__main__":
    sys.exit(main())
