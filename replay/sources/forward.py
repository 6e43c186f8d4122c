"""Run beside a job, by the job's own Python: connections to ports of 127.0.0.1 go on to sockets in this folder.

    python -I -S forward.py COMMAND…

A file of its own that imports nothing of Replay: it is copied to where the job runs. `services.json` lists
socket, port and the variables that name the port; where the port is taken, another is used and the variables follow.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends; then tell the target."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(listener: socket.socket, path: str) -> None:
    """Connect everyone who comes with the socket at `path`."""
    while True:
        client, _ = listener.accept()
        there = socket.socket(socket.AF_UNIX)
        try:
            there.connect(path)
        except OSError:
            client.close()
            continue
        for pair in ((client, there), (there, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def listening(folder: Path, service: dict[str, Any]) -> tuple[socket.socket, str]:
    """Return a listener and the socket it forwards to; put its port into the job's variables."""
    path = str(folder / service["socket"])
    with socket.socket(socket.AF_UNIX) as trial:
        trial.connect(path)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", service["port"]))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    port = str(listener.getsockname()[1])
    for name in service["variables"]:
        if name in os.environ:
            os.environ[name] = os.environ[name].replace(str(service["port"]), port)
    return listener, path


def forward(pairs: list[tuple[socket.socket, str]], folder: Path, job: int) -> None:
    """Forward as long as the job is there, holding none of its output open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    for pair in pairs:
        threading.Thread(target=serve, args=pair, daemon=True).start()
    while folder.is_dir():
        try:
            os.kill(job, 0)
        except OSError:
            break
        time.sleep(0.1)


def main() -> None:
    """Fork the forwarder off, twice, so that the job has no child it does not know of; then become the job."""
    folder = Path(__file__).resolve().parent
    try:
        services = json.loads((folder / "services.json").read_text("utf-8"))
        pairs = [listening(folder, service) for service in services]
    except OSError as error:
        sys.exit(f"replay: the services of this job cannot be reached from where it runs ({error})")
    job = os.getpid()
    if (child := os.fork()) == 0:
        if os.fork() == 0:
            forward(pairs, folder, job)
        os._exit(0)
    os.waitpid(child, 0)
    for listener, _ in pairs:
        listener.close()
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the job's own command
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
