"""Every kind of fault planted in every layer and bisected in real executions: the culprits and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from replay.bind import Project, bind
from replay.bisect.case import Options
from replay.bisect.investigate import investigate
from replay.bisect.verdict import Verdict
from replay.config import load
from replay.engines.choose import choose
from replay.execute import Workbench
from replay.store.folder import FolderStore
from tests.planted.faults import LAYERS, Fault, change_of, lay_out

NEXT = dict(zip(LAYERS, [*LAYERS[1:], LAYERS[0]], strict=True))

EXACT: dict[str, Callable[[str], Fault]] = {
    "one": lambda layer: Fault(moves=((f"{layer}/a",),)),
    "pair in one layer": lambda layer: Fault(moves=((f"{layer}/a", f"{layer}/b"),)),
    "pair across layers": lambda layer: Fault(moves=((f"{layer}/a", f"{NEXT[layer]}/b"),)),
    "two independent": lambda layer: Fault(moves=((f"{layer}/a",), (f"{layer}/c",))),
    "gap by a crash": lambda layer: Fault(moves=((f"{layer}/a",),), crash=((f"{layer}/c", f"{layer}/a"),)),
}


def inseparable(layer: str) -> Fault:
    pair = (f"{layer}/a", f"{layer}/b")
    requires = {pair[0]: "b", pair[1]: "a"} if layer == "runtime" else None
    return Fault(moves=(pair,), together_or_crash=pair, requires=requires)


def bisected(fault: Fault, folder: Path, engine: str, base: str) -> Verdict:
    store = FolderStore.open(folder / "store")
    runs = []
    for side in ("good", "bad"):
        root = folder / side
        environ = lay_out(fault, side == "bad", root, base)
        bench = Workbench(store, choose(engine, cache=store.cache("facts")), environ)
        runs.append(bind(bench, Project(root, load(root))))
    bench = Workbench(store, choose(engine, cache=store.cache("facts")), {})
    return investigate(bench, runs[0], runs[1], Options())


def named(verdict: Verdict, fault: Fault) -> set[frozenset[str]]:
    """The culprits of a verdict, each change by the item it is; any other change stands as it is."""
    items = {change_of(f"{layer}/{item}"): f"{layer}/{item}" for layer in LAYERS for item in "abcd"}

    def item_of(change: str) -> str:
        return next((item for prefix, item in items.items() if change.startswith(prefix)), change)

    return {frozenset(item_of(change) for change in culprit.changes) for culprit in verdict.culprits}


def exact(fault: Fault, folder: Path, engine: str, base: str = "") -> None:
    verdict = bisected(fault, folder, engine, base)
    assert named(verdict, fault) == fault.culprits, (verdict.sentence, *verdict.evidence)


def told_or_left_open(fault: Fault, folder: Path, engine: str, base: str = "") -> Verdict:
    """Both halves are named as one, or nobody is: never one of them alone."""
    verdict = bisected(fault, folder, engine, base)
    assert named(verdict, fault) in (fault.culprits, set()), (verdict.sentence, *verdict.evidence)
    return verdict


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", EXACT)
def test_the_culprits_and_no_others_on_the_local_engine(kind: str, layer: str, tmp_path: Path) -> None:
    exact(EXACT[kind](layer), tmp_path, "local")


@pytest.mark.parametrize("layer", LAYERS)
def test_halves_that_crash_alone_are_one_on_the_local_engine(layer: str, tmp_path: Path) -> None:
    verdict = told_or_left_open(inseparable(layer), tmp_path, "local")
    if layer == "runtime":
        assert [culprit.relation for culprit in verdict.culprits] == ["inseparable"]


@pytest.mark.parametrize(
    "layer", [pytest.param(layer, marks=[] if layer == "pipeline" else [pytest.mark.slow]) for layer in LAYERS]
)
def test_a_coin_is_never_blamed_on_another_on_the_local_engine(layer: str, tmp_path: Path) -> None:
    verdict = bisected(Fault(flaky=f"{layer}/a"), tmp_path, "local", "")
    assert named(verdict, Fault()) in (set(), {frozenset({f"{layer}/a"})}), (verdict.sentence, *verdict.evidence)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", EXACT)
def test_the_culprits_and_no_others_in_containers(
    kind: str, layer: str, tmp_path: Path, base_image: Callable[[str], str]
) -> None:
    exact(EXACT[kind](layer), tmp_path, "docker", base_image("bookworm"))


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("layer", LAYERS)
def test_halves_that_crash_alone_are_one_in_containers(
    layer: str, tmp_path: Path, base_image: Callable[[str], str]
) -> None:
    told_or_left_open(inseparable(layer), tmp_path, "docker", base_image("bookworm"))


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("layer", LAYERS)
def test_a_coin_is_never_blamed_on_another_in_containers(
    layer: str, tmp_path: Path, base_image: Callable[[str], str]
) -> None:
    verdict = bisected(Fault(flaky=f"{layer}/a"), tmp_path, "docker", base_image("bookworm"))
    assert named(verdict, Fault()) in (set(), {frozenset({f"{layer}/a"})}), (verdict.sentence, *verdict.evidence)
