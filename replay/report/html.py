"""The verdict as one HTML file that one can look at: no script, no network, made to be attached to a ticket.

Whatever comes from a state, a log or a name is escaped, cut where it is long, and characters that do not print
(also those that turn the direction of a line) are spelled out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from replay.bisect.verdict import EXIT_CODES, GATE, GATES, Culprit, Tried, Verdict
from replay.digest import short
from replay.record import RunRecord
from replay.report.packages import sentence
from replay.report.text import when
from replay.rerun import ending
from replay.store.refs import shown

TITLES: Mapping[str, str] = {
    "execution-state-drift": "Execution state drift",
    "model-change": "Model change",
    "data-drift": "Data drift",
    "both": "Execution and data",
    "nondeterministic": "Nondeterministic job",
    "outside-the-state": "Outside the recorded state",
    "no-difference": "No difference",
    "inconclusive": "Inconclusive",
}
OUTCOMES: Mapping[str, str] = {
    "good": "✓ as GOOD",
    "bad": "✗ not as GOOD",
    "other": "? failed in a way of its own",
    "unresolved": "? could not run",
}
WIDEST = 6
"""Parts that a matrix of probes has columns for, and names that a row lists where it has more."""
LONGEST = 100
"""Characters that the heads of these columns may have together, to fit a page."""
ALWAYS_DIFFER = frozenset({"Run", "Started", "Took"})
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The Content-Security-Policy of the page: a browser is told to run and to fetch nothing."""


def page(found: Verdict, good: RunRecord, bad: RunRecord) -> str:
    """Return the report as a whole HTML document."""
    style = Path(__file__).with_name("page.css").read_text("utf-8")
    title = TITLES[found.verdict]
    body = [
        f'<div class="kind">Replay: job {_text(good.job)}</div>',
        f"<h1>{title}</h1>",
        f'<p class="lead">{_text(found.sentence, 1000)}.</p>',
        _answer(found),
        _culprits(found.culprits),
        _cleared(found.cleared),
        _gaps(found.gaps),
        _evidence(found),
        _fix(found),
        _confidence(found),
        _not_held(found.not_held),
        _runs(good, bad),
        _further(found, good, bad),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en" dir="ltr"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: {_text(good.job)}</title>\n<style>\n{style}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _answer(found: Verdict) -> str:
    word = "Retrain: yes" if found.retrain else "Retrain: no"
    undecided = EXIT_CODES.get(found.verdict) == 3
    look = "answer yes" if found.retrain else "answer undecided" if undecided else "answer"
    return f'<div class="{look}"><b>{word}</b><span>{_text(found.advice, 1000)}.</span></div>'


def _culprits(culprits: Sequence[Culprit]) -> str:
    if not culprits:
        return ""
    rows = "".join(row for culprit in culprits for row in _culprit_rows(culprit))
    heads = _heads("Share", "Culprit", "From", "To", "Breaks GOOD", "Mends BAD")
    note = (
        "Share: how much of the outputs' movement it explains, alone or by being reverted. Breaks GOOD: taken into "
        "the good state it reproduces the change. Mends BAD: reverted in the bad state it undoes it."
    )
    return f'<h2>What did it</h2><table>{heads}{rows}</table><p class="note">{note}</p>'


def _culprit_rows(culprit: Culprit) -> Iterator[str]:
    width = round(min(1.0, max(0.0, culprit.share)) * 100)
    bar = f'<span class="track"><i style="width:{width}%"></i></span>{culprit.share:.0%}'
    for number, name in enumerate(culprit.changes):
        share = bar if number == 0 else f"{'tied to' if culprit.relation == 'inseparable' else 'together with'} it"
        was, became = culprit.before.get(name), culprit.after.get(name)
        commits = "".join(f'<p class="note">commit {_text(commit)}</p>' for commit in culprit.commits.get(name, ()))
        cells = [_code(name) + commits, _value(was), _value(became)]
        cells += ["yes" if culprit.breaks else "no", "yes" if culprit.mends else "not alone"]
        yield f'<tr><td class="share">{share}</td>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cleared(names: Sequence[str]) -> str:
    if not names:
        return ""
    items = "".join(f"<li>{_code(name)}</li>" for name in names)
    note = '<p class="note">It changed as well, and did not do it.</p>'
    return f'<h2>What was cleared</h2>{note}<ul class="cleared">{items}</ul>'


def _gaps(gaps: Sequence[str]) -> str:
    return f"<h2>Not told apart</h2>{_list(gaps)}" if gaps else ""


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(item, 600)}</li>" for item in items) + "</ul>" if items else ""


def _evidence(found: Verdict) -> str:
    count = found.probes
    cost = f"{count.run} probes run, {count.cached} known already, {count.unresolved} could not run."
    return f'<h2>Evidence</h2>{_mixes(found.tried)}{_list(found.evidence)}<p class="note">{cost}</p>'


def _mixes(tried: Sequence[Tried]) -> str:
    """Return the mixes as a table: a column for each part and where it came from, while the parts are few."""
    if not tried:
        return ""
    names = sorted({*tried[0].from_good, *tried[0].from_bad})
    if len(names) <= WIDEST and sum(map(len, names)) <= LONGEST:
        heads = _heads("", *map(_text, names), "Outputs")
        rows = "".join(_mix_row(mix, names) for mix in tried)
    else:
        heads = _heads("", "From BAD", "Outputs")
        rows = "".join(_long_row(mix) for mix in tried)
    note = (
        "A row is a mix that was run: each part as in GOOD or as in BAD. Outputs are held against good execution "
        "over the same input rows (or judged by --test)."
    )
    return f'<p class="note">{note}</p><table class="mixes">{heads}{rows}</table>'


def _mix_row(mix: Tried, names: Sequence[str]) -> str:
    cells = "".join(
        '<td class="from-bad">bad</td>' if name in mix.from_bad else '<td class="from-good">good</td>' for name in names
    )
    return f"<tr><td>{_end(mix)}</td>{cells}{_outcome(mix)}</tr>"


def _long_row(mix: Tried) -> str:
    few, prefix = (mix.from_bad, "") if len(mix.from_bad) <= len(mix.from_good) else (mix.from_good, "all but ")
    more = f" and {len(few) - WIDEST} more" if len(few) > WIDEST else ""
    said = prefix + ", ".join(_code(name) for name in few[:WIDEST]) + more if few else "all" if prefix else "nothing"
    return f"<tr><td>{_end(mix)}</td><td>{said}</td>{_outcome(mix)}</tr>"


def _end(mix: Tried) -> str:
    return "GOOD" if not mix.from_bad else "BAD" if not mix.from_good else ""


def _outcome(mix: Tried) -> str:
    return f'<td class="{mix.outcome}">{OUTCOMES[mix.outcome]}</td>'


def _fix(found: Verdict) -> str:
    if not found.fix:
        return ""
    return (
        "<h2>The fix</h2><p>BAD with the culprit reverted was run and is good: state "
        f"<code>{short(found.fix)}</code>.</p>"
    )


def _confidence(found: Verdict) -> str:
    if not found.confidence:
        said = "None is given, because no cause is claimed."
    else:
        said = (
            f"<b>{found.confidence:.2f}</b>: the chance that the next execution agrees as well, by the rule of "
            "succession, (n + 1) / (n + 2), over the n executions looked at. It speaks of the recorded layers, not of "
            "what was not held fixed."
        )
    return f"<h2>Confidence</h2><p>{said}</p>"


def _not_held(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    rows = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(why, 600)}</td></tr>"
        for name, _, why in (reason.partition(": ") for reason in reasons)
    )
    return f'<h2>Not held fixed by the engine</h2><table class="reasons">{rows}</table>'


def _runs(good: RunRecord, bad: RunRecord) -> str:
    one, other = _facts(good), _facts(bad)
    rows = "".join(_side_row(name, one.get(name, ()), other.get(name, ())) for name in {**one, **other})
    return f'<h2>The two runs</h2><table class="side">{_heads("", "GOOD", "BAD")}{rows}</table>'


def _side_row(name: str, good: Sequence[str], bad: Sequence[str]) -> str:
    mark = ' class="differs"' if good != bad and name not in ALWAYS_DIFFER else ""
    cells = "".join(f"<td>{'<br>'.join(_text(line, 300) for line in side) or '–'}</td>" for side in (good, bad))
    return f"<tr{mark}><th>{name}</th>{cells}</tr>"


def _facts(record: RunRecord) -> dict[str, Sequence[str]]:
    """Return what is known of a run, by the names of the table's rows."""
    host, git = record.host, record.provenance
    commit = git.git_commit and git.git_commit[:12] + (" with uncommitted changes" if git.git_dirty else "")
    machine = (host.cpu, f"{host.cores} cores, {host.memory} MiB", host.kernel) if host.cpu or host.kernel else ()
    facts: dict[str, Sequence[str]] = {
        "Run": [short(record.id)],
        "State": [short(record.state)],
        "Started": [f"{when(record.started)} UTC"],
        "Engine": [f"{record.engine.name} {record.engine.version}".rstrip()],
        "Ended with": [ending(record)],
        "Took": [f"{record.milliseconds.get('job', 0) / 1000:.2f} s"],
        "Outputs": list(_outputs(record)),
        "Git commit": [commit] if commit else [],
        "Base asked for": [git.base] if git.base else [],
        "Host": [line for line in machine if line],
        "Notes": [
            *(f"{path} changed while the job ran" for path in record.changed_inputs),
            *record.findings,
            *map(sentence, record.packages),
        ],
    }
    return {name: lines for name, lines in facts.items() if lines}


def _outputs(record: RunRecord) -> Iterator[str]:
    for name, output in record.outputs.items():
        if output.missing:
            yield f"{name}: {output.spec.path} was not written"
        for path, entry in output.files.items():
            yield f"{name}: {path}, {entry.size:,} bytes, {short(entry.blob)}"


def _further(found: Verdict, good: RunRecord, bad: RunRecord) -> str:
    commands = [f"replay diff {short(good.id)} {short(bad.id)}", f"replay rerun {short(good.id)}"]
    commands += [f"replay show {short(found.fix)}"] if found.fix else []
    gate = GATE[found.verdict]
    return (
        f"<footer>As a gate before retraining (<code>replay verify</code>): {GATES[gate]}, exit code {gate}. "
        "To look further: " + ", ".join(f"<code>{command}</code>" for command in commands) + ".</footer>"
    )


def _heads(*names: str) -> str:
    return "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"


def _value(value: str | None) -> str:
    if value is None:
        return '<span class="absent">absent</span>'
    lines = value.expandtabs(4).splitlines()
    return _code(value, 120) if len(lines) < 2 else "<br>".join(_code(line, 120) for line in lines)


def _code(value: str, widest: int = 200) -> str:
    return f"<code>{_text(value, widest)}</code>"


def _text(value: str, widest: int = 200) -> str:
    return escape(shown(value, widest))
