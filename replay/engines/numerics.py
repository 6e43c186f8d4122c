"""How numbers are computed in a job's environment: numpy's BLAS, the kernel it chose on this processor, SIMD.

The same container on another processor may differ in the last digits, because both choose their code by what the
processor can do. `SCRIPT` runs in the job's own isolation with the job's own packages and variables, once for an
environment and a host, and only where numpy is among the packages; none of the user's code is imported.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from replay.digest import canonical, of_bytes, short
from replay.engines.base import Engine, RunSpec
from replay.errors import EngineError
from replay.record import Host, Limits
from replay.state import Document

TIMEOUT = 60
_WIDEST = 200

SCRIPT = r"""
import ctypes, json, sys
import numpy
core = getattr(numpy, "_core", None) or numpy.core
array = sys.modules[core.__name__ + "._multiarray_umath"]
has = getattr(array, "__cpu_features__", {})
used = [name for name in getattr(array, "__cpu_dispatch__", []) if has.get(name)]
paths = {line.split(None, 5)[-1].strip() for line in open("/proc/self/maps") if ".so" in line}
blas = []

def asked(library, name, kind, *arguments):
    for prefix in ("", "scipy_"):
        for suffix in ("", "64_", "_64_", "_64"):
            try:
                function = getattr(library, prefix + name + suffix)
            except AttributeError:
                continue
            function.restype = kind
            return function(*arguments)

for path in sorted(paths):
    file = path.rsplit("/", 1)[-1].lower()
    if "openblas" in file:
        library = ctypes.CDLL(path)
        words = (asked(library, "openblas_get_config", ctypes.c_char_p) or b"OpenBLAS").decode().split()
        kernel = (asked(library, "openblas_get_corename", ctypes.c_char_p) or b"unknown").decode()
        threads = asked(library, "openblas_get_num_threads", ctypes.c_int)
        blas.append("%s, kernel %s, %s threads" % (" ".join(words[:2]), kernel, threads))
    elif "mkl_rt" in file:
        library, said = ctypes.CDLL(path), ctypes.create_string_buffer(200)
        library.MKL_Get_Version_String(said, 200)
        blas.append("%s, %s threads" % (said.value.decode().strip(), library.MKL_Get_Max_Threads()))
    elif "blis" in file or file.startswith(("libblas", "libcblas")):
        blas.append(file)
simd = "numpy %s: %s" % (numpy.__version__, " ".join(used) or "baseline")
print(json.dumps({"blas": "; ".join(blas) or None, "simd": simd}))
"""


class Numerics(Document):
    """What an environment computes with on a host, in words; None where it does not say."""

    blas: str | None = None
    simd: str | None = None


def numerics(engine: Engine, spec: RunSpec, host: Host, cache: Path, *, ask: bool) -> Numerics:
    """Return what the environment of `spec` computes with on `host`, from `cache` where it was asked before.

    Where it was not and `ask` is false, or where it does not answer, nothing is known. Raises Interrupted.
    """
    known = {"base": spec.base.model_dump(), "environment": str(spec.environment or spec.image), "env": dict(spec.env)}
    key = of_bytes(canonical({**known, "host": host.model_dump(mode="json"), "script": SCRIPT}))
    file = cache / f"{short(key)}.json"
    with contextlib.suppress(OSError, ValueError):
        return Numerics.decode(file.read_bytes())
    if not ask:
        return Numerics()
    found = _asked(engine, spec)
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=cache, delete=False) as written:
        written.write(found.encode())
        written.flush()
        Path(written.name).replace(file)
    return found


def _asked(engine: Engine, spec: RunSpec) -> Numerics:
    with tempfile.TemporaryDirectory(prefix="replay-numerics-") as folder:
        asked = RunSpec(
            base=spec.base,
            command=["python", "-c", SCRIPT],
            workspace=Path(folder),
            environment=spec.environment,
            image=spec.image,
            env=spec.env,
            limits=Limits(timeout=TIMEOUT),
        )
        try:
            said = engine.run(asked)
            found = Numerics.decode(said.log.strip().splitlines()[-1]) if said.exit_code == 0 else Numerics()
        except (EngineError, ValueError, IndexError):
            return Numerics()
    return Numerics(blas=_plain(found.blas), simd=_plain(found.simd))


def _plain(text: str | None) -> str | None:
    """Return a stranger's words as a report can hold them: short, on one line."""
    return None if text is None else "".join(c for c in text if c.isprintable())[:_WIDEST]
