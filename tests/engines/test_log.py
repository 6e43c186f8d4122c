from __future__ import annotations

import json
import random
import urllib.parse

import pytest

from replay.engines.log import Log

SECRET = "p@ss wörd\n'quoted'"


def collected(pieces: list[bytes], secrets: dict[str, str], cap: int = 1000) -> bytes:
    log = Log(secrets, cap)
    for piece in pieces:
        log.add(piece)
    return log.end()


@pytest.mark.parametrize("seed", range(50))
def test_however_it_is_split(seed: int) -> None:
    chance = random.Random(seed)
    text = b"start abcabcabd and abcabd, abcab end"
    cuts = sorted(chance.choices(range(len(text)), k=8))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert collected(pieces, {"A": "abcabd", "B": "abc"}) == (
        b"start [secret B][secret A] and [secret A], [secret B]ab end"
    )


@pytest.mark.parametrize("form", [str, repr, json.dumps, urllib.parse.quote, urllib.parse.quote_plus])
def test_in_every_usual_form(form: object) -> None:
    printed = form(SECRET).encode()  # type: ignore[operator]
    log = collected([b"x ", printed, b" y"], {"DB": SECRET})
    assert b"[secret DB]" in log
    assert b"rd" not in log


def test_a_secret_that_the_job_had_no_time_to_finish() -> None:
    assert collected([b"the secret is correct hor"], {"A": "correct horse"}) == b"the secret is [secret A]"


def test_an_empty_secret_is_none() -> None:
    assert collected([b"text"], {"A": ""}) == b"text"


def test_cut_in_the_middle_and_said() -> None:
    log = collected([b"%05d" % number for number in range(1000)], {}, cap=100)
    assert log.startswith(b"00000000010000200003")
    assert log.endswith(b"0099800999")
    assert b"\n[... 4900 bytes cut here by Replay ...]\n" in log


def test_exactly_the_cap_is_not_cut() -> None:
    assert collected([b"x" * 99, b"y"], {}, cap=100) == b"x" * 99 + b"y"


def test_no_cut_uncovers_a_secret() -> None:
    log = collected([b"-" * 45, b"hush", b"hush", b"-" * 200], {"A": "hushhush"}, cap=100)
    assert b"hush" not in log
