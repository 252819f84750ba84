"""Set up napari-apgan from a fresh clone, with nothing but Python and pip.

    python3 tools/start.py demo     install, then run the demonstration
    python3 tools/start.py gui      install, then open napari with the demonstration's project
    python3 tools/start.py test     install with the test tools, then run the tests

Everything goes into the folder `.venv` beside this clone; delete it to undo. What follows the verb
is handed on (`tools/start.py test tests/io -x`).
"""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
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


#: The tests in parts, each in a process of its own: those of the window must not meet torch. The
#: last, the longest of the window's, begins when either of the others has ended.
LOOP = "tests/ui/test_loop_end_to_end.py"
PARTS = {
    "core": ["--ignore=tests/ui"],
    "window": ["tests/ui", f"--ignore={LOOP}"],
    "loop": [LOOP],
}
NO_TESTS = 5  # pytest's code where the options leave none


def test_everything(python: Path, options: list[str]) -> int:
    """Run all parts; what covers them is put together at the end."""
    covered = any(option.startswith("--cov") for option in options)
    if covered:
        options = [o for o in options if not o.startswith("--cov-report")] + ["--cov-report="]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    codes = run_parts(python, options)
    if covered:
        run(python, "-m", "coverage", "combine", *(ROOT / data_of(name) for name in PARTS))
        run(python, "-m", "coverage", "report")
    failed = [code for code in codes if code not in (0, NO_TESTS)]
    return failed[0] if failed else min(codes)


def data_of(part: str) -> str:
    """Return the name of a part's coverage file."""
    return f".coverage.{part}"


def run_parts(python: Path, options: list[str]) -> list[int]:
    """Run the parts two at a time, which have a core each, and return their exit codes.

    What the core's tests print is shown at once, what the window's do when all are through.
    """
    waiting, codes = list(PARTS), []
    running: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        said = {n: stack.enter_context(tempfile.TemporaryFile()) for n in PARTS if n != "core"}
        try:
            while waiting or running:
                while waiting and len(running) < 2:
                    name = waiting.pop(0)
                    command = [str(python), "-m", "pytest", *PARTS[name], *options]
                    if name in said:  # of the window
                        command = with_screen() + command
                    print("$", *command, "&", flush=True)
                    there, out = os.environ | {"COVERAGE_FILE": data_of(name)}, said.get(name)
                    running.append(
                        subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=there)
                    )
                time.sleep(0.2)
                codes += [p.returncode for p in running if p.poll() is not None]
                running = [p for p in running if p.returncode is None]
        finally:
            for process in running:
                process.terminate()
        for file in said.values():
            file.seek(0)
            sys.stdout.buffer.write(file.read())
            sys.stdout.flush()
    return codes


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
