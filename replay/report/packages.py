"""What was odd about the packages of an environment that was taken as it was, as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from replay.record import PackageFinding

_WORDS = {
    "patched": "was changed by hand",
    "missing": "is listed and not there",
    "added": "lies among its files and is not listed",
    "editable": "is installed in editable mode: its code lies elsewhere and counts as part of the base",
    "shadowed": "is installed a second time, and this one is not seen",
    "unreadable": "cannot be read as that of a package and was left out",
}

MOST = 12
"""Findings printed; all of them stand in the record."""


def sentence(finding: PackageFinding) -> str:
    """Return a finding on one line, without its diff."""
    said = f"package {finding.package}: {_line(finding.path)} {_WORDS[finding.kind]}"
    if finding.kind == "patched":
        known = "" if finding.diff else "; the published file could not be had"
        said += f" (RECORD says sha256 {_short(finding.recorded)}, found {_short(finding.found)}{known})"
    return f"{said} ({finding.found})" if finding.kind == "shadowed" else said


def lines(findings: Sequence[PackageFinding], label: str = "note") -> list[str]:
    """Return findings as reports print them, patches first, each with its diff."""
    order = sorted(findings, key=lambda finding: (finding.kind != "patched", finding.package, finding.path))
    found = []
    for finding in order[:MOST]:
        found.append(f"{label:7}{sentence(finding)}")
        found += [f"         {_line(line)[:160]}" for line in (finding.diff or "").splitlines()]
    if len(order) > MOST:
        found.append(f"{label:7}and {len(order) - MOST} more findings about packages: `replay show --json`")
    return found


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.expandtabs(4))


def _short(hashed: str | None) -> str:
    return f"{(hashed or '')[:10]}…"
