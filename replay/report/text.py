"""Results as text for a terminal or a ticket. Pure: documents in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from replay.compare.difference import Difference
from replay.digest import short
from replay.layers.release import Release
from replay.record import RunRecord
from replay.references.pin import Standing
from replay.report import packages
from replay.rerun import OTHER_HOST, Rerun, ending
from replay.state import LAYERS, Change
from replay.store.base import RunEntry

if TYPE_CHECKING:
    from replay.bisect.verdict import Culprit, Verdict

WIDEST = 60
"""Characters of a value that a table shows."""

CELL = 40
"""The same for what a culprit was and became."""


def table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> list[str]:
    """Return rows as aligned columns under their heads."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]


def clip(value: str | None, widest: int = WIDEST) -> str:
    """Return a value short enough for a table, on one line and without control characters."""
    if value is None:
        return "(absent)"
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    return line if len(line) <= widest else line[: widest - 1] + "…"


def cell(value: str | None, widest: int = WIDEST) -> str:
    """Return what a thing was or became on one line of a table; lines of a file follow each other."""
    return clip(value if value is None else " ⏎ ".join(line.strip() for line in value.splitlines()), widest)


def when(iso: str) -> str:
    """Return a record's time to the second, as people write it."""
    return iso[:19].replace("T", " ")


def run_line(record: RunRecord) -> str:
    """Return one line that says which run this is."""
    clock = f" (its clock began at {when(record.clock)})" if record.clock else ""
    return (
        f"{short(record.id)}  {record.job}, {when(record.started)} UTC{clock}, {record.engine.name}, {ending(record)}"
    )


def bound(record: RunRecord, tag: str | None) -> str:
    """Return what `replay run` prints."""
    lines = [
        f"run    {short(record.id)}" + (f"  tagged {tag}" if tag else ""),
        f"state  {short(record.state)}",
        f"engine {record.engine.name} {record.engine.version}".rstrip(),
        f"job    {ending(record)} after {record.milliseconds.get('job', 0) / 1000:.2f} s",
    ]
    lines += outputs(record)
    changed = "changed while the job ran; the run used what it was before"
    lines += [f"note   {clip(path)} {changed}" for path in record.changed_inputs]
    lines += [f"note   {clip(finding, 200)}" for finding in record.findings]
    lines += packages.lines(record.packages)
    return "\n".join(lines + not_held(record.not_held))


def outputs(record: RunRecord) -> list[str]:
    """Return a line for every declared output."""
    lines = []
    for name, output in record.outputs.items():
        if output.missing:
            lines.append(f"output {name}: {output.spec.path} was not written")
        for path, entry in output.files.items():
            lines.append(f"output {name}: {clip(path)}, {entry.size:,} bytes, {short(entry.blob)}")
    return lines


def not_held(reasons: Mapping[str, object]) -> list[str]:
    """Return what an engine could not hold fixed, on one line; `show` and `--json` give the reasons."""
    return [f"not held fixed: {', '.join(sorted(reasons))}"] if reasons else []


def log(entries: Iterable[RunEntry], tags: Mapping[str, Sequence[str]]) -> str:
    """Return the run log, newest first."""
    rows = [
        [
            short(entry.run),
            when(entry.started),
            clip(entry.job, 30),
            entry.reason,
            "-" if entry.exit_code is None else str(entry.exit_code),
            entry.engine,
            short(entry.state),
            " ".join([*tags.get(entry.run, ()), *([f"(from {clip(entry.origin, 60)})"] if entry.origin else [])]),
        ]
        for entry in entries
    ]
    return "\n".join(table(rows, ["run", "when (UTC)", "job", "why", "exit", "engine", "state", "tags"]))


def state(release: Release, record: RunRecord | None, references: Mapping[str, Standing]) -> str:
    """Return what `replay show` prints."""
    lines = [run_line(record)] if record else []
    if record:
        lines += [f"engine {record.engine.name} {record.engine.version}".rstrip(), *outputs(record)]
        host = record.host
        lines.append(f"host   {host.cpu}, {host.cores} cores, {host.memory} MiB, {host.kernel}")
        lines += [f"       {told}" for told in (host.gpu, host.blas, host.simd) if told]
        if record.provenance.git_commit:
            dirty = " with uncommitted changes" if record.provenance.git_dirty else ""
            lines.append(f"git    {record.provenance.git_commit[:12]}{dirty}")
        if record.provenance.base:
            lines.append(f"base   {clip(record.provenance.base, 200)}")
        lines += [f"not held fixed: {name} ({reason})" for name, reason in sorted(record.not_held.items())]
        lines += packages.lines(record.packages)
    lines.append(f"state  {release.state.id}")
    lines += [f"  {name:9}{short(release.state.layers[name])}" for name in LAYERS]
    lines += [f"input  {clip(name)}: {clip(found.words(), 300)}" for name, found in references.items()]
    return "\n".join(lines)


def change_lines(changes: Sequence[Change]) -> list[str]:
    """Return changes as an aligned table."""
    rows = [[clip(c.name, 80), cell(c.before), "->", cell(c.after)] for c in changes]
    return ["  " + line for line in table(rows, ["change", "from", "", "to"])] if rows else ["  (none)"]


def diff(changes: Sequence[Change], difference: Difference | None, same_inputs: bool) -> str:
    """Return what `replay diff` prints: states first, then outputs."""
    layers = {change.layer for change in changes}
    names = ", ".join(name for name in LAYERS if name in layers)
    lines = [f"states: {len(changes)} change{'s' * (len(changes) > 1)} in {names}" if changes else "states: no change"]
    if changes:
        lines += change_lines(changes)
    if difference is None:
        lines.append("outputs: the same, byte for byte")
    else:
        word = "differ" if difference.matters else "behave the same"
        lines.append(f"outputs: {word}")
        lines += ["  " + line for line in difference.lines()]
    if not same_inputs:
        lines.append("the inputs differ too: `replay verify` or `replay bisect` tell execution from data, row by row")
    return "\n".join(lines)


def reruns(recorded: RunRecord, repeats: Sequence[Rerun], hosts: Sequence[str]) -> str:
    """Return what `replay rerun` prints."""
    lines = [f"recorded  {run_line(recorded)}"]
    for repeat in repeats:
        word = "reproduced" if repeat.reproduced else "DIFFERS"
        if repeat.difference is None:
            word += ", byte for byte"
        lines.append(f"rerun     {run_line(repeat.record)}: {word}")
        if repeat.difference is not None:
            lines += ["  " + line for line in repeat.difference.lines()]
    if any(not repeat.reproduced for repeat in repeats):
        lines += [f"host differs: {line}" for line in hosts] or ["the hosts are alike"]
        lines += [OTHER_HOST] if hosts else []
    return "\n".join(lines + not_held(repeats[-1].record.not_held))


def verdict(found: Verdict, good: RunRecord, bad: RunRecord) -> str:
    """Return what `replay bisect` and `replay verify` print."""
    lines = [f"GOOD  {run_line(good)}", f"BAD   {run_line(bad)}", ""]
    lines += [f"VERDICT  {found.verdict}", f"  {found.sentence}.", f"ADVICE   {found.advice}."]
    lines.append(f"RETRAIN  {'yes' if found.retrain else 'no'}")
    if found.culprits:
        rows = [row for culprit in found.culprits for row in _culprit_rows(culprit)]
        lines += ["", *table(rows, ["share", "culprit", "from", "to", "breaks GOOD", "mends BAD"])]
        for culprit in found.culprits:
            lines += _lines_of(culprit)
    if found.cleared:
        lines += ["", "cleared: " + ", ".join(found.cleared)]
    lines += [f"gap: {gap}" for gap in found.gaps]
    if found.evidence:
        lines += ["", "evidence:", *(f"  {line}" for line in found.evidence)]
    lines += ["", *not_held(dict.fromkeys(line.split(":", 1)[0] for line in found.not_held))]
    count = found.probes
    lines.append(f"probes: {count.run} run, {count.cached} known already, {count.unresolved} could not run")
    if found.fix:
        lines.append(f"BAD with the culprit reverted was run and is good: state {short(found.fix)}")
    return "\n".join(lines)


def _culprit_rows(culprit: Culprit) -> list[list[str]]:
    yes_no = ["yes" if culprit.breaks else "no", "yes" if culprit.mends else "not alone"]
    rows = []
    for number, name in enumerate(culprit.changes):
        share = f"{culprit.share:.0%}" if number == 0 else "+"
        was, became = cell(culprit.before.get(name), CELL), cell(culprit.after.get(name), CELL)
        rows.append([share, clip(name, 80), was, became, *yes_no])
    return rows


def _lines_of(culprit: Culprit) -> list[str]:
    """Return as a diff, for each change of a culprit, the lines that its row in the table has no room for."""
    found: list[str] = []
    for name in culprit.changes:
        sides = [side.splitlines() for side in (culprit.before.get(name) or "", culprit.after.get(name) or "")]
        longest = max(len(sides[0]), len(sides[1]), *(len(line) // CELL + 1 for side in sides for line in side))
        if longest > 1:
            found += ["", clip(name, 80)]
            found += [
                f"  {sign} {clip(line.expandtabs(4), 200)}"
                for sign, side in zip("-+", sides, strict=True)
                for line in side
            ]
    return found
