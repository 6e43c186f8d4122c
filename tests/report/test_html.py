"""The HTML report: every fact is in it, nothing in it is alive, and hostile names stay text."""

from __future__ import annotations

from html.parser import HTMLParser

from replay.bisect.verdict import Culprit, Probes, Verdict
from replay.record import EngineInfo, Host, RunRecord
from replay.report.html import page

DIGEST = "sha256:" + "ab" * 32
RECORD = RunRecord(
    state=DIGEST,
    job="churn",
    engine=EngineInfo(name="docker", version="20.10"),
    started="2026-11-02T06:00:00+00:00",
    exit_code=0,
    outputs={},
    log=DIGEST,
    host=Host(),
)


class Reader(HTMLParser):
    """Collects the tags and the text of a document; fails on a tag that is closed and was not open."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


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
        "cleared": ("pipeline",),
        "gaps": ("not told apart: a, b",),
        "not_held": ("clock: runs on",),
        "evidence": ("GOOD reproduces its record in 2 of 2 reruns",),
        "probes": Probes(run=6),
        "good": DIGEST,
        "bad": DIGEST,
        "fix": DIGEST,
    }
    return Verdict.model_validate(facts | more)


def test_every_fact_is_in_it() -> None:
    reader = Reader(page(verdict(), RECORD, RECORD))
    for fact in (
        "Execution state drift",
        "Retrain: no",
        "runtime/packages/pandas",
        "2.3.3",
        "3.0.1",
        "80%",
        "pipeline",
    ):
        assert fact in reader.words
    for fact in ("not told apart: a, b", "clock: runs on", "2 of 2 reruns", "6 probes run", "0.90", "abababababab"):
        assert fact in reader.words
    assert reader.open == []


def test_it_needs_neither_script_nor_network() -> None:
    tags = set(Reader(page(verdict(), RECORD, RECORD)).tags)
    assert not tags & {"script", "link", "img", "iframe", "object"}


def test_hostile_names_stay_text() -> None:
    name = "runtime/env/<script>alert(1)</script>\x1b[31m\n\u202e&" + "x" * 10_000
    document = page(verdict(name), RECORD, RECORD)
    reader = Reader(document)
    assert "script" not in reader.tags
    assert "<script>alert(1)</script>" in reader.words
    assert "\x1b" not in document
    assert "\u202e" not in document
    assert len(document) < 30_000


def test_a_yes_looks_different_from_a_no() -> None:
    document = page(verdict(verdict="data-drift", retrain=True), RECORD, RECORD)
    assert "Retrain: yes" in document
    assert 'class="answer yes"' in document
