"""Scripts that find their Python beside themselves, wherever the tree is mounted."""

from __future__ import annotations

HEADER = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""
"""Shell reads the second line and hands over; Python reads the lines as one string (distlib's and uv's way)."""


def of_script(data: bytes) -> bytes:
    """Return a wheel's script: a first line of `#!python…` is replaced by HEADER, anything else stays."""
    if not data.startswith(b"#!python"):
        return data
    return HEADER + data.partition(b"\n")[2]


def of_entry_point(name: str, module: str, attribute: str) -> bytes:
    """Return the script that calls an entry point (`module:attribute`)."""
    from installer.scripts import Script

    _, script = Script(name, module, attribute, "console").generate("/python", "posix")
    return HEADER + script.partition(b"\n")[2]
