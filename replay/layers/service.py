"""Services in the access layer: what their records say of access, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator

from replay.compare.text import count
from replay.layers.contract_changes import escaped
from replay.sources.tape import Relation, Service
from replay.sources.withheld import compare
from replay.state import Change
from replay.store.base import BlobRef, Store

MEDIA = "application/octet-stream"


def service_changes(name: str, good: Service | None, bad: Service | None, store: Store) -> list[Change]:
    """List how the access to a service differs; where it does not, whether its answers do (then that is data).

    The answers were given under that access: a mix takes them with it, so the changes of one service require
    each other.
    """
    if good == bad:
        return []
    if good is None or bad is None:
        return [Change(name=f"access/{name}", before=good and _words(good), after=bad and _words(bad))]
    found = _access(name, good, bad)
    if not found and good.tape != bad.tape:
        found = _given(name, good, bad, store)
    if not found:
        found = [Change(name=f"access/{name}", before=_found_by(good), after=_found_by(bad))]
    names = [change.name for change in found]
    return [change.model_copy(update={"requires": tuple(n for n in names if n != change.name)}) for change in found]


def _given(name: str, good: Service, bad: Service, store: Store) -> list[Change]:
    """List what the answers to the same requests withhold, and the data where they differ in anything else."""
    columns: dict[str, str] = {}
    rows: list[str] = []
    rest = good.tape.keys() != bad.tape.keys()
    for key in good.tape.keys() & bad.tape.keys() if good.kind == "http" else ():
        sides = [[reply for reply in side.tape[key].replies if not reply.refused] for side in (good, bad)]
        for before, after in zip(*sides, strict=False):
            packing = [dict(reply.headers).get("content-encoding", "") for reply in (before, after)]
            if before.body.blob != after.body.blob and packing[0] == packing[1]:
                seen = compare(store.get(before.body.blob), store.get(after.body.blob), packing[0])
                columns |= seen.columns
                rows += [seen.rows] if seen.rows else []
                rest = rest or seen.rest
    found = [
        Change(name=f"access/{name}/{escaped(column)}", before="given", after=columns[column])
        for column in sorted(columns)
    ]
    if rows:
        found.append(Change(name=f"access/{name}/rows", before="given", after=f"not given: {'; '.join(rows[:3])}"))
    if rest or not found:
        found.append(Change(name=f"data/{name}", before=_answers(good), after=_answers(bad)))
    return found


def service_blobs(service: Service) -> Iterator[BlobRef]:
    """Yield the answers of a service."""
    for exchange in service.tape.values():
        for reply in exchange.replies:
            yield BlobRef(reply.body.blob, reply.body.size, MEDIA, exchange.asked.partition("\n")[0][:100])


def _access(name: str, good: Service, bad: Service) -> list[Change]:
    found: list[Change] = []
    # Who is not let in sees no settings: that is not a change of them.
    for setting in sorted(good.settings.keys() & bad.settings.keys()):
        before, after = good.settings[setting], bad.settings[setting]
        if before != after:
            found.append(Change(name=f"access/{name}/settings/{escaped(setting)}", before=before, after=after))
    found += relation_changes(f"access/{name}", good.relations, bad.relations, named=True)
    # A refusal that the catalogue explains is not told twice.
    if good.principals != bad.principals or (good.refusals() != bad.refusals() and not found):
        found.insert(0, Change(name=f"access/{name}", before=_words(good), after=_words(bad)))
    return found


def relation_changes(
    name: str, good: dict[str, Relation], bad: dict[str, Relation], *, named: bool = False
) -> list[Change]:
    """List what differs in what may be seen of relations; the only one goes without its name unless `named`."""
    both = sorted(good.keys() & bad.keys())
    alone = not named and len(good) == len(bad) == len(both) == 1
    return [
        change
        for relation in both
        for change in _relation(name if alone else f"{name}/{escaped(relation)}", good[relation], bad[relation])
    ]


def _relation(name: str, good: Relation, bad: Relation) -> list[Change]:
    found: list[Change] = []

    def differs(part: str, before: str | None, after: str | None) -> None:
        if before != after:
            found.append(Change(name=f"{name}{part}", before=before, after=after))

    differs("", _readable(good), _readable(bad))
    if good.readable and bad.readable:
        for column in sorted({*good.columns, *good.hidden} & {*bad.columns, *bad.hidden}):
            differs(f"/{escaped(column)}", _seen(column, good), _seen(column, bad))
    differs("/policy", _policies(good), _policies(bad))
    if good.definition != bad.definition:
        # Where an excerpt shows no difference, or an older record holds none, the digests do.
        texts = good.text != bad.text and all(side.text or not side.definition for side in (good, bad))
        before, after = (side.text or None if texts else _short(side.definition) for side in (good, bad))
        found.append(Change(name=f"{name}/definition", before=before, after=after))
    differs("/labels", _joined(good.labels), _joined(bad.labels))
    return found


def _words(service: Service) -> str:
    refused = service.refusals()
    shown = "; ".join(f"{asked.partition(chr(10))[0][:120]}: {words}" for asked, words in sorted(refused.items())[:3])
    more = f" (and {len(refused) - 3} more)" if len(refused) > 3 else ""
    who = ", ".join(service.principals) or "nobody"
    return f"{who}: {shown}{more}" if refused else f"{who}: granted"


def _found_by(service: Service) -> str:
    return ", ".join([service.uri, *(f"{name}={value}" for name, value in sorted(service.env.items()))])


def _answers(service: Service) -> str:
    size = sum(reply.body.size for exchange in service.tape.values() for reply in exchange.replies)
    return f"{count(len(service.tape), 'answer')}, {size:,} bytes"


def _readable(relation: Relation) -> str:
    return "granted" if relation.readable else "denied"


def _seen(column: str, relation: Relation) -> str:
    return "granted" if column in relation.columns else "hidden"


def _policies(relation: Relation) -> str | None:
    return _joined(relation.policies)


def _joined(values: dict[str, str]) -> str | None:
    return "; ".join(f"{name}: {value}" for name, value in sorted(values.items())) or None


def _short(digest: str | None) -> str | None:
    return digest and digest.removeprefix("sha256:")[:12]
