"""What an engine asks of a base: its interpreter and what lies under it.

`SCRIPT` runs with the base's own Python (3.8 or newer, standard library only) and prints raw facts as one
line of JSON; `read` turns them into documents. The rules (which wheels fit) are here, not in the script.
"""

from __future__ import annotations

import json
from typing import Any

from replay.environment.base import Interpreter
from replay.state import Document

FLAGS = ("-I", "-B", "-c")
"""The interpreter's flags for `SCRIPT`: isolated from variables, user site and working folder; no bytecode."""

SCRIPT = r"""
import importlib.util, json, os, platform, struct, subprocess, sys, sysconfig

def lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []

def executable():
    if sys.prefix != sys.base_prefix:
        name = "python%d.%d" % sys.version_info[:2]
        below = os.path.join(sys.base_exec_prefix, "bin", name)
        if os.path.exists(below):
            return os.path.realpath(below)
    return os.path.realpath(sys.executable)

def libc():
    try:
        name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        return [name, version]
    except (AttributeError, OSError, TypeError, ValueError):
        pass
    for folder in ("/lib", "/usr/lib"):
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.startswith("ld-musl-"):
                said = subprocess.run([os.path.join(folder, name)], stderr=subprocess.PIPE).stderr.decode()
                found = [line.split()[1] for line in said.splitlines() if line.startswith("Version ")]
                return ["musl", found[0]] if found else None
    return None

def dpkg():
    files = ["/var/lib/dpkg/status"]
    more = "/var/lib/dpkg/status.d"
    files += [os.path.join(more, name) for name in sorted(os.listdir(more))] if os.path.isdir(more) else []
    found, one = {}, {}
    for path in files:
        for line in lines(path) + [""]:
            if line and not line[0].isspace():
                key, _, value = line.partition(":")
                one[key] = value.strip()
            elif not line and one:
                if one.get("Status", "installed").endswith("installed") and "Version" in one:
                    name = one.get("Package", "")
                    name = name + ":" + one.get("Architecture", "") if name in found else name
                    found[name] = one["Version"]
                one = {}
    return found

def apk():
    found, name = {}, ""
    for line in lines("/lib/apk/db/installed") or lines("/usr/lib/apk/db/installed"):
        if line.startswith("P:"):
            name = line[2:]
        elif line.startswith("V:"):
            found[name] = line[2:]
    return found

def rpm():
    if not any(os.path.isdir(path) for path in ("/var/lib/rpm", "/usr/lib/sysimage/rpm")):
        return {}
    form = "%{NAME}.%{ARCH}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n"
    try:
        said = subprocess.run(["rpm", "-qa", "--qf", form], stdout=subprocess.PIPE).stdout.decode("utf-8", "replace")
    except OSError:
        return {}
    return dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)

def pretty():
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in lines(path):
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip().strip("'\"")
    return (platform.system() + " " + platform.release()).strip()

def full(info):
    kind = info.releaselevel[0]
    return "%d.%d.%d" % info[:3] + ("" if kind == "f" else kind + str(info.serial))

print(json.dumps({
    "executable": executable(),
    "version": platform.python_version(),
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "cache_tag": sys.implementation.cache_tag,
    "magic": importlib.util.MAGIC_NUMBER.hex(),
    "platform": sysconfig.get_platform(),
    "bits": struct.calcsize("P") * 8,
    "libc": libc(),
    "machine": platform.machine(),
    "os": pretty(),
    "os_packages": dpkg() or apk() or rpm(),
    "markers": {
        "implementation_name": sys.implementation.name,
        "implementation_version": full(sys.implementation.version),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_system": platform.system(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    },
}))
"""

_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_NARROW = {"x86_64": "i686", "aarch64": "armv7l"}


class Facts(Document):
    """A base's interpreter and the operating system it stands on."""

    interpreter: Interpreter
    os: str
    machine: str
    os_packages: dict[str, str] = {}


def read(printed: str) -> Facts:
    """Return the facts that `SCRIPT` printed (its last line). Raises ValueError on anything else."""
    raw: Any = json.loads(printed.strip().splitlines()[-1] if printed.strip() else "")
    try:
        return Facts(
            interpreter=_interpreter(raw), os=raw["os"], machine=raw["machine"], os_packages=raw["os_packages"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the facts of an interpreter: {error}") from error


def platform_tags(libc: str | None, version: tuple[int, int], machine: str) -> tuple[str, ...]:
    """Return the wheel platform tags of a Linux machine, best first, plain `linux` last.

    PEP 600 (manylinux_x_y and its older names, PEP 513, 571, 599) for glibc; PEP 656 (musllinux) for musl.
    The oldest glibc counted is 2.5 on x86, 2.17 elsewhere, as in pip.
    """
    major, minor = version
    tags: list[str] = []
    if libc == "glibc":
        oldest = 5 if machine in ("x86_64", "i686") else 17
        for step in range(minor, oldest - 1, -1):
            tags.append(f"manylinux_{major}_{step}_{machine}")
            if (major, step) in _LEGACY:
                tags.append(f"{_LEGACY[major, step]}_{machine}")
    elif libc == "musl":
        tags = [f"musllinux_{major}_{step}_{machine}" for step in range(minor, -1, -1)]
    return (*tags, f"linux_{machine}")


def _interpreter(raw: Any) -> Interpreter:
    return Interpreter(
        executable=raw["executable"],
        version=raw["version"],
        abi=_abi(raw["soabi"], raw["version"]),
        cache_tag=raw["cache_tag"],
        magic=raw["magic"],
        platforms=_platforms(raw),
        # The kernel's release belongs to the host: a marker environment is the same wherever the base is.
        markers={**raw["markers"], "platform_release": "", "platform_version": ""},
    )


def _abi(soabi: str, version: str) -> str:
    """Return the ABI tag (PEP 425) of e.g. `cpython-313t-x86_64-linux-gnu`: `cp313t`."""
    parts = soabi.split("-")
    if parts[0] == "cpython" and len(parts) > 1:
        return "cp" + parts[1]
    if parts[0].startswith("pypy") and len(parts) > 1:
        return "_".join(parts[:2])
    return "cp" + "".join(version.split(".")[:2])


def _platforms(raw: Any) -> tuple[str, ...]:
    kind, _, machine = raw["platform"].partition("-")
    if kind != "linux":
        return (raw["platform"].replace("-", "_").replace(".", "_"),)
    if raw["bits"] == 32:
        machine = _NARROW.get(machine, machine)
    name, version = raw["libc"] or (None, "0.0")
    major, minor = (int(part) for part in version.split(".")[:2])
    return platform_tags(name, (major, minor), machine)
