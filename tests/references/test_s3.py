"""S3 object versions against moto's server, over HTTP, through boto3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from replay.errors import ConfigError, InputError
from replay.layers.release import Pair, fetch, keep, load
from replay.references.base import Ground
from tests.references.conftest import Place

DECLARED = 'path = "data/customers.csv"\nuri = "s3://lake/customers.csv"\nkey = "id"'
REFERRED = f"{DECLARED}\ncopy = false"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush-hush-77", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environ(endpoint: str) -> dict[str, str]:
    return {**KEYS, "AWS_ENDPOINT_URL": endpoint}


@pytest.fixture
def lake(environ: dict[str, str]) -> Iterator[Any]:
    """A bucket that keeps versions."""
    keys = {"aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"]}
    session = boto3.Session(**keys, region_name="us-east-1")
    bucket = session.resource("s3", endpoint_url=environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="lake")
    bucket.Versioning().enable()
    yield bucket
    bucket.object_versions.delete()
    bucket.delete()


def put(lake: Any, content: str, key: str = "customers.csv") -> str:
    return str(lake.put_object(Key=key, Body=content.encode()).version_id)


def text(place: Place, state: str, environ: dict[str, str]) -> str:
    return (place.lay(state, environ) / "customers.csv").read_text()


def test_the_newest_version_is_pinned_and_read_again(place: Place, lake: Any, environ: dict[str, str]) -> None:
    version = put(lake, "id,x\n1,2\n")
    place.declare(REFERRED)
    state = place.bind(environ)
    put(lake, "id,x\n1,3\n")
    assert place.reference(state).identity == {"version": version}
    assert not place.copied(state)
    assert place.status(state, environ).endswith(": resolves")
    assert text(place, state, environ) == "id,x\n1,2\n"


def test_a_small_one_is_copied_unless_told_otherwise(place: Place, lake: Any, environ: dict[str, str]) -> None:
    put(lake, "id,x\n1,2\n")
    place.declare(DECLARED)
    state = place.bind(environ)
    lake.object_versions.delete()
    assert text(place, state, {}) == "id,x\n1,2\n"
    assert "no longer resolves: customers.csv in bucket lake" in place.status(state, environ)


def test_a_deleted_version_says_so(place: Place, lake: Any, environ: dict[str, str]) -> None:
    put(lake, "id,x\n1,2\n")
    place.declare(REFERRED)
    state = place.bind(environ)
    lake.Object("customers.csv").delete()
    assert text(place, state, environ) == "id,x\n1,2\n"
    lake.object_versions.delete()
    with pytest.raises(InputError, match="has no such version any more"):
        place.lay(state, environ)


def test_what_moved_is_told_cell_by_cell(place: Place, lake: Any, environ: dict[str, str]) -> None:
    put(lake, "id,x\n1,2\n2,2\n")
    place.declare(DECLARED)
    good = place.bind(environ)
    put(lake, "id,x\n1,2\n2,5\n")
    bad = place.bind(environ)
    assert list(place.moved(good, bad)) == ["data/customers/x"]


def test_a_mix_of_two_versions_is_neither(place: Place, lake: Any, environ: dict[str, str]) -> None:
    put(lake, "id,x,y\n1,2,2\n2,2,2\n")
    place.declare(REFERRED)
    good = place.bind(environ)
    put(lake, "id,x,y\n1,2,3\n2,5,3\n")
    bad = place.bind(environ)
    store = place.store
    sides = [load(store, state) for state in (good, bad)]
    for side in sides:
        fetch(side, Ground(place.root, environ), store)
    mixed = keep(Pair(*sides, store).mix(frozenset({"data/customers/x"})), store)
    assert text(place, mixed, {}) == "id,x,y\n1,2,2\n2,5,2\n"
    assert place.snapshot(mixed).reference is None


def test_a_version_that_is_named_is_the_one_that_is_read(place: Place, lake: Any, environ: dict[str, str]) -> None:
    version = put(lake, "id,x\n1,2\n")
    put(lake, "id,x\n1,3\n")
    place.declare(REFERRED.replace('.csv"\nkey', f'.csv?versionId={version}"\nkey'))
    assert text(place, place.bind(environ), environ) == "id,x\n1,2\n"


def test_all_below_a_prefix_is_one_input(place: Place, lake: Any, environ: dict[str, str]) -> None:
    for key in ("parts/a b.csv", "parts/c+d.csv", "other.csv"):
        put(lake, "id,x\n1,2\n", key)
    place.declare('path = "data/parts"\nuri = "s3://lake/parts/"\ncopy = false')
    state = place.bind(environ)
    put(lake, "id,x\n9,9\n", "parts/a b.csv")
    laid = place.lay(state, environ) / "parts"
    assert {file.name: file.read_text() for file in laid.iterdir()} == dict.fromkeys(
        ("a b.csv", "c+d.csv"), "id,x\n1,2\n"
    )


def test_a_bucket_that_keeps_no_versions_is_copied(place: Place, lake: Any, environ: dict[str, str]) -> None:
    plain = lake.meta.client
    plain.create_bucket(Bucket="plain")
    plain.put_object(Bucket="plain", Key="customers.csv", Body=b"id,x\n1,2\n")
    place.declare(DECLARED.replace("//lake", "//plain"))
    assert place.copied(place.bind(environ))
    place.declare(REFERRED.replace("//lake", "//plain"))
    with pytest.raises(InputError, match="keeps no versions"):
        place.bind(environ)


def test_what_is_not_there_is_an_answer_of_access(place: Place, lake: Any, environ: dict[str, str]) -> None:
    put(lake, "id,x\n1,2\n")
    place.declare(DECLARED)
    good = place.bind(environ)
    lake.object_versions.delete()
    assert list(place.moved(good, place.bind(environ))) == ["access/customers"]


def test_nobody_answers(place: Place) -> None:
    place.declare(DECLARED)
    with pytest.raises(InputError, match=r"s3://lake/customers\.csv gave no answer") as caught:
        place.bind({**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert "hush" not in str(caught.value)


def test_no_credential_reaches_the_store(place: Place, lake: Any, environ: dict[str, str]) -> None:
    put(lake, "id,x\n1,2\n")
    place.declare(DECLARED)
    place.bind(environ)
    kept = b"".join(file.read_bytes() for file in (place.root / ".replay").rglob("*") if file.is_file())
    assert b"hush-hush" not in kept
    assert b"AKIDEXAMPLE" not in kept


def test_a_secret_has_no_place_in_the_address(place: Place, environ: dict[str, str]) -> None:
    place.declare(DECLARED.replace("//lake", "//${BUCKET}") + '\n[runtime]\nsecrets = ["BUCKET"]')
    with pytest.raises(ConfigError, match="BUCKET is a secret"):
        place.bind({**environ, "BUCKET": "lake"})
