"""Trouble: each kind is a clear error with its exit code, nothing is left behind, and earlier runs stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import zlib
from pathlib import Path

import pytest

from tests.cli.conftest import JOB, TOML, Shop

SLEEPER = "import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(600)\n"


@pytest.fixture(autouse=True)
def earlier(shop: Shop):  # noqa: ANN201
    """Every trouble comes after a run that went well; it must still be there and reproduce afterwards."""
    shop.bind("earlier")
    yield
    shop.declare()
    shop.environ.clear()
    assert shop.replay("rerun", "earlier").code == 0
    shop.sound()


def test_a_job_that_fails_is_recorded_and_its_last_lines_are_shown(shop: Shop) -> None:
    shop.job(source="raise SystemExit('no such column: tenure')")
    ended = shop.replay("run", "--tag", "broken")
    assert ended.code == 2
    assert "failed with exit code 1" in ended.explains()[0]
    assert "| no such column: tenure" in ended.err
    assert shop.replay("show", "broken", "--log").out.strip() == "no such column: tenure"
    assert "GOOD" in shop.replay("bisect", "broken", "earlier").explains()[0]


def test_a_job_that_hangs_is_stopped(shop: Shop) -> None:
    shop.declare(timeout=1)
    shop.job(source=SLEEPER)
    ended = shop.replay("run", "--json")
    assert ended.code == 2
    assert ended.json["record"]["ended"] == "timeout"
    assert "timeout" in ended.explains()[0]


def test_an_output_that_is_missing_is_said(shop: Shop) -> None:
    shop.job(source="print('all fine')")
    ended = shop.replay("run")
    assert ended.code == 2
    assert "left a declared output unwritten" in ended.explains()[0]
    assert "out/scores.csv was not written" in ended.out


def test_an_output_that_is_a_link_elsewhere_is_not_followed(shop: Shop) -> None:
    shop.job(source="import os; os.symlink('/etc/passwd', 'out/scores.csv')")
    assert shop.replay("run").code == 2
    assert b"root:" not in everything(shop)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(shop: Shop, stopped, number: int) -> None:  # noqa: ANN001
    shop.job(source=SLEEPER)
    process = shop.start("run")
    ended = stopped(process, number, lambda: any((shop.root / ".replay/tmp").glob("*/*/work/started")))
    assert ended.code != 0
    assert "Traceback" not in ended.err
    if number == signal.SIGINT:
        assert ended.code == 130
        assert "interrupted" in ended.explains()[0]
    assert [entry["tags"] for entry in shop.replay("log", "--json").json["runs"]] == [["earlier"]]


def test_what_a_killed_run_leaves_the_next_one_clears(shop: Shop, stopped) -> None:  # noqa: ANN001
    shop.job(source=SLEEPER)
    process = shop.start("run")
    stopped(process, signal.SIGKILL, lambda: any((shop.root / ".replay/tmp").glob("*/*/work/started")))
    shop.replay("log")
    assert not list((shop.root / ".replay/tmp").iterdir())


def test_a_bisect_killed_at_half_runs_no_finished_probe_again(shop: Shop, stopped) -> None:  # noqa: ANN001
    slow = f"import time; time.sleep(0.7)\n{JOB}"
    shop.job(source=slow)
    shop.bind("good")
    shop.job(offset=1, source=slow)
    shop.bind("bad", LOG_LEVEL="x")

    def probes() -> int:
        return sum(entry.reason == "probe" for entry in shop.store.runs())

    stopped(shop.start("bisect", "good", "bad"), signal.SIGKILL, lambda: probes() >= 3)
    before = probes()
    found = shop.replay("bisect", "good", "bad", "--resume", "--json")
    assert found.code == 0, found.err
    assert found.json["probes"]["cached"] == before
    assert found.json["probes"]["run"] == 8 - before
    assert probes() == 8
    assert shop.replay("bisect", "bad", "good", "--resume").code == 2


def test_an_input_that_changes_while_the_job_runs_is_said(shop: Shop) -> None:
    place = shop.root / "data/customers.csv"
    shop.job(source=f"open({str(place)!r}, 'a').write('9,9\\n')\n{JOB}")
    ended = shop.replay("run", "--json")
    assert ended.json["record"]["changed_inputs"] == ["data/customers.csv"]
    shop.customers()


def test_a_base_that_is_not_there(shop: Shop) -> None:
    shop.declare(runtime='python = "3.2"')
    ended = shop.replay("run")
    assert ended.code == 2
    assert "3.2" in ended.explains()[0]


def test_no_engine_where_docker_is_asked_for(shop: Shop) -> None:
    ended = shop.replay("run", "--engine", "docker", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert ended.code == 2
    ended.explains()


def test_a_wheel_that_is_gone_everywhere(shop: Shop) -> None:
    (shop.root / "requirements.txt").write_text("six==1.17.0\n")
    shop.declare(runtime='requirements = "requirements.txt"')
    shop.bind("with-six")
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    assert shop.replay("rerun", "with-six", **offline).code == 0
    (wheel,) = json.loads(shop.replay("show", "with-six", "--layer", "runtime").out)["packages"]["wheels"].values()
    blob = shop.root / ".replay/blobs/sha256" / wheel["blob"].removeprefix("sha256:")
    kept = blob.read_bytes()
    for cached in ("trees", "unpacked"):
        subprocess.run(["rm", "-rf", shop.root / ".replay/cache" / cached], check=True)
    blob.unlink()
    ended = shop.replay("rerun", "with-six", **offline)
    assert ended.code == 2
    assert "six" in ended.explains()[0]
    blob.write_bytes(kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk(shop: Shop, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    try:
        shop.environ["REPLAY_STORE"] = str(disk / "store")
        shop.bind("small")
        (shop.root / "data/customers.csv").write_text("id,tenure\n" + "1,2\n" * 1_000_000)
        ended = shop.replay("run")
        assert ended.code == 2
        assert "No space left" in ended.err or "full" in ended.err
        assert shop.replay("fsck").code == 0
        assert shop.replay("show", "small").code == 0
    finally:
        subprocess.run(["umount", disk], check=True)
        shop.customers()


def test_a_secret_is_nowhere(shop: Shop) -> None:
    secret = "s3cr3t-Zx81-passphrase"
    shop.declare(runtime='secrets = ["DB_PASSWORD"]')
    shop.job(
        source=f"print('connecting with', os.environ['DB_PASSWORD'])\n{JOB}".replace("print", "import os\nprint", 1)
    )
    ended = shop.replay("run", "--tag", "secret", DB_PASSWORD=secret)
    assert ended.code == 0, ended.err
    assert secret not in ended.out + ended.err
    assert "connecting with" in shop.replay("show", "secret", "--log").out
    assert secret.encode() not in everything(shop)
    missing = shop.replay("rerun", "secret")
    assert missing.code == 2
    assert "DB_PASSWORD is not set" in missing.explains()[0]


def everything(shop: Shop) -> bytes:
    """All bytes of the store, compressed streams opened where they are."""
    found = b""
    for path in sorted((shop.root / ".replay").rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += data
            try:
                found += zlib.decompress(data)
            except zlib.error:
                pass
    return found


HOSTILE = "evil\x1b[2J\x07\u202ename"


def test_hostile_names_never_reach_the_terminal_raw(shop: Shop) -> None:
    (shop.root / "parts").mkdir()
    (shop.root / "parts" / f"{HOSTILE}.csv").write_text("id\n1\n")
    (shop.root / "replay.toml").write_text(
        TOML.format(timeout=60, base="", runtime="") + '\n[data.parts]\npath = "parts"\n'
    )
    ended = shop.replay("run", "--tag", "hostile")
    assert ended.code == 0, ended.err
    (shop.root / "parts" / f"{HOSTILE}.csv").write_text("other\n1\n")
    (shop.root / "score.py").rename(shop.root / f"{HOSTILE}.py")
    (shop.root / "replay.toml").write_text(
        TOML.format(timeout=60, base="", runtime="").replace(
            "score.py", HOSTILE.replace("\x1b", "\\u001b").replace("\x07", "\\u0007") + ".py"
        )
    )
    printed = ended.out + ended.err
    for words in (("run", "--tag", "h2"), ("diff", "hostile", "h2"), ("show", "h2"), ("bisect", "hostile", "h2")):
        ended = shop.replay(*words)
        printed += ended.out + ended.err
    assert "\x1b" not in printed
    assert "\x07" not in printed
    (shop.root / f"{HOSTILE}.py").rename(shop.root / "score.py")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("", "job"),
        ("\x00\x01", "TOML"),
        ("[job\n", "TOML"),
        (TOML.replace("command", "comand"), "unknown key job.comand"),
        (TOML.replace('path = "out/scores.csv"', 'path = "../scores.csv"'), "outside the project"),
        (TOML.replace('path = "data/customers.csv"', 'path = "/etc/passwd"'), "outside the project"),
        (
            TOML.replace('decision = "leaves"', "").replace('key = "id"\n\n[outputs', "\n[outputs").rsplit("key", 1)[0],
            "key",
        ),
        (TOML.replace("[runtime]", "[runtime]\nset = 5"), "runtime.set"),
        (TOML.replace('name = "churn"', "name = 7"), "job.name"),
        (TOML.replace('"score.py"]\n\n[data', '"gone.py"]\n\n[data'), "gone.py is not in"),
        (TOML.replace("[runtime]", "[runtime]\nrequirements = 'gone.txt'"), "gone.txt"),
        ("# " + "x" * 10_000_000, "job"),
    ],
)
def test_a_replay_toml_that_cannot_be_used(shop: Shop, toml: str, said: str) -> None:
    text = toml.replace("{timeout}", "60").replace("{base}", "").replace("{runtime}", "")
    (shop.root / "replay.toml").write_text(text)
    ended = shop.replay("run")
    assert ended.code == 2
    assert said in "".join(ended.explains())[:2000]


def test_a_replay_toml_in_another_encoding(shop: Shop) -> None:
    (shop.root / "replay.toml").write_bytes(TOML.encode("utf-16"))
    assert "not UTF-8" in shop.replay("run").explains()[0]


@pytest.mark.parametrize("ref", ["nothing", "last~99", "ffffffff", "../../etc", "\x1b[31m", ""])
def test_a_reference_to_nothing(shop: Shop, ref: str) -> None:
    ended = shop.replay("show", ref)
    assert ended.code == 2
    assert "\x1b" not in ended.err
    ended.explains()


def test_outside_any_project(tmp_path: Path, shop: Shop) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ended = Shop(elsewhere).replay("run")
    assert ended.code == 2
    assert "no replay.toml" in ended.explains()[0]


def test_good_and_bad_that_are_one_state_or_swapped_or_of_two_jobs(shop: Shop) -> None:
    same = shop.replay("bisect", "earlier", "earlier", "--json")
    assert (same.code, same.json["verdict"]) == (1, "no-difference")
    shop.job(offset=1)
    shop.bind("later")
    swapped = shop.replay("bisect", "later", "earlier", "--json").json
    assert swapped["culprits"][0]["changes"] == ["pipeline/score.py"]
    toml = (shop.root / "replay.toml").read_text()
    (shop.root / "replay.toml").write_text(toml.replace('name = "churn"', 'name = "other"'))
    shop.bind("other-job")
    assert "different jobs" in shop.replay("bisect", "earlier", "other-job").explains()[0]
    shop.job()


@pytest.mark.parametrize(
    ("test", "said"),
    [("/nonexistent/judge", "broke"), ("false-and-wrong; exit", "broke"), ("true", "does not tell GOOD from BAD")],
)
def test_a_test_that_breaks_convicts_nobody(shop: Shop, test: str, said: str) -> None:
    shop.job(offset=1)
    shop.bind("bad")
    ended = shop.replay("bisect", "earlier", "bad", "--test", test)
    assert ended.code == 2
    assert said in ended.explains()[0]


def test_a_nondeterministic_job_is_said_to_be_one(shop: Shop) -> None:
    shop.job(source=JOB.replace("rows = list", "import random\nrows = list").replace("+ OFFSET", "+ random.random()"))
    shop.bind("x")
    shop.bind("y", LOG_LEVEL="x")
    ended = shop.replay("bisect", "x", "y", "--json")
    assert (ended.code, ended.json["verdict"], ended.json["culprits"]) == (3, "nondeterministic", [])
    assert shop.replay("verify", "x", "y").code == 1
    shop.job()


def test_a_job_that_reads_the_day_does_not_reproduce_and_nobody_is_blamed(shop: Shop) -> None:
    """Something outside the state decides: a file that the job reads beside its declared inputs."""
    hidden = shop.root.parent / "hidden"
    hidden.write_text("0")
    shop.job(source=JOB.replace("+ OFFSET", f"+ int(open({str(hidden)!r}).read())"))
    shop.bind("x")
    hidden.write_text("5")
    shop.bind("y", LOG_LEVEL="x")
    ended = shop.replay("bisect", "x", "y", "--json")
    assert (ended.code, ended.json["verdict"]) == (3, "outside-the-state")
    assert ended.json["culprits"] == []
    shop.job()


def test_a_bad_run_that_crashes_names_what_makes_it_crash(shop: Shop) -> None:
    shop.job(source="raise SystemExit(7)")
    assert shop.replay("run", "--tag", "crash", LOG_LEVEL="x").code == 2
    ended = shop.replay("bisect", "earlier", "crash", "--json")
    assert ended.code == 0, ended.err
    assert [culprit["changes"] for culprit in ended.json["culprits"]] == [["pipeline/score.py"]]
    shop.job()


def test_odd_things_written_beside_an_output_are_left_out_and_said(shop: Shop) -> None:
    toml = (shop.root / "replay.toml").read_text().replace('path = "out/scores.csv"', 'path = "out/"')
    (shop.root / "replay.toml").write_text(toml)
    odd = "import os; os.mkfifo('out/pipe'); os.symlink('/etc/passwd', 'out/link'); open(b'out/\\xff', 'w')\n"
    shop.job(source=odd + JOB)
    ended = shop.replay("run", "--json")
    assert ended.code == 0, ended.err
    record = ended.json["record"]
    assert list(record["outputs"]["scores"]["files"]) == ["out/scores.csv", "out/\\xff"]
    assert len(record["findings"]) == 2


def test_an_output_behind_a_link_is_not_read(shop: Shop) -> None:
    shop.job(source="import os; os.rmdir('out'); os.symlink('/etc', 'out')")
    toml = (
        (shop.root / "replay.toml")
        .read_text()
        .replace("out/scores.csv", "out/passwd")
        .replace('key = "id"\ndec', "dec")
    )
    (shop.root / "replay.toml").write_text(toml)
    assert shop.replay("run").code == 2
    assert b"root:" not in everything(shop)


def test_an_interrupted_bisect_of_several_jobs_leaves_no_job(shop: Shop, stopped) -> None:  # noqa: ANN001
    slow = f"import time, pathlib; pathlib.Path('started').touch(); time.sleep(1)\n{JOB}"
    shop.job(source=slow)
    shop.bind("good")
    shop.job(offset=1, source=slow)
    shop.bind("bad", LOG_LEVEL="x")
    process = shop.start("bisect", "good", "bad", "--jobs", "2")
    ended = stopped(process, signal.SIGINT, lambda: any((shop.root / ".replay/tmp").glob("*/*/work/started")))
    assert ended.code == 130
    assert not list((shop.root / ".replay/tmp").iterdir())
    assert shop.replay("bisect", "good", "bad").code == 0
