from __future__ import annotations

import subprocess
import sys

import packaging.markers
import packaging.tags
import pytest

from replay.engines import facts
from replay.engines.host import host
from replay.engines.interpreters import facts_of, find


def test_agrees_with_packaging_about_this_interpreter() -> None:
    told = facts_of(sys.executable).interpreter
    portable = [tag for tag in packaging.tags.platform_tags() if not tag.startswith("linux_")]
    assert list(told.platforms) == [*portable, f"linux_{told.markers['platform_machine']}"]
    assert told.abi == next(packaging.tags.cpython_tags()).abi
    markers = dict(packaging.markers.default_environment())
    assert told.markers == {**markers, "platform_release": "", "platform_version": ""}
    assert told.cache_tag == sys.implementation.cache_tag


def test_in_a_virtual_environment_the_base_is_told(tmp_path: object) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", f"{tmp_path}/venv"], check=True)
    told = facts_of(f"{tmp_path}/venv/bin/python").interpreter
    assert told.executable == facts_of(sys.executable).interpreter.executable
    assert str(tmp_path) not in told.executable


@pytest.mark.parametrize(
    ("libc", "version", "machine", "tags"),
    [
        (
            "musl",
            (1, 2),
            "x86_64",
            ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "musllinux_1_0_x86_64", "linux_x86_64"),
        ),
        (
            "glibc",
            (2, 18),
            "aarch64",
            ("manylinux_2_18_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"),
        ),
        (None, (0, 0), "riscv64", ("linux_riscv64",)),
    ],
)
def test_platform_tags(libc: str | None, version: tuple[int, int], machine: str, tags: tuple[str, ...]) -> None:
    assert facts.platform_tags(libc, version, machine) == tags


def test_old_manylinux_names_end_with_manylinux1() -> None:
    tags = facts.platform_tags("glibc", (2, 36), "x86_64")
    assert tags[0] == "manylinux_2_36_x86_64"
    assert tags[-3:] == ("manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64")
    assert tags.index("manylinux2014_x86_64") == tags.index("manylinux_2_17_x86_64") + 1


@pytest.mark.parametrize("printed", ["", "no json", "{}", "[]", '{"platform": 1}'])
def test_anything_else_is_refused(printed: str) -> None:
    with pytest.raises(ValueError):
        facts.read(printed)


def test_any_patch_release_of_the_wanted_version_will_do() -> None:
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}.99"
    assert find(wanted).interpreter.version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")


def test_this_machine_tells_what_it_is() -> None:
    here = host()
    assert here.cores > 0
    assert here.memory > 100
    assert here.kernel
    assert list(here.flags) == sorted(here.flags)
