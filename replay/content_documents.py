"""YAML and TOML read into plain documents: nothing but objects, lists, texts, numbers, truth values and null.

YAML is read from its events, so that nothing in a file decides what is constructed (no tag makes an object) and
neither depth nor aliases cost more than the file is long.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from replay.compare.documents import too_deep
from replay.content_text import decoded, wrong

DEEPEST = 200
"""Levels of a document; each costs the walk through it several frames."""

REPEATED = 100_000
"""Values that aliases may add to those written out."""

_CORE: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"0|[-+]?[1-9][0-9]{0,3999}"), int),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)
"""YAML 1.2 core schema (10.3.2), decimal numbers alone: other ways of writing them mean something else to 1.1."""

_IDENTIFIER = re.compile(r"[-+]?0[0-9]+")


def parse_yaml(data: bytes, name: str) -> Any:
    """Return a YAML document; a list of them where the file holds several.

    Plain scalars are read by the core schema of YAML 1.2: a date, `yes` and `007` stay text. Keys are texts. A value
    with a tag of its own (`!Ref x`, `!!python/object`) is an object with that tag as its one key. `<<` is merged.
    Raises CompareError, with the line where there is one: no YAML, a key twice, not UTF-8, nested too deeply, aliases
    that multiply what is written.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: ten times faster
    reader = _Reader(name)
    try:
        for event in yaml.parse(decoded(data, name), Loader=loader):
            reader.read(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise wrong(name, f"{where}{error.problem}", "it was truncated, or written by hand") from error
    except yaml.YAMLError as error:
        raise wrong(name, str(error), "it is not YAML") from error
    except RecursionError:
        raise too_deep(name) from None
    return reader.documents[0] if len(reader.documents) == 1 else reader.documents


def parse_toml(data: bytes, name: str) -> Any:
    """Return a TOML document; dates and times are texts. Raises CompareError: no TOML (with the line), not UTF-8."""
    try:
        return _texts(tomllib.loads(decoded(data, name)))
    except ValueError as error:
        raise wrong(name, str(error), "it was truncated, or written by hand") from error
    except RecursionError:
        raise too_deep(name) from None


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_texts(part) for part in value]
    return value.isoformat() if isinstance(value, date | time) else value


@dataclass
class _Open:
    """A collection that is being read: its parts so far (keys and values in turn), and how many values they hold."""

    event: Any
    parts: list[Any] = field(default_factory=list)
    values: int = 1


@dataclass
class _Reader:
    """Builds documents from events. `anchors` holds what aliases stand for, with how many values that is."""

    name: str
    documents: list[Any] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    repeated: int = 0

    def read(self, event: Any) -> None:
        """Take the next event. Raises CompareError: nested too deeply, a key twice, aliases that multiply."""
        import yaml

        if isinstance(event, yaml.DocumentStartEvent):
            self.anchors = {}
        elif isinstance(event, yaml.ScalarEvent):
            if self._at_key():
                merge = event.value == "<<" and event.implicit[0]
                self._place(_MERGE if merge else event.value, 1, event)
            else:
                self._place(_scalar(event), 1, event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self.stack) >= DEEPEST:
                raise too_deep(self.name)
            self.stack.append(_Open(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.stack.pop()
            whole = done.parts if isinstance(event, yaml.SequenceEndEvent) else self._object(done)
            self._place(_tagged(whole, done.event), done.values, done.event)

    def _at_key(self) -> bool:
        import yaml

        top = self.stack[-1] if self.stack else None
        return top is not None and isinstance(top.event, yaml.MappingStartEvent) and len(top.parts) % 2 == 0

    def _place(self, value: Any, values: int, event: Any) -> None:
        """Put a value where it stands, and keep it under its anchor."""
        if event.anchor:
            self.anchors[event.anchor] = value, values
        self._put(value, values)

    def _put(self, value: Any, values: int) -> None:
        if not self.stack:
            self.documents.append(value)
            return
        self.stack[-1].parts.append(value)
        self.stack[-1].values += values

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.anchor not in self.anchors:
            raise wrong(
                self.name, f"line {line}: *{event.anchor} stands for nothing, or for itself", "it was written by hand"
            )
        value, values = self.anchors[event.anchor]
        self.repeated += values
        if self.repeated > REPEATED:
            what = f"line {line}: its aliases repeat more than {REPEATED:,} values"
            raise wrong(self.name, what, "aliases of aliases multiply (a 'billion laughs' file)")
        self._put(value, values)

    def _object(self, done: _Open) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Any] = []
        for key, value in zip(done.parts[::2], done.parts[1::2], strict=True):
            if key is _MERGE:
                merged += value if isinstance(value, list) else [value]
                continue
            text = key if isinstance(key, str) else json.dumps(key)
            if text in found:
                line = done.event.start_mark.line + 1
                raise wrong(self.name, f"the key {text!r} is there twice in the object from line {line} on", "a slip")
            found[text] = value
        for more in merged:  # what stands in the object itself goes first, then the first that is merged
            found = {**more, **found} if isinstance(more, dict) else {"<<": more, **found}
        return found


_MERGE = object()


def _scalar(event: Any) -> Any:
    """Return what a scalar says: by the schema where it is plain, text where it is quoted or told to be."""
    text: str = event.value
    if event.implicit[0] or (event.tag or "").removeprefix("tag:yaml.org,2002:") in {"null", "bool", "int", "float"}:
        if not _IDENTIFIER.fullmatch(text):
            for pattern, meant in _CORE:
                if pattern.fullmatch(text):
                    return meant(text)
        return text
    return text if event.implicit[1] else _tagged(text, event)


def _tagged(value: Any, event: Any) -> Any:
    """Return a value under its tag, where that says more than what kind of value it is."""
    tag = event.tag or "!"
    known = ("str", "binary", "timestamp", "seq", "map", "set", "omap", "pairs")
    if tag == "!" or tag.removeprefix("tag:yaml.org,2002:") in known:
        return value
    return {tag: value}
