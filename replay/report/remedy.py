"""What to write where, so that today's job runs as the mended state did. Pure."""

from __future__ import annotations

from replay.bisect.verdict import Culprit, Verdict
from replay.compare.text import clean


def remedies(found: Verdict) -> list[str]:
    """Return a line for each change of each culprit: the place, and what stood there when it was good."""
    return [line for culprit in found.culprits for name in culprit.changes for line in _lines(name, culprit)]


def _lines(name: str, culprit: Culprit) -> list[str]:
    if name.startswith("pipeline@"):
        told = culprit.commits.get(name, ())
        subject = told[-1].partition(" ")[2] if told else ""
        return [f"git revert {name.partition('@')[2]}" + (f"  # {clean(subject)}" if subject else "")]
    layer, _, rest = name.partition("/")
    before = culprit.before.get(name)
    part, _, own = rest.partition("/")
    match layer, part:
        case "runtime", "packages":
            return [f"requirements: {own}=={before}" if before else f"requirements: leave out {own}"]
        case "runtime", "env":
            return [f'[runtime.set] {own} = "{before}"' if before is not None else f"environment: unset {own}"]
        case "runtime", "base":
            return [f'[runtime] base = "{before}"' if before else "[runtime] base: leave it out"]
        case "runtime", _:
            return [f"{name}: {before or 'absent'}"]
        case "pipeline" | "model", _:
            return [f"{rest.split('#')[0]}: as it was; `replay diff fix BAD` shows it, `replay show GOOD` has it"]
        case "schema", _:
            return [f"contract of {part}: {own or 'its form'} as it was" + (f" ({before})" if before else "")]
        case "access", _:
            return [f"access to {rest}: as it was" + (f" ({before})" if before else "")]
        case _:
            return []  # data that moved is no fault to put right
