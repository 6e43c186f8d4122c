"""Files that share their blocks with the one they were made from, where the file system can: btrfs, XFS, bcachefs.

A clone takes no room and no time, is what the file was at one moment, and stays so when the file is written to.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterable
from pathlib import Path

from replay.store.pieces import Part, read_part

_FICLONE = 0x40049409
"""linux/fs.h; see ioctl_ficlone(2)."""


def clone(source: int, target: int) -> bool:
    """Make the empty file `target` a clone of `source`, both open; return whether that could be."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy_new(file: Path, parts: Iterable[Part], write: Callable[[bytes], object]) -> None:
    """Write the bytes of a file that lie in no blob: of its `parts` those without a name. Raises OSError."""
    position = 0
    for part in parts:
        if not part.blob:
            for block in read_part(file, part._replace(offset=position)):
                write(block)
        position += part.length
