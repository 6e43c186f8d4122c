"""What numpy computes with, asked in the job's own environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.bind import Project, bind
from replay.config import load
from replay.engines.local import LocalEngine
from replay.execute import Workbench
from replay.layers.release import load as release
from replay.layers.runtime import RuntimeLayer
from replay.record import Host, RunRecord
from replay.rerun import host_differences, rerun
from replay.store.folder import FolderStore

PROJECT = """
[job]
name = "sum"
command = ["python", "sum.py"]
{limits}
[runtime]
requirements = "requirements.txt"
{runtime}
[pipeline]
paths = ["sum.py"]
[outputs.sum]
path = "out/sum.txt"
"""
JOB = "import os, numpy\nopen('out/sum.txt', 'w').write(os.environ['OMP_NUM_THREADS'])\n"


def bound(folder: Path, runtime: str = "", limits: str = "") -> tuple[Workbench, RunRecord]:
    folder.mkdir()
    (folder / "replay.toml").write_text(PROJECT.format(runtime=runtime, limits=limits))
    (folder / "requirements.txt").write_text("numpy==2.0.2\n")
    (folder / "sum.py").write_text(JOB)
    bench = Workbench(FolderStore.open(folder.parent / "store"), LocalEngine(), {})
    record = bind(bench, Project(folder, load(folder)))
    assert record.ok, bench.store.get(record.log).decode()
    return bench, record


def variables(bench: Workbench, record: RunRecord) -> dict[str, str]:
    layer = release(bench.store, record.state).layers["runtime"]
    assert isinstance(layer, RuntimeLayer)
    return layer.env


def test_a_run_says_which_blas_kernel_and_simd_path_it_computed_with(tmp_path: Path) -> None:
    bench, record = bound(tmp_path / "plain")
    assert record.host.blas is not None
    assert record.host.blas.startswith("OpenBLAS 0.3.")
    assert record.host.blas.endswith(" threads")
    assert str(record.host.simd).startswith("numpy 2.0.2: ")
    assert rerun(bench, record).record.host == record.host


def test_another_kernel_is_another_host(tmp_path: Path) -> None:
    """OpenBLAS takes the kernel of an older processor when told to: what another machine would do by itself."""
    _, here = bound(tmp_path / "here")
    _, there = bound(tmp_path / "there", runtime='set = { OPENBLAS_CORETYPE = "Prescott" }')
    assert ", kernel Prescott, " in str(there.host.blas)
    assert host_differences(here.host, there.host) == [f"blas: {here.host.blas} -> {there.host.blas}"]


def test_threads_are_pinned_in_the_state_whatever_machine_binds_it(tmp_path: Path) -> None:
    assert variables(*bound(tmp_path / "unsaid")) == {"OMP_NUM_THREADS": "4"}
    assert variables(*bound(tmp_path / "limited", limits="cpus = 1.5")) == {"OMP_NUM_THREADS": "2"}


def test_threads_that_the_user_pins_stay(tmp_path: Path) -> None:
    said = 'set = { OMP_NUM_THREADS = "3", TZ = "UTC" }'
    bench, record = bound(tmp_path / "said", runtime=said)
    assert variables(bench, record) == {"OMP_NUM_THREADS": "3", "TZ": "UTC"}
    assert str(record.host.blas).endswith("3 threads") or record.host.cores < 3


@pytest.mark.parametrize("field", ["blas", "simd"])
def test_a_run_that_was_not_asked_differs_in_nothing(field: str) -> None:
    assert host_differences(Host(), Host(**{field: "x"})) == []


def test_both_hosts_are_named_with_what_differs() -> None:
    one = Host(cpu="Xeon", cores=8, gpu="A100, driver 535.1", flags=("avx2", "sse"))
    other = Host(cpu="EPYC", cores=8, gpu=None, flags=("avx2", "avx512f", "sse"))
    said = host_differences(one, other)
    assert said == ["cpu: Xeon -> EPYC", "gpu: A100, driver 535.1 -> None", "CPU flags: avx512f"]
