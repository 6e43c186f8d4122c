"""The verdict as one HTML file that one can look at: no script, no network, made to be attached to a ticket.

Pure. Whatever comes from a state, a log or a name is escaped, and control characters are shown as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from replay.bisect.verdict import Culprit, Verdict
from replay.digest import short
from replay.record import RunRecord
from replay.report.text import clip, when
from replay.rerun import ending

TITLES = {
    "execution-state-drift": "Execution state drift",
    "model-change": "Model change",
    "data-drift": "Data drift",
    "both": "Execution and data",
    "nondeterministic": "Nondeterministic job",
    "outside-the-state": "Outside the recorded state",
    "no-difference": "No difference",
    "inconclusive": "Inconclusive",
}

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --soft: #5b6570; --line: #d9dee3; --paper: #fff; --card: #f5f7f9;
        --no: #b3261e; --yes: #1a7f45; --bar: #3565c9 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaee; --soft: #9aa5b1; --line: #39424c; --paper: #14181d; --card: #1d232a; --no: #ff8a80;
          --yes: #66d19e; --bar: #7ea6ff } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
       max-width: 60rem; padding: 0 1.25rem; overflow-wrap: anywhere }
h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 .6rem }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem }
.kind, .soft { color: var(--soft) }
.kind { text-transform: uppercase; letter-spacing: .06em; font-size: .8rem }
.answer { background: var(--card); border-left: .35rem solid var(--no); padding: .8rem 1rem; margin: 1rem 0 }
.answer.yes { border-color: var(--yes) }
.answer b { font-size: 1.15rem }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem }
th, td { padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
code { font: .88em ui-monospace, monospace }
.bar { display: inline-block; height: .6rem; background: var(--bar); border-radius: 2px; margin-right: .4rem }
ul { padding-left: 1.2rem; margin: .3rem 0 }
footer { margin-top: 2.5rem; font-size: .85rem; color: var(--soft) }
@media print { body { margin: 0; max-width: none } .answer { break-inside: avoid } }
"""


def page(found: Verdict, good: RunRecord, bad: RunRecord) -> str:
    """Return the report as a whole HTML document."""
    title = TITLES[found.verdict]
    body = [
        f'<div class="kind">Replay: {_text(good.job)}</div>',
        f"<h1>{title}</h1>",
        f"<p>{_text(found.sentence, 4000)}.</p>",
        _answer(found),
        _culprits(found.culprits),
        _list("Cleared by running", found.cleared, code=True),
        _list("Not told apart", found.gaps),
        _list("Evidence", found.evidence),
        _runs(good, bad),
        _list("Not held fixed by the engine", found.not_held),
        _footer(found),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}: {_text(good.job)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _answer(found: Verdict) -> str:
    word, look = ("Retrain: yes", "answer yes") if found.retrain else ("Retrain: no", "answer")
    return f'<div class="{look}"><b>{word}.</b> {_text(found.advice, 2000)}.</div>'


def _culprits(culprits: Sequence[Culprit]) -> str:
    if not culprits:
        return ""
    rows = "".join(row for culprit in culprits for row in _culprit_rows(culprit))
    heads = "".join(f"<th>{head}</th>" for head in ("Share", "Culprit", "From", "To", "Breaks GOOD", "Mends BAD"))
    return f"<h2>What did it</h2><table><tr>{heads}</tr>{rows}</table>"


def _culprit_rows(culprit: Culprit) -> Iterable[str]:
    for number, name in enumerate(culprit.changes):
        width = max(2, round(culprit.share * 60))
        share = (
            f'<span class="bar" style="width:{width}px"></span>{culprit.share:.0%}' if number == 0 else "together with"
        )
        values = (culprit.before.get(name), culprit.after.get(name))
        cells = [share, f"<code>{_text(name)}</code>", *(f"<code>{_text(clip(value, 120))}</code>" for value in values)]
        cells += ["yes" if culprit.breaks else "no", "yes" if culprit.mends else "not alone"]
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _list(head: str, items: Sequence[str], *, code: bool = False) -> str:
    if not items:
        return ""
    shown = (f"<code>{_text(item, 1000)}</code>" if code else _text(item, 1000) for item in items)
    return f"<h2>{head}</h2><ul>" + "".join(f"<li>{item}</li>" for item in shown) + "</ul>"


def _runs(good: RunRecord, bad: RunRecord) -> str:
    rows = "".join(
        f"<tr><td>{name}</td><td><code>{short(record.id)}</code></td><td>{_text(when(record.started))}</td>"
        f"<td>{_text(record.engine.name)} {_text(record.engine.version)}</td><td>{_text(ending(record))}</td>"
        f"<td><code>{short(record.state)}</code></td></tr>"
        for name, record in (("GOOD", good), ("BAD", bad))
    )
    heads = "".join(f"<th>{head}</th>" for head in ("", "Run", "When (UTC)", "Engine", "Ended with", "State"))
    return f"<h2>The two runs</h2><table><tr>{heads}</tr>{rows}</table>"


def _footer(found: Verdict) -> str:
    count = found.probes
    lines = [f"{count.run} probes run, {count.cached} known already, {count.unresolved} could not run."]
    if found.confidence:
        lines.append(
            f"Confidence {found.confidence:.2f}: the chance that the next execution agrees as well, by the rule of "
            "succession over those that did."
        )
    if found.fix:
        lines.append(f"BAD with the culprit reverted was run and is good: state <code>{short(found.fix)}</code>.")
    return "<footer>" + " ".join(lines) + "</footer>"


def _text(value: str, widest: int = 200) -> str:
    return escape(clip(value, widest))
