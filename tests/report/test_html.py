"""The HTML report: every fact is in it, nothing in it is alive, and hostile names stay text."""

from __future__ import annotations

import pytest

from replay.bisect.judge import judge
from replay.bisect.search import Found
from replay.bisect.verdict import Culprit, Evidence, Group, Probes, Tried, Verdict
from replay.record import EngineInfo, Host, OutputRecord, OutputSpec, Provenance, RunRecord
from replay.report.html import TITLES, page
from replay.state import Change, FileEntry
from tests.report.reader import Reader

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
GOOD = RunRecord(
    state=DIGEST,
    job="churn",
    engine=EngineInfo(name="docker", version="20.10"),
    started="2026-09-02T06:00:00+00:00",
    milliseconds={"job": 1250},
    exit_code=0,
    outputs={
        "scores": OutputRecord(
            spec=OutputSpec(path="out/scores.csv"), files={"out/scores.csv": FileEntry(blob=DIGEST, size=20847)}
        )
    },
    log=DIGEST,
    host=Host(cpu="AMD EPYC", cores=4, memory=8192, kernel="Linux 6.1"),
    provenance=Provenance(git_commit="4f2c1e9" + "0" * 33, git_dirty=True),
)
BAD = GOOD.model_copy(
    update={"state": OTHER, "started": "2026-10-02T06:00:00+00:00", "changed_inputs": ("data/customers.csv",)}
)
HOSTILE = "runtime/env/<script>alert(1)</script>\x1b[31m\n\u202e\u2066&\"'\x00" + "x" * 10_000


def verdict(name: str = "runtime/packages/pandas", **more: object) -> Verdict:
    culprit = Culprit(
        changes=(name,),
        relation="single",
        share=0.8,
        before={name: "2.3.3"},
        after={name: "3.0.1"},
        breaks=True,
        mends=True,
    )
    facts: dict[str, object] = {
        "verdict": "execution-state-drift",
        "retrain": False,
        "sentence": f"{name} causes it",
        "advice": f"restore {name}",
        "confidence": 0.9,
        "culprits": (culprit,),
        "cleared": ("pipeline/score.py",),
        "gaps": ("not told apart: a, b",),
        "not_held": ("clock: the job reads the time",),
        "evidence": ("GOOD reproduces its record in 2 of 2 reruns",),
        "probes": Probes(run=6, cached=2, unresolved=1),
        "good": DIGEST,
        "bad": OTHER,
        "fix": "sha256:" + "ef" * 32,
    }
    return Verdict.model_validate(facts | more)


def read(found: Verdict) -> Reader:
    return Reader(page(found, GOOD, BAD))


def test_the_answer_comes_first() -> None:
    words = read(verdict()).words
    assert words.startswith(
        "Replay: job churn Execution state drift runtime/packages/pandas causes it. "
        "Retrain: no restore runtime/packages/pandas."
    )


@pytest.mark.parametrize(
    "fact",
    [
        "80% runtime/packages/pandas 2.3.3 3.0.1 yes yes",
        "What was cleared It changed as well, and did not do it. pipeline/score.py",
        "not told apart: a, b",
        "2 of 2 reruns",
        "6 probes run, 2 known already, 1 could not run",
        "is good: state efefefefefef",
        "0.90 : the chance that the next execution agrees",
        "clock the job reads the time",
        "State abababababab cdcdcdcdcdcd",
        "2026-09-02 06:00:00 UTC 2026-10-02 06:00:00 UTC",
        "docker 20.10",
        "exit code 0",
        "1.25 s",
        "scores: out/scores.csv, 20,847 bytes, abababababab",
        "4f2c1e900000 with uncommitted changes",
        "AMD EPYC 4 cores, 8192 MiB Linux 6.1",
        "– data/customers.csv changed while the job ran",
        "closed, exit code 1",
    ],
)
def test_every_fact_is_in_it(fact: str) -> None:
    assert fact in read(verdict()).words


def test_the_probes_are_drawn_as_a_matrix() -> None:
    tried = (
        Tried(from_good=("pipeline", "runtime"), from_bad=(), outcome="good"),
        Tried(from_good=("runtime",), from_bad=("pipeline",), outcome="unresolved"),
        Tried(from_good=(), from_bad=("pipeline", "runtime"), outcome="bad"),
    )
    assert read(verdict(tried=tried)).rows("mixes") == [
        ["", "pipeline", "runtime", "Outputs"],
        ["GOOD", "good", "good", "✓ as GOOD"],
        ["", "bad", "good", "? could not run"],
        ["BAD", "bad", "bad", "✗ not as GOOD"],
    ]


def test_many_parts_are_named_in_the_row() -> None:
    parts = tuple(f"runtime/packages/p{number}" for number in range(10))
    tried = (
        Tried(from_good=parts, from_bad=(), outcome="good"),
        Tried(from_good=parts[1:], from_bad=parts[:1], outcome="good"),
        Tried(from_good=parts[:8], from_bad=parts[8:], outcome="other"),
        Tried(from_good=parts[:2], from_bad=parts[2:], outcome="bad"),
        Tried(from_good=(), from_bad=parts, outcome="bad"),
    )
    assert [row[:2] for row in read(verdict(tried=tried)).rows("mixes")] == [
        ["", "From BAD"],
        ["GOOD", "nothing"],
        ["", parts[0]],
        ["", f"{parts[8]}, {parts[9]}"],
        ["", f"all but {parts[0]}, {parts[1]}"],
        ["BAD", "all"],
    ]


def test_the_judge_hands_the_mixes_on() -> None:
    groups = {name: Group(name, (Change(name=f"{name}/x", before="a", after="b"),)) for name in ("model", "pipeline")}
    one = frozenset({"pipeline"})
    outcomes = {frozenset(groups): "bad", frozenset(): "good", one: "bad", frozenset({"model"}): "good"}
    found = judge(Evidence(DIGEST, OTHER, groups, Found((one,), (one,), outcomes)))  # type: ignore[arg-type]
    assert [(mix.from_bad, mix.outcome) for mix in found.tried] == [
        ((), "good"),
        (("model",), "good"),
        (("pipeline",), "bad"),
        (("model", "pipeline"), "bad"),
    ]
    assert "tried" not in found.document()


def test_two_that_act_together_share_one_bar() -> None:
    culprit = Culprit(
        changes=("pipeline/a.py", "runtime/env/TZ"),
        relation="together",
        share=1.0,
        before={"pipeline/a.py": "1", "runtime/env/TZ": None},
        after={"pipeline/a.py": "2", "runtime/env/TZ": "UTC0"},
        breaks=True,
        mends=False,
    )
    words = read(verdict(culprits=(culprit,))).words
    assert "100% pipeline/a.py 1 2 yes not alone together with it runtime/env/TZ absent UTC0 yes not alone" in words


@pytest.mark.parametrize(
    ("more", "look"),
    [
        ({"verdict": "data-drift", "retrain": True}, "answer yes"),
        ({"verdict": "both"}, "answer"),
        ({"verdict": "inconclusive"}, "answer undecided"),
        ({"verdict": "nondeterministic"}, "answer undecided"),
    ],
)
def test_yes_no_and_undecided_look_different(more: dict[str, object], look: str) -> None:
    assert f'<div class="{look}"><b>Retrain: {"yes" if "yes" in look else "no"}</b>' in page(verdict(**more), GOOD, BAD)


@pytest.mark.parametrize("kind", list(TITLES))
def test_a_verdict_with_nothing_to_show_is_a_page_too(kind: str) -> None:
    bare = Verdict(
        verdict=kind,  # type: ignore[arg-type]
        retrain=False,
        sentence="nothing was shown",
        advice="look again",
        confidence=0.0,
        good=DIGEST,
        bad=OTHER,
    )
    reader = read(bare)
    assert reader.open == []
    assert "None is given, because no cause is claimed" in reader.words
    assert "What did it" not in reader.words


def test_it_needs_neither_script_nor_network() -> None:
    document = page(verdict(), GOOD, BAD)
    assert not set(Reader(document).tags) & {"script", "link", "img", "iframe", "object", "base", "form", "a"}
    assert "url(" not in document
    assert "@import" not in document
    assert "default-src 'none'" in document


def test_hostile_names_stay_text() -> None:
    found = verdict(HOSTILE, cleared=(HOSTILE,), gaps=(HOSTILE,), not_held=(HOSTILE,), evidence=(HOSTILE,))
    bad = BAD.model_copy(update={"job": HOSTILE, "findings": (HOSTILE,), "changed_inputs": (HOSTILE,)})
    document = page(found, bad, bad)
    reader = Reader(document)
    assert reader.open == []
    assert "script" not in reader.tags
    assert '<script>alert(1)</script>\\x1b[31m\\n\\u202e\\u2066&"' in reader.words
    assert not [char for char in document if not char.isprintable() and char != "\n"]
    assert len(document) < 30_000
