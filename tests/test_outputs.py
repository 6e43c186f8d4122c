"""Outputs of runs, files and folders, read and compared."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from replay.compare.tolerance import noise_floor
from replay.errors import CompareError
from replay.movement import divergence_of, key_overlap, shift_of
from replay.outputs import compare_outputs, compare_paths
from replay.record import OutputRecord, OutputSpec
from replay.store.memory import MemoryStore
from tests.comparing import compare, fails, kinds

KEYED = OutputSpec(path="scores.csv", key=("id",))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def record(store: MemoryStore, spec: OutputSpec, *files: tuple[str, bytes]) -> OutputRecord:
    return OutputRecord(spec=spec, files={name: store.put(content) for name, content in files})


def single(store: MemoryStore, path: str, content: bytes) -> OutputRecord:
    return record(store, OutputSpec(path=path), (path, content))


def scores(store: MemoryStore, text: str) -> dict[str, OutputRecord]:
    return {"scores": record(store, KEYED, ("scores.csv", text.encode()))}


def test_equal_bytes_end_it_even_where_the_file_cannot_be_read(tmp_path: Path) -> None:
    assert compare(tmp_path, "id,id\n1\n", "id,id\n1\n", key=("nothing",)) is None


def test_the_same_value_written_otherwise_is_a_finding_of_its_own(tmp_path: Path) -> None:
    found = compare(tmp_path, "id,x\na,1.0\nb,2.5\n", "id,x\na,1.00\nb,2.5\n", key=("id",))
    assert found is not None
    assert (found.kind, found.matters) == ("encoding", False)
    assert "x: 1 cell written differently, 1.0 -> 1.00 in row 1" in found.sentence


def test_another_dialect_is_named(tmp_path: Path) -> None:
    found = compare(tmp_path, "id,x\na,1\n", b"\xef\xbb\xbf" + b'id;x\r\n"a";1\r\n', key=("id",))
    assert found is not None
    assert found.kind == "encoding"
    assert found.numbers["reasons"] == [
        "delimiter ',' -> ';'",
        "line ends LF -> CRLF",
        "byte order mark no -> yes",
        "quotes no -> yes",
    ]


def test_mixed_line_ends_are_named(tmp_path: Path) -> None:
    found = compare(tmp_path, "id,x\na,1\nb,2\n", "id,x\r\na,1\nb,2\r\n", key=("id",))
    assert found is not None
    assert found.numbers["reasons"] == ["line ends LF -> mixed"]


def test_leading_zeros_make_text(tmp_path: Path) -> None:
    found = compare(tmp_path, "id,zip\na,01234\nb,99999\n", "id,zip\na,1234\nb,99999\n", key=("id",))
    assert kinds(found) == ["type", "cells"]


def test_identifiers_with_more_digits_than_a_float_holds_stay_exact(tmp_path: Path) -> None:
    good, bad = (f"id,n\na,12345678901234567{end}\nb,1.5\n" for end in "89")
    assert kinds(compare(tmp_path, good, bad, key=("id",))) == ["cells"]


def test_numbers_that_overflow_a_float_stay_apart(tmp_path: Path) -> None:
    assert kinds(compare(tmp_path, "id,n\na,1e400\n", "id,n\na,1e500\n", key=("id",))) == ["cells"]


def test_an_empty_cell_is_null_and_nan_is_not(tmp_path: Path) -> None:
    found = compare(tmp_path, "id,x\na,1.5\nb,nan\n", "id,x\na,\nb,\n", key=("id",))
    assert kinds(found) == ["nulls"]
    assert found is not None
    assert found.children[0].numbers["became_null"] == 2


def test_cells_may_hold_the_delimiter_and_line_ends(tmp_path: Path) -> None:
    found = compare(tmp_path, 'id,x\na,"1,\n2"\n', 'id,x\na,"1,\n3"\n', key=("id",))
    assert kinds(found) == ["cells"]


def test_tab_separated_and_packed_files(tmp_path: Path) -> None:
    assert kinds(compare(tmp_path / "1", "id\tx\na\t1,5\n", "id\tx\na\t1,6\n", "scores.tsv", key=("id",))) == ["cells"]
    good, bad = (gzip.compress(b"id,x\na,1\n", mtime=mtime) for mtime in (1, 2))
    found = compare(tmp_path / "2", good, bad, "scores.csv.gz", key=("id",))
    assert found is not None
    assert found.kind == "encoding"


def test_a_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    error = fails(tmp_path, 'id,x\na,"1\n1"\nb\n', "id,x\na,1\n")
    assert error.what == "scores.csv: line 4 has 1 cells where the header has 2"


def test_another_encoding_is_named_by_byte_and_line(tmp_path: Path) -> None:
    error = fails(tmp_path, "id,x\na,é\n".encode("latin-1"), "id,x\na,1\n")
    assert error.what == "scores.csv is not UTF-8: byte 0xe9 in line 2 (offset 7)"
    assert "UTF-16" in fails(tmp_path / "16", "id,x\na,1\n".encode("utf-16"), "id,x\na,1\n").what


def test_a_column_twice_is_an_error(tmp_path: Path) -> None:
    assert "the column id more than once" in fails(tmp_path, "id,id\na,1\n", "id,x\na,1\n").what
    assert "'id' is there twice" in fails(tmp_path / "2", '{"id": 1, "id": 2}', "{}", "scores.json").what


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    for number, name in enumerate(("scores.csv", "scores.json", "scores.jsonl", "scores.parquet")):
        assert fails(tmp_path / str(number), "", "id,x\na,1\n", name).what == f"{name} is empty"


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "whole.parquet"
    parquet.write_table(pa.table({"id": [1, 2]}), path)
    whole = path.read_bytes()
    for number, cut in enumerate((whole[:-9], whole[:4], b"PAR1" + b"\xff" * 50 + b"PAR1")):
        assert "no readable parquet file" in fails(tmp_path / str(number), cut, whole, "scores.parquet").what
    assert "line 1, column 9" in fails(tmp_path / "json", '{"id": 1', "{}", "scores.json").what
    assert "line 2" in fails(tmp_path / "jsonl", '{"id": 1}\n{"id"', '{"id": 1}\n', "scores.jsonl").what
    assert "cannot be read" in fails(tmp_path / "gz", gzip.compress(b"id\n1\n")[:-9], "x", "scores.csv.gz").what


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert kinds(compare(tmp_path, "id,x\n", "id,x\na,1\n", key=("id",))) == ["rows"]


def test_parquet_and_feather_keep_their_types(tmp_path: Path) -> None:
    plain = pa.table({"id": [1, 2], "plan": ["a", "b"], "n": [2**53, 2**53 + 1]})
    coded = plain.set_column(1, "plan", plain["plan"].dictionary_encode())
    moved = plain.set_column(2, "n", pa.array([2**53, 2**53 + 2]))
    for name, write in (("scores.parquet", parquet.write_table), ("scores.feather", feather.write_feather)):
        contents = []
        for table in (plain, coded, moved):
            write(table, tmp_path / name)
            contents.append((tmp_path / name).read_bytes())
        same = compare(tmp_path / "same" / name, contents[0], contents[1], name, key=("id",))
        assert same is not None
        assert same.kind == "encoding"
        assert "type of plan string -> dictionary" in same.sentence
        assert kinds(compare(tmp_path / "moved" / name, contents[0], contents[2], name, key=("id",))) == ["cells"]


def test_json_lines_are_a_table(tmp_path: Path) -> None:
    good, bad = '{"id": 1, "x": 1.5}\n{"id": 2, "x": null}\n', '{"x": 1.5, "id": 1}\n{"id": 2, "x": 1}\n'
    assert kinds(compare(tmp_path / "1", good, bad, "s.jsonl", key=("id",))) == ["order", "nulls"]
    mixed = '{"id": 1, "x": "a"}\n{"id": 2, "x": 1}\n', '{"id": 1, "x": "a"}\n{"id": 2, "x": "1"}\n'
    assert kinds(compare(tmp_path / "2", *mixed, "s.jsonl", key=("id",))) == ["cells"]


def test_text_in_json_lines_that_looks_like_a_date_stays_text(tmp_path: Path) -> None:
    good, bad = '{"id": 1, "day": "2024-01-01"}\n', '{"id": 1, "day": "2024-01-01 00:00:00"}\n'
    assert kinds(compare(tmp_path, good, bad, "s.jsonl", key=("id",))) == ["cells"]


def test_json_is_a_document_and_with_a_key_its_list_is_a_table(tmp_path: Path) -> None:
    good, bad = '[{"id": 1, "x": 1}, {"id": 2, "x": 2}]', '[{"id": 2, "x": 2}, {"id": 1, "x": 1}]'
    assert kinds(compare(tmp_path / "1", good, bad, "s.json", key=("id",))) == ["order"]
    assert kinds(compare(tmp_path / "2", good, bad, "s.json")) == ["path"] * 4
    same = compare(tmp_path / "3", '{"auc": 0.80}', '{"auc": 0.8}', "s.json")
    assert same is not None
    assert same.kind == "encoding"


def test_a_name_that_says_nothing_is_judged_by_its_first_bytes(tmp_path: Path) -> None:
    assert kinds(compare(tmp_path / "1", '{"a": 1}', '{"a": 2}', "metrics")) == ["path"]
    for number, bad in enumerate((b"\0\1", b'{"a": ', b"")):
        found = compare(tmp_path / f"b{number}", b'{"a": 1}', bad, "metrics")
        assert found is not None
        assert found.kind == "bytes"


def test_two_formats_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(CompareError, match="different formats"):
        compare_paths(tmp_path / "a.csv", tmp_path / "b.json", KEYED)


def test_a_path_that_is_not_there_and_a_file_against_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(CompareError, match="is not there"):
        compare_paths(tmp_path / "a.csv", tmp_path / "b.csv", KEYED)
    with pytest.raises(CompareError, match="one is a folder"):
        compare_paths(tmp_path / "a.csv", tmp_path, KEYED)


def test_folders_are_matched_by_relative_path(tmp_path: Path) -> None:
    for side, number in (("good", 1), ("bad", 2)):
        (tmp_path / side / "sub").mkdir(parents=True)
        (tmp_path / side / "sub" / "scores.csv").write_text(f"id,x\na,{number}\n")
        (tmp_path / side / "summary.csv").write_text(f"mean\n{number}\n")  # has no key, and needs none in a folder
        (tmp_path / side / "same.txt").write_text("same")
    (tmp_path / "good" / "gone.txt").write_text("x")
    found = compare_paths(tmp_path / "good", tmp_path / "bad", KEYED)
    assert found is not None
    assert [(child.name, child.kind) for child in found.children] == [
        ("gone.txt", "missing"),
        ("sub/scores.csv", "group"),
        ("summary.csv", "group"),
    ]
    assert found.sentence == "good: 3 of 4 files differ"
    assert compare_paths(tmp_path / "good", tmp_path / "good", KEYED) is None


def test_the_outputs_of_two_runs(store: MemoryStore) -> None:
    good = scores(store, "id,x\na,1.5\nb,2\n") | {"log": single(store, "log.txt", b"same")}
    bad = scores(store, "id,x\na,2.5\nb,2\n") | {"log": single(store, "log.txt", b"same")}
    assert compare_outputs(good, good, store) is None
    found = compare_outputs(good, bad, store)
    assert found is not None
    assert found.lines()[:2] == ["outputs: 1 of 2 files differ", "  scores: 1 column changed (x)"]
    assert found.matters


def test_an_output_that_one_run_did_not_write(store: MemoryStore) -> None:
    spec = OutputSpec(path="out")
    good = {"out": record(store, spec, ("out/a.txt", b"1"), ("out/b.txt", b"2"))}
    bad = {"out": OutputRecord(spec=spec)}
    found = compare_outputs(good, bad, store)
    assert found is not None
    assert found.lines()[1:] == ["  out: not written on the bad side"]
    assert compare_outputs(bad, bad, store) is None
    assert divergence_of(good, bad, store) == 1.0


def test_only_order_does_not_matter(store: MemoryStore) -> None:
    found = compare_outputs(scores(store, "id,x\na,1\nb,2\n"), scores(store, "id,x\nb,2\na,1\n"), store)
    assert found is not None
    assert not found.matters
    assert found.sentence == "outputs: nothing that matters differs"


def test_the_noise_of_repeats_excuses_as_much_and_no_more(store: MemoryStore) -> None:
    first, again = scores(store, "id,x\na,1.5\nb,2\n"), scores(store, "id,x\na,1.25\nb,2\n")
    noise = noise_floor([compare_outputs(first, again, store)])
    assert noise == {"scores": {"x": 0.5}}
    within = compare_outputs(first, scores(store, "id,x\na,1.75\nb,2\n"), store, noise)
    beyond = compare_outputs(first, scores(store, "id,x\na,3.5\nb,2\n"), store, noise)
    assert within is not None
    assert not within.matters
    assert beyond is not None
    assert beyond.matters


def test_rows_that_both_have(store: MemoryStore) -> None:
    good, bad = scores(store, "id,x\na,1\nb,2\nc,3\n"), scores(store, "id,x\nc,3\nd,4\n")
    assert key_overlap(good, bad, store) == 0.5
    assert compare_outputs(good, bad, store, common_rows=True) is None
    assert compare_outputs(good, bad, store) is not None


def test_without_keys_there_is_no_overlap_to_speak_of(store: MemoryStore) -> None:
    outputs = {"metrics": single(store, "metrics.json", b'{"auc": 1}')}
    assert key_overlap(outputs, outputs, store) is None
    assert key_overlap(scores(store, "id,x\na,1\n"), scores(store, "id,x\nb,1\n"), store) == 0.0


def test_the_divergence_is_the_mean_over_the_files(store: MemoryStore) -> None:
    good = scores(store, "id,x\na,u\nb,v\n") | {"m": single(store, "m.bin", b"\0")}
    bad = scores(store, "id,x\na,u\nb,w\n") | {"m": single(store, "m.bin", b"\0")}
    assert divergence_of(good, bad, store) == 0.25
    assert divergence_of(good, good, store) == 0.0


def test_the_shift_of_every_column_whatever_the_keys(store: MemoryStore) -> None:
    good = "id,x,y\n" + "".join(f"a{i},{i},{i % 7}\n" for i in range(700))
    bad = "id,x,y\n" + "".join(f"b{i},{i + 300},{i % 7}\n" for i in range(700))
    shifts = shift_of(scores(store, good), scores(store, bad), store)
    assert {place: shift.shifted for place, shift in shifts.items()} == {"scores/x": True, "scores/y": False}
    assert shifts["scores/x"].sentence.startswith("scores/x: distribution shifted: PSI")


@pytest.mark.parametrize("name", ["scores.parquet", "scores.feather", "scores.jsonl", "scores.csv"])
def test_a_damaged_file_is_a_finding_or_a_clear_error(tmp_path: Path, name: str) -> None:
    table = pa.table({"id": [1, 2, 3], "plan": ["a", None, "cé"], "x": [1.5, None, float("nan")]})
    good, bad = tmp_path / "good" / name, tmp_path / "bad" / name
    for path in (good, bad):
        path.parent.mkdir()
    if name.endswith("parquet"):
        parquet.write_table(table, good)
    elif name.endswith("feather"):
        feather.write_feather(table, good, compression="uncompressed")
    else:
        text = (
            "id,plan,x\n1,a,1.5\n2,,\n3,cé,nan\n" if name.endswith("csv") else '{"id": 1, "plan": "cé", "x": NaN}\n' * 3
        )
        good.write_text(text, encoding="utf-8")
    whole = good.read_bytes()
    ends = {"equal": 0, "finding": 0, "error": 0}
    for place in range(0, len(whole), 1 + len(whole) // 400):
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = compare_paths(good, bad, OutputSpec(path=name))
            ends["equal" if found is None else "finding"] += 1
        except CompareError:
            ends["error"] += 1
    assert ends["equal"] == 0
    assert ends["error"] > 0


def test_a_decision_that_no_side_has_is_an_error(tmp_path: Path) -> None:
    for name, x in (("a.csv", 1), ("b.csv", 2)):
        (tmp_path / name).write_text(f"id,x\n1,{x}\n")
    with pytest.raises(CompareError, match=r"a\.csv -> b\.csv has no column churn to use as the decision"):
        compare_paths(tmp_path / "a.csv", tmp_path / "b.csv", OutputSpec(path="", key=("id",), decision="churn"))


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    table = pa.table({"id": range(1000), "x": [float(i) for i in range(1000)]})
    for name in ("a.parquet", "b.parquet"):
        parquet.write_table(table, tmp_path / name, row_group_size=250)
    data = bytearray((tmp_path / "b.parquet").read_bytes())
    for place in range(200, 900):
        data[place] ^= 0xFF
    (tmp_path / "b.parquet").write_bytes(bytes(data))
    with pytest.raises(CompareError, match=r"b\.parquet is no readable parquet file \(row group 1 of 4\)"):
        compare_paths(tmp_path / "a.parquet", tmp_path / "b.parquet", OutputSpec(path="", key=("id",)))


def test_what_was_asked_of_two_files_is_not_read_again(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = scores(store, "id,x\na,1\nb,2\n"), scores(store, "id,x\na,1\nb,3.5\n")
    asked = divergence_of(good, bad, store), key_overlap(good, bad, store), shift_of(good, bad, store)
    read: list[str] = []
    path = store.path
    monkeypatch.setattr(store, "path", lambda digest: read.append(digest) or path(digest))
    assert (divergence_of(good, bad, store), key_overlap(good, bad, store), shift_of(good, bad, store)) == asked
    assert not read
    assert (divergence_of(good, good, store), key_overlap(good, good, store)) == (0.0, 1.0)
    assert not read


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_large_text_is_told_as_a_small_one_is(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is said of two small files is said of them again when they are taken for too large for memory."""
    rows = [(number, number * 0.5, f"plan {number % 3}") for number in range(500)]

    def text(written: str, more: float = 0.0) -> str:
        if kind == "csv":
            return "id,score,plan\n" + "".join(f"{i},{format(s + more, written)},{p}\n" for i, s, p in rows)
        line = '{{"id": {}, "score": {}, "plan": "{}"}}\n'
        return "".join(line.format(i, format(s + more, written), p) for i, s, p in rows)

    pairs = {"written": text(".2f"), "moved": text(".1f", 1.0), "short": text(".1f")[: -len(text(".1f")) // 2]}
    pairs["short"] = pairs["short"][: pairs["short"].rindex("\n") + 1]
    for name, other in pairs.items():
        small = compare(tmp_path / "small" / name, text(".1f"), other, f"scores.{kind}", key=("id",))
        with monkeypatch.context() as low:
            low.setattr("replay.matches.LARGE", 1)
            large = compare(tmp_path / "large" / name, text(".1f"), other, f"scores.{kind}", key=("id",))
        assert small is not None
        assert large is not None
        assert large.lines() == small.lines()
        assert name != "written" or kind != "csv" or "0.0 -> 0.00 in row 1" in large.sentence
