"""The twelve wheels of the bench, fetched once, and an index of them on this machine."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.utils import parse_wheel_filename
from rounds import run, say

WANTED = {
    "joblib": "1.4.2",
    "lightgbm": "4.5.0",
    "numpy": "2.0.2",
    "pandas": "2.2.3",
    "pyarrow": "18.0.0",
    "python-dateutil": "2.9.0.post0",
    "pytz": "2024.2",
    "scikit-learn": "1.5.2",
    "scipy": "1.14.1",
    "six": "1.16.0",
    "threadpoolctl": "3.5.0",
    "tzdata": "2024.2",
}
SWAPPED = {"pandas": "2.2.2"}
OTHER = {"six": "1.17.0"}
"""A package beside the swapped one: with it the swapped wheel is known, its combination with the others is not."""
TOOLS = ("pip", "uv")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


@dataclass(frozen=True)
class Wheelhouse:
    """A folder of wheels (`wheels`), and the tools that the peers' base is given (`tools`)."""

    folder: Path
    hashes: dict[tuple[str, str], list[str]]

    @property
    def wheels(self) -> Path:
        """The wheels of the job."""
        return self.folder / "wheels"

    @property
    def tools(self) -> Path:
        """The wheels of pip and uv."""
        return self.folder / "tools"

    def requirements(self, *changes: dict[str, str], note: str = "") -> str:
        """Return hash-locked requirements; `note` makes the same ones another text, which a builder has not seen."""
        wanted = dict(WANTED)
        for change in changes:
            wanted |= change
        lines = [
            f"{name}=={version} " + " ".join(f"--hash=sha256:{digest}" for digest in self.hashes[name, version])
            for name, version in wanted.items()
        ]
        return "\n".join([f"# {note}", *lines, ""])

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the simple API (PEP 503) of the wheels on this machine; yield its address."""
        _write_pages(self)
        handler = partial(_Silent, directory=str(self.folder))
        with _Server(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/simple"
            finally:
                server.shutdown()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: uv hangs up as soon as it has read a wheel's metadata."""


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def wheelhouse(folder: Path) -> Wheelhouse:
    """Fetch what is needed with pip, as it is configured here."""
    folder.mkdir(parents=True)
    say("fetching the wheels, once")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    pip += ["--python-version", "3.11"]
    pip += [word for platform in PLATFORMS for word in ("--platform", platform)]
    for versions in (WANTED, SWAPPED | OTHER):
        pins = [f"{name}=={version}" for name, version in versions.items()]
        run(folder, *pip, "-d", "wheels", *pins)
    run(folder, *pip, "-d", "tools", *TOOLS)
    hashes: dict[tuple[str, str], list[str]] = {}
    for wheel in sorted((folder / "wheels").iterdir()):
        name, version, *_ = parse_wheel_filename(wheel.name)
        hashes.setdefault((name, str(version)), []).append(hashlib.sha256(wheel.read_bytes()).hexdigest())
    return Wheelhouse(folder, hashes)


def _write_pages(house: Wheelhouse) -> None:
    for wheel in sorted(house.wheels.iterdir()):
        name = parse_wheel_filename(wheel.name)[0]
        page = house.folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        with page.open("a") as file:
            file.write(f'<a href="/wheels/{wheel.name}#sha256={digest}">{wheel.name}</a>\n')
