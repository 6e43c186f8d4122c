"""The machine that Replay runs on, as a run record holds it."""

from __future__ import annotations

import functools
import os
import platform
import re
from pathlib import Path

from replay.record import Host

_PROC = Path("/proc")


@functools.cache
def host() -> Host:
    """Return this machine's facts (read once per process); fields stay empty where the system does not say."""
    cpu = _fields("cpuinfo")
    names = ("model name", "Model", "cpu model", "uarch")
    flags = cpu.get("flags") or cpu.get("Features") or ""
    return Host(
        machine=platform.machine(),
        kernel=f"{platform.system()} {platform.release()}",
        cpu=next((cpu[name] for name in names if name in cpu), platform.processor()),
        flags=tuple(sorted(set(flags.split()))),
        cores=os.cpu_count() or 0,
        memory=_memory(),
        gpu=_gpu(),
    )


def _fields(name: str) -> dict[str, str]:
    """Return the first value of each `key: value` line of a file under /proc."""
    found: dict[str, str] = {}
    try:
        text = (_PROC / name).read_text(errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def _gpu() -> str | None:
    """Return the NVIDIA cards and the version of their kernel driver as it lists them, None where there is none."""
    cards = sorted((_PROC / "driver/nvidia/gpus").glob("*/information"))
    names = [_fields(str(card.relative_to(_PROC))).get("Model", "NVIDIA") for card in cards]
    driver = re.search(r"\s(\d+\.[\d.]+)\s", _fields("driver/nvidia/version").get("NVRM version", ""))
    return ", ".join([*names, f"driver {driver[1]}"] if driver and names else names) or None
