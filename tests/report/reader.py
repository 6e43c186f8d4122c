"""Reads a report as a browser would: its tags, its text, the rows of its tables."""

from __future__ import annotations

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects tags and text; fails on a tag that is closed and was not open, and on anything that could act."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self._texts: list[str] = []
        self._tables: dict[str, list[list[str]]] = {}
        self._table: list[list[str]] = []
        self.feed(document)

    @property
    def words(self) -> str:
        """The text of the body, with single spaces between its pieces."""
        return " ".join(" ".join(self._texts).split()).replace(" .", ".")

    def rows(self, table: str) -> list[list[str]]:
        """The cells of the table with this class."""
        return self._tables[table]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = {name for name, _ in attrs}
        assert not names & {"src", "href", "action"}
        assert not any(name.startswith("on") for name in names)
        if tag == "table":
            self._table = self._tables.setdefault(dict(attrs).get("class") or "", [])
        if tag == "tr":
            self._table.append([])
        if tag in {"td", "th"}:
            self._table[-1].append("")
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "body" in self.open:
            self._texts.append(data)
        if "tr" in self.open:
            self._table[-1][-1] += data
