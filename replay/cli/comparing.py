"""`replay diff, rerun, compare`: what differs, and does it come out again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from replay.cli import options
from replay.cli.console import done, progress, result
from replay.cli.session import Session
from replay.errors import ConfigError

if TYPE_CHECKING:
    from replay.compare.difference import Difference
    from replay.outputs import Noise
    from replay.record import OutputSpec, RunRecord
    from replay.rerun import Rerun


def diff(
    a: options.Ref,
    b: options.Ref,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Compare two runs: states layer by layer, then outputs.

    Example: replay diff baseline last

    Exit code 0 the same, 1 different, 2 trouble.
    """
    import os

    from replay.errors import ReplayError
    from replay.layers.beside import inputs_of
    from replay.layers.release import Pair, fetch, load
    from replay.outputs import compare_outputs
    from replay.references.base import Ground
    from replay.report import packages, text
    from replay.state import INPUTS

    session = Session(store)
    kept = session.store()
    one, other = session.run(kept, a), session.run(kept, b)
    releases = [load(kept, run.state) for run in (one, other)]
    ground = Ground(session.root() or Path(), os.environ)
    for label, release in zip("ab", releases, strict=True):
        try:
            fetch(release, ground, kept)
        except ReplayError as error:
            progress(f"{label}: {error.what}; compared by its version alone")
    found = Pair(releases[0], releases[1], kept, called=(one.provenance.base, other.provenance.base)).changes
    difference = compare_outputs(one.outputs, other.outputs, kept, inputs=inputs_of(kept, one.state))
    document = {
        "a": {"run": one.id, "state": one.state},
        "b": {"run": other.id, "state": other.state},
        "changes": [change.model_dump(mode="json") for change in found],
        "outputs": difference.as_json() if difference else None,
    }
    same_inputs = not any(change.layer in INPUTS for change in found)
    odd = {label: run.packages for label, run in (("a", one), ("b", other))}
    document["packages"] = {label: [o.model_dump(mode="json") for o in those] for label, those in odd.items()}
    said = [line for label, those in odd.items() for line in packages.lines(those, label)]
    result(as_json, document, "\n".join([text.diff(found, difference, same_inputs), *said]))
    done(1 if found or difference is not None else 0)


def rerun(
    ref: options.Ref,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="How many times.")] = 1,
    noise: options.Noise = 0,
    clock: options.RerunClock = "recorded",
    prove: Annotated[
        bool, typer.Option("--prove", help="Read every file of the packages, not only those that were touched.")
    ] = False,
    engine: options.Engine = options.EngineName.auto,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Rebuild a run's state, execute it again, compare with the record.

    Example: replay rerun baseline --repeat 2

    The job reads the time it read then, and its clock goes on from there. Needs no network. Exit code 0
    reproduced, 1 different, 2 trouble.
    """
    from dataclasses import replace

    from replay.report import text
    from replay.rerun import RECORDED, host_differences, noise_of, noise_words
    from replay.rerun import rerun as again

    session = Session(store, engine.choice)
    recorded = session.run(session.store(), ref)
    at = clock if clock == RECORDED else options.moment(clock)
    bench = replace(session.repeating(recorded), thorough=prove)
    if options.enough(noise):
        bench = replace(bench, noise=noise_of(bench, recorded, noise, at))
        progress(noise_words(bench.noise, noise))
    repeats: list[Rerun] = []
    for number in range(repeat):
        progress(f"rerun {number + 1} of {repeat} …")
        repeats.append(again(bench, recorded, at))
    hosts = host_differences(recorded.host, repeats[-1].record.host)
    reproduced = all(each.reproduced for each in repeats)
    document = {
        "recorded": recorded.id,
        "reproduced": reproduced,
        "byte_for_byte": all(each.difference is None for each in repeats),
        "reruns": [
            {
                "run": each.record.id,
                "reproduced": each.reproduced,
                "difference": each.difference.as_json() if each.difference else None,
            }
            for each in repeats
        ],
        "host_differences": hosts,
        "not_held": repeats[-1].record.not_held,
        "noise": bench.noise,
    }
    result(as_json, document, text.reruns(recorded, repeats, hosts))
    done(0 if reproduced else 1)


class Duplicates(StrEnum):
    """What a repeated key means."""

    error = "error"
    number = "number"
    skip = "skip"


def compare(
    a: Annotated[str, typer.Argument(help="A run, or a file or folder.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    key: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--key", help="Columns that identify a row, with commas between them."),
    ] = None,
    decision: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--decision", help="The column whose flips matter most."),
    ] = None,
    on_duplicates: Annotated[
        Duplicates, typer.Option("--on-duplicates", help="A key twice: an error, match in order, or leave out.")
    ] = Duplicates.error,
    atol: Annotated[Optional[float], typer.Option("--atol", min=0, help="Absolute tolerance.")] = None,  # noqa: UP045
    rtol: Annotated[Optional[float], typer.Option("--rtol", min=0, help="Relative tolerance.")] = None,  # noqa: UP045
    psi: Annotated[Optional[float], typer.Option("--psi", min=0, help="PSI from which a shift is told.")] = None,  # noqa: UP045
    noise: options.Noise = 0,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Compare outputs only: of two runs, or two files or folders.

    Example: replay compare september.csv october.csv --key customer_id

    Exit code 0 the same (or within the tolerance), 1 different, 2 trouble.
    """
    from replay.record import OutputSpec
    from replay.report.compared import compared

    columns = tuple(part for part in (key or "").split(",") if part)
    spec = OutputSpec(path="", key=columns, decision=decision, atol=_text(atol), rtol=_text(rtol))
    spec = spec.model_copy(update={"on_duplicates": on_duplicates.value, "psi": _text(psi)})
    numbers = any(number is not None for number in (atol, rtol, psi))
    asked = bool(key or decision or on_duplicates != Duplicates.error or numbers)
    difference = _difference(a, b, spec, store, override=asked, noise=options.enough(noise))
    document = {"a": a, "b": b, "difference": difference.as_json() if difference else None}
    result(as_json, document, compared(difference))
    done(1 if difference is not None and difference.matters else 0)


def _difference(
    a: str, b: str, spec: OutputSpec, store: Path | None, *, override: bool, noise: int
) -> Difference | None:
    from replay.outputs import compare_outputs, compare_paths

    paths = Path(a), Path(b)
    there = [path.exists() for path in paths]
    if any(there) and all(found or path.suffix for found, path in zip(there, paths, strict=True)):
        if noise:
            raise ConfigError(
                "--noise needs recorded runs: a file cannot be run again",
                cause="both name files or folders",
                do="name two runs (replay log), or declare a tolerance with --atol or --rtol",
            )
        return compare_paths(*paths, spec)
    from replay.layers.beside import inputs_of  # all the layers: files need none of them

    session = Session(store)
    kept = session.store()
    recorded = session.run(kept, a)
    one, other = recorded.outputs, session.run(kept, b).outputs
    if override:
        asked = {k: v for k, v in spec.model_dump().items() if v and k != "path"}
        one = {n: o.model_copy(update={"spec": o.spec.model_copy(update=asked)}) for n, o in one.items()}
    floor = _noise(session, recorded, noise) if noise else {}
    return compare_outputs(one, other, kept, floor, inputs=inputs_of(kept, recorded.state))


def _noise(session: Session, recorded: RunRecord, repeats: int) -> Noise:
    from replay.rerun import noise_of, noise_words

    floor = noise_of(session.repeating(recorded), recorded, repeats)
    progress(noise_words(floor, repeats))
    return floor


def _text(number: float | None) -> str | None:
    return None if number is None else repr(number)
