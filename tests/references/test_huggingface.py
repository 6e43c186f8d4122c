"""References to Hugging Face repositories, against a server on this machine that has the hub's routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replay.errors import InputError
from replay.references.base import Gone, Ground
from replay.references.huggingface import HuggingFace
from replay.references.pin import reopened
from tests.references.conftest import Place
from tests.references.hub import TOKEN, Hub, Repo, serving

URI = "hf://datasets/acme/churn/data/customers.csv"
DECLARED = f'path = "data/customers.csv"\nuri = "{URI}"\nkey = "id"'
REFERRED = f"{DECLARED}\ncopy = false"
FILE = "data/customers.csv"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        hub.repos["datasets/acme/churn"] = Repo()
        yield hub


@pytest.fixture
def repo(hub: Hub) -> Repo:
    return hub.repos["datasets/acme/churn"]


def text(place: Place, state: str, hub: Hub) -> str:
    return (place.lay(state, hub.environ()) / "customers.csv").read_text()


def test_a_branch_is_pinned_to_the_commit_it_is(place: Place, hub: Hub, repo: Repo) -> None:
    commit = repo.commit({FILE: b"id,x\n1,2\n"})
    place.declare(REFERRED)
    state = place.bind(hub.environ())
    repo.commit({FILE: b"id,x\n1,3\n"})
    assert place.reference(state).identity == {"commit": commit}
    assert not place.copied(state)
    assert place.status(state, hub.environ()) == f"huggingface commit {commit[:12]}: resolves"
    assert text(place, state, hub) == "id,x\n1,2\n"


def test_a_small_one_is_copied_unless_told_otherwise(place: Place, hub: Hub, repo: Repo) -> None:
    repo.commit({FILE: b"id,x\n1,2\n"})
    place.declare(DECLARED)
    state = place.bind(hub.environ())
    repo.commits.clear()
    assert place.copied(state)
    assert text(place, state, hub) == "id,x\n1,2\n"
    assert "no longer resolves: data/customers.csv at commit" in place.status(state, hub.environ())


def test_a_commit_that_was_rewritten_away_says_so(place: Place, hub: Hub, repo: Repo) -> None:
    repo.commit({FILE: b"id,x\n1,2\n"})
    place.declare(REFERRED)
    state = place.bind(hub.environ())
    repo.commits.clear()
    repo.commit({FILE: b"id,x\n1,3\n"})
    with pytest.raises(InputError, match="is there no more: deleted, made private, or its history rewritten"):
        text(place, state, hub)


@pytest.mark.parametrize("revision", ["v1", "refs/convert/parquet", "refs/pr/7"])
def test_a_revision_that_is_named_is_the_one_that_is_read(place: Place, hub: Hub, repo: Repo, revision: str) -> None:
    commit = repo.commit({FILE: b"id,x\n1,2\n"}, revision)
    repo.commit({FILE: b"id,x\n1,3\n"})
    for named in (revision, commit):
        place.declare(REFERRED.replace("churn/", f"churn@{named}/"))
        assert text(place, place.bind(hub.environ()), hub) == "id,x\n1,2\n"


def test_all_below_a_folder_is_one_input(place: Place, hub: Hub, repo: Repo) -> None:
    parts = {f"data/{name}": b"PAR1" + name.encode() for name in ("a b.parquet", "c+d.parquet", "e/é.parquet")}
    repo.commit({**parts, "README.md": b"# churn"})
    place.declare('path = "data/parts"\nuri = "hf://datasets/acme/churn/data/"\ncopy = false')
    state = place.bind(hub.environ())
    repo.commit({"README.md": b"# gone"})
    laid = place.lay(state, hub.environ()) / "parts"
    found = {file.relative_to(laid).as_posix(): file.read_bytes() for file in laid.rglob("*.*")}
    assert found == {name.removeprefix("data/"): content for name, content in parts.items()}


def test_a_models_file_is_an_input_too(place: Place, hub: Hub) -> None:
    hub.repos["models/acme/scorer"] = Repo()
    hub.repos["models/acme/scorer"].commit({"customers.csv": b"id,x\n1,2\n"})
    place.declare(REFERRED.replace(URI, "hf://acme/scorer/customers.csv"))
    assert text(place, place.bind(hub.environ()), hub) == "id,x\n1,2\n"


def test_the_token_goes_to_the_hub_and_nowhere_else(place: Place, hub: Hub, repo: Repo) -> None:
    repo.private = True
    repo.commit({"data/customers.parquet": b"PAR1 and more"})
    place.declare(REFERRED.replace(".csv", ".parquet"))
    state = place.bind(hub.environ(TOKEN))
    assert (place.lay(state, hub.environ(TOKEN)) / "customers.parquet").read_bytes() == b"PAR1 and more"
    assert (len(hub.elsewhere), hub.leaked) == (1, [])
    kept = b"".join(file.read_bytes() for file in (place.root / ".replay").rglob("*") if file.is_file())
    assert TOKEN.encode() not in kept
    assert place.reference(state).identity == {"commit": repo.names["main"]}


def test_who_asked_and_a_refusal_are_answers_of_access(place: Place, hub: Hub, repo: Repo) -> None:
    repo.commit({FILE: b"id,x\n1,2\n"})
    place.declare(DECLARED)
    open_to_all = place.bind(hub.environ())
    as_ada = place.bind(hub.environ(TOKEN))
    assert any("ada" in (after or "") for _, after in place.moved(open_to_all, as_ada).values())
    repo.private = True
    assert list(place.moved(open_to_all, place.bind(hub.environ()))) == ["access/customers"]
    assert "no longer resolves" in place.status(open_to_all, hub.environ())
    assert place.status(open_to_all, hub.environ(TOKEN)).split(": ")[1].startswith("resolves")


def test_the_same_bytes_in_another_commit_are_no_change(place: Place, hub: Hub, repo: Repo) -> None:
    repo.commit({FILE: b"id,x\n1,2\n"})
    place.declare(REFERRED)
    good = place.bind(hub.environ())
    repo.commit({FILE: b"id,x\n1,2\n", "README.md": b"# churn"})
    assert place.moved(good, place.bind(hub.environ())) == {}


def test_content_that_is_not_what_the_hub_says_is_refused(place: Place, hub: Hub, repo: Repo) -> None:
    repo.commit({"data/customers.parquet": b"PAR1 and more"})
    place.declare(REFERRED.replace(".csv", ".parquet"))
    place.bind(hub.environ())
    for digest in hub.elsewhere:
        hub.elsewhere[digest] = b"PAR1 and other"
    with pytest.raises(InputError, match="other content than the hub says"):
        place.bind(hub.environ())


def test_nobody_answers(place: Place) -> None:
    place.declare(DECLARED)
    with pytest.raises(InputError, match=r"customers\.csv gave no answer: ConnectionError") as caught:
        place.bind({"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": TOKEN})
    assert TOKEN not in str(caught.value)


def test_a_token_that_is_none_is_not_repeated(place: Place, hub: Hub) -> None:
    place.declare(DECLARED)
    with pytest.raises(InputError, match="HF_TOKEN holds no token") as caught:
        place.bind(hub.environ(f"{TOKEN}\nX-Other: 1"))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["hf://churn/x.csv", "hf://spaces/acme/churn/x.csv", "hf://acme/churn/../x", "hf://acme/churn@a@b/x"]
)
def test_what_names_no_file_of_a_repository(place: Place, uri: str) -> None:
    place.declare(DECLARED.replace(URI, uri))
    with pytest.raises(InputError, match="names no file of a Hugging Face repository"):
        place.bind()


def test_a_hub_that_names_files_outside_is_not_followed(place: Place, hub: Hub, repo: Repo) -> None:
    repo.commit({"data/../../../etc/x": b""})
    place.declare('path = "data/parts"\nuri = "hf://datasets/acme/churn/"')
    with pytest.raises(InputError, match="gave no answer: it names a commit or a file in a way that cannot be"):
        place.bind(hub.environ())


@pytest.mark.parametrize(
    "address", ["x.csv", "../x?commit=" + "0" * 40, "x?commit=main", "//evil/x?commit=" + "0" * 40]
)
def test_a_strangers_state_leads_nowhere_else(place: Place, hub: Hub, repo: Repo, address: str) -> None:
    repo.commit({FILE: b"id,x\n1,2\n"})
    place.declare(REFERRED)
    reference = place.reference(place.bind(hub.environ()))
    origin = reopened(reference, Ground(place.root, hub.environ()))
    assert isinstance(origin, HuggingFace)
    hub.asked.clear()
    with pytest.raises(Gone, match="is no file of a commit"):
        origin.fetch(address, reference, place.root)
    assert hub.asked == []
