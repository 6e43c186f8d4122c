"""A project in git: the verdict goes down to the hunk or the key, and names the commit that brought it."""

from __future__ import annotations

import subprocess

import pytest

from tests.cli.conftest import Shop

FILES = {
    "features.py": """
import json

PARAMS = json.load(open("params.json"))


def impute(row):
    return int(row["tenure"] or PARAMS["fill"])


def scaled(value):
    return value / PARAMS["scale"]
""",
    "score.py": """
import csv

from features import impute, scaled


def main():
    with open("data/customers.csv") as file, open("out/scores.csv", "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "score", "leaves"])
        for row in csv.DictReader(file):
            score = round(scaled(impute(row)), 6)
            writer.writerow([row["id"], score, int(score > 5)])


main()
""",
    "params.json": '{\n  "fill": 0,\n  "scale": 10,\n  "label": "autumn"\n}\n',
}


def git(shop: Shop, *words: str) -> None:
    named = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *words], cwd=shop.root, check=True, capture_output=True)


def commit(shop: Shop, subject: str, **texts: tuple[str, str]) -> None:
    """Commit replacements in files, by stem: `features=("old", "new")`."""
    for stem, (old, new) in texts.items():
        file = shop.root / next(name for name in FILES if name.startswith(f"{stem}."))
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    git(shop, "add", "-A")
    git(shop, "commit", "-q", "-m", subject)


@pytest.fixture
def repo(shop: Shop) -> Shop:
    toml = (shop.root / "replay.toml").read_text()
    (shop.root / "replay.toml").write_text(toml.replace('["score.py"]', '["score.py", "features.py", "params.json"]'))
    for name, text in FILES.items():
        (shop.root / name).write_text(text)
    (shop.root / ".gitignore").write_text(".replay/\nout/\n")
    git(shop, "init", "-q", "-b", "main")
    commit(shop, "the job")
    shop.bind("good")
    return shop


def test_the_verdict_names_hunk_and_commit(repo: Shop) -> None:
    commit(repo, "count nights", features=("import json\n", "import json\nimport math\n"))
    commit(repo, "tidy the writer", score=(', newline=""', ", newline=''"), params=('"autumn"', '"winter"'))
    commit(
        repo,
        "refit the scaler",
        features=('return value / PARAMS["scale"]', 'return math.floor(value / PARAMS["scale"])'),
    )
    commit(
        repo,
        "say who runs it",
        score=("\n\n\nmain()", "\n\nmain()"),
        features=("def impute", "# by the mean\ndef impute"),
    )
    repo.bind("bad")
    ended = repo.replay("bisect", "good", "bad", "--json")
    assert ended.code == 0, ended.err
    (culprit,) = ended.json["culprits"]
    assert culprit["changes"] == ["pipeline/features.py#3"]
    assert culprit["from"] == {"pipeline/features.py#3": '    return value / PARAMS["scale"]'}
    assert culprit["to"] == {"pipeline/features.py#3": '    return math.floor(value / PARAMS["scale"])'}
    ((said,),) = culprit["commits"].values()
    assert said.endswith(" refit the scaler")
    assert f'(commit pipeline@{said[:7]} "refit the scaler")' in ended.json["sentence"]
    assert "pipeline/params.json/label" in ended.json["cleared"]
    assert ended.json["probes"]["unresolved"] == 0
    text = repo.replay("bisect", "good", "bad", "--html", "report.html").out
    assert "refit the scaler" in text
    assert "math.floor(value" in (repo.root / "report.html").read_text()


def test_a_key_of_a_config_file_is_named(repo: Shop) -> None:
    commit(repo, "tune", params=('"scale": 10,\n  "label": "autumn"', '"scale": 12,\n  "label": "winter"'))
    repo.bind("bad")
    (culprit,) = repo.replay("bisect", "good", "bad", "--json").json["culprits"]
    assert culprit["changes"] == ["pipeline/params.json/scale"]
    assert (culprit["from"], culprit["to"]) == (
        {"pipeline/params.json/scale": "10"},
        {"pipeline/params.json/scale": "12"},
    )
    assert culprit["commits"]["pipeline/params.json/scale"][0].endswith(" tune")


def test_a_merge_is_opened(repo: Shop) -> None:
    git(repo, "switch", "-q", "-c", "branch")
    commit(repo, "on the branch", features=("return value /", "return 1 + value /"))
    commit(repo, "on the branch too", features=("PARAMS = json", "# read once\nPARAMS = json"))
    git(repo, "switch", "-q", "main")
    commit(repo, "meanwhile", score=("import csv\n", "import csv\nimport sys\n"))
    git(repo, "merge", "-q", "--no-ff", "-m", "merge it", "branch")
    repo.bind("bad")
    (culprit,) = repo.replay("bisect", "good", "bad", "--json").json["culprits"]
    assert culprit["changes"] == ["pipeline/features.py#2"]
    assert [said.split(" ", 1)[1] for said in culprit["commits"]["pipeline/features.py#2"]] == ["on the branch"]


def test_a_commit_whose_changes_require_each_other_is_the_change(repo: Shop) -> None:
    commit(
        repo,
        "rename",
        score=("impute", "fill_in"),
        features=("def impute(row):\n    return", "def fill_in(row):\n    return 1 +"),
    )
    commit(repo, "tune", params=('"autumn"', '"winter"'))
    repo.bind("bad")
    found = repo.replay("bisect", "good", "bad", "--json").json
    (culprit,) = found["culprits"]
    (name,) = culprit["changes"]
    assert name.startswith("pipeline@")
    assert culprit["relation"] == "inseparable"
    assert culprit["commits"][name] == [f"{name.removeprefix('pipeline@')} rename"]
    assert "def fill_in(row):" in culprit["to"][name]
    assert "pipeline/params.json/label" in found["cleared"]
    assert found["verdict"] == "execution-state-drift"
    assert found["probes"]["unresolved"] == 0


def test_changes_that_only_run_together_are_one_cause(repo: Shop) -> None:
    commit(repo, "give two", features=('return int(row["tenure"] or PARAMS["fill"])', "return 5, 1"))
    commit(repo, "take two", score=("scaled(impute(row))", "scaled(sum(impute(row)))"))
    commit(repo, "tune", params=('"autumn"', '"winter"'))
    repo.bind("bad")
    found = repo.replay("bisect", "good", "bad", "--json").json
    (culprit,) = found["culprits"]
    assert sorted(culprit["changes"]) == ["pipeline/features.py", "pipeline/score.py"]
    assert culprit["relation"] == "inseparable"
    assert found["gaps"]
    assert "pipeline/params.json/label" in found["cleared"]


@pytest.mark.parametrize("how", ["uncommitted", "no repository"])
def test_without_both_commits_there_is_no_commit_to_name(repo: Shop, how: str) -> None:
    file = repo.root / "features.py"
    file.write_text(file.read_text().replace("return value /", "return 2 * value /"))
    if how == "no repository":
        (repo.root / ".git").rename(repo.root / "gone")
    repo.bind("bad")
    (culprit,) = repo.replay("bisect", "good", "bad", "--json").json["culprits"]
    assert culprit["changes"] == ["pipeline/features.py"]
    assert culprit["commits"] == {}
