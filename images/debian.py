"""The tree of a base, out of Debian's packages: mmdebstrap makes it, as root or in a name space of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from images.recipe import BuildError, Recipe, ToolMissing

HOOKS = Path("/usr/share/mmdebstrap/hooks")

# Bytecode is made anew, with a fixed hash seed: before Python 3.11 the order of a set in it hangs on that seed.
# Unchecked, because neither sources nor times ever change in an image (PEP 552).
CUSTOMIZE = """set -eu
for locale in {locales}; do
    chroot "$1" localedef --no-archive --no-hard-links -i "${{locale%.*}}" -f "${{locale#*.}}" "$locale"
done
ln -s /usr/bin/python3 "$1/usr/local/bin/python"
rm -rf "$1"/etc/apt/sources.list.d/*
echo "deb {mirror} {suite} main" > "$1/etc/apt/sources.list"
find "$1/usr" -name __pycache__ -type d -prune -exec rm -rf {{}} +
chroot "$1" env -i PATH=/usr/bin PYTHONHASHSEED=0 python3 -S -m compileall -q -f -j 1 \\
    --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python{python}
"""


def bootstrap(recipe: Recipe, output: Path) -> None:
    """Write the tree of a recipe as a tar archive, its log beside it. Raises BuildError."""
    if not shutil.which("mmdebstrap"):
        raise ToolMissing(
            f"the base {recipe.name} cannot be built: mmdebstrap is missing",
            "it is not installed, or this is not Debian or Ubuntu",
            "apt-get install mmdebstrap debian-archive-keyring, or pin a base from a registry (images/README.md)",
        )
    print(f"building the base {recipe.name} from Debian's packages (about half a minute)", file=sys.stderr, flush=True)
    customize = CUSTOMIZE.format(
        locales=" ".join(recipe.locales), mirror=recipe.mirror, suite=recipe.suite, python=recipe.python
    )
    command = [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=minbase",
        "--format=tar",
        f"--include={','.join(recipe.packages)}",
        *(f"--aptopt={option}" for option in _apt_options()),
        *(f"--hook-dir={HOOKS / hook}" for hook in recipe.hooks),
        f"--customize-hook={customize}",
        recipe.suite,
        "-",
        f"deb {_mirror(recipe.mirror)} {recipe.suite} main",
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(recipe.source_date_epoch), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    log = output.with_suffix(".log")
    with output.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        try:
            code = process.wait()
        except BaseException:
            process.terminate()  # it unmounts and removes its own tree
            process.wait()
            raise
    if code:
        lines = [
            line for line in log.read_text("utf-8", "replace").splitlines() if line.startswith(("E:", "W:", "Err"))
        ]
        cause = "; ".join(lines[:4]) or "no error message"
        raise BuildError(f"mmdebstrap failed on {recipe.suite}", cause, "check the mirror, the network and free space")


def _mirror(wanted: str) -> str:
    """Return the machine's own Debian mirror in place of deb.debian.org, and any other mirror as it is."""
    if wanted != "http://deb.debian.org/debian" or not shutil.which("apt-get"):
        return wanted
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((uri.rstrip("/") for uri in listed if re.fullmatch(r"https?://\S+/debian/?", uri)), wanted)


def _apt_options() -> list[str]:
    """Return the machine's proxy settings for apt, which mmdebstrap does not read itself."""
    if not shutil.which("apt-config"):
        return []
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return re.findall(r'^(Acquire::https?::Proxy(?:::[^ ]+)? "[^"]+");$', dumped, re.MULTILINE)
