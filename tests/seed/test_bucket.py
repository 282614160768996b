"""Filling a bucket: a manifest is last, an interrupted run is made whole, and what is somebody else's stays."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ladder.errors import CheckFailed, InputError
from ladder.seed import hashed
from ladder.seed.bucket import MANIFEST, fill_bucket
from ladder.seed.dataset import Dataset, Part, hash_of
from ladder.seed.filled import Filled
from sandbox.progress import Silent
from tests.sandbox.processes import until
from tests.seeds import SMALL, made, project_with, small
from tests.support import command, run_ladder

pytestmark = pytest.mark.servers


def fill(dataset: Dataset, owner: str | None = None) -> Filled:
    (objects,) = dataset.objects
    return fill_bucket(dataset, objects, Silent(), owner=owner)


def contents(bucket: str) -> dict[str, bytes]:
    client: Any = boto3.client("s3", region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def put(bucket: str, key: str, body: bytes = b"") -> None:
    boto3.client("s3", region_name="us-east-1").put_object(Bucket=bucket, Key=key, Body=body)


def expected(dataset: Dataset) -> dict[str, bytes]:
    written: dict[str, bytes] = {}
    dataset.objects[0].stream(written.__setitem__, lambda _: None)
    return written


def objects_of(found: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key: body for key, body in found.items() if key != MANIFEST}


def sized(count: int, largest: int = 3000) -> dict[str, Any]:
    shape = small()
    shape["objects"]["uploads"]["count"]["dev"] = count
    shape["objects"]["uploads"]["maxBytes"] = largest
    return shape


def test_the_bucket_holds_what_was_hashed_and_the_manifest_says_so(bucket: str) -> None:
    dataset = made(SMALL)
    filled = fill(dataset)
    assert filled.changed
    assert list(filled.parts) == [part for part in hashed(dataset, Silent()).parts if part.name == "uploads"]
    found = contents(bucket)
    assert objects_of(found) == expected(dataset)
    manifest = json.loads(found[MANIFEST])
    assert (manifest["environment"], manifest["recipe"], manifest["hash"]) == ("dev", dataset.recipe, filled.hash)
    assert hash_of([Part(**part) for part in manifest["parts"]]) == filled.hash


def test_again_nothing_is_written(bucket: str) -> None:
    first = fill(made(SMALL))
    put(bucket, "seed/000000000", b"changed by a service")
    again = fill(made(SMALL))
    assert (again.changed, again.parts) == (False, first.parts)
    assert contents(bucket)["seed/000000000"] == b"changed by a service"


def test_a_smaller_dataset_takes_the_larger_ones_place_and_leaves_what_services_wrote(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening(monkeypatch, "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": 7})
    fill(made(sized(25)))
    others = ["seed/readme", "seed/zzz", "uploads/1", "000000000"]
    for key in others:
        put(bucket, key, b"mine")
    assert fill(made(sized(5))).changed
    found = objects_of(contents(bucket))
    assert {key: found.pop(key) for key in others} == dict.fromkeys(others, b"mine")
    assert found == expected(made(sized(5)))


def test_a_bucket_of_somebody_else_is_left_alone(bucket: str) -> None:
    put(bucket, "backup/1", b"mine")
    with pytest.raises(CheckFailed, match="is not empty, and was not filled by this tool: it holds backup/1"):
        fill(made(SMALL))
    assert contents(bucket) == {"backup/1": b"mine"}


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b'{"environment": "dev"}', b'{"environment": 1, "parts": {}}'])
def test_a_manifest_that_is_none_of_ours_is_left_alone(manifest: bytes, bucket: str) -> None:
    put(bucket, MANIFEST, manifest)
    with pytest.raises(CheckFailed, match=r"was not filled by this tool: it holds seed/manifest\.json"):
        fill(made(SMALL))
    assert contents(bucket) == {MANIFEST: manifest}


def test_another_environments_bucket_is_left_alone(bucket: str) -> None:
    fill(made(SMALL, "staging"))
    before = contents(bucket)
    with pytest.raises(CheckFailed, match="is filled for staging, not for dev: is BUCKET_UPLOADS right"):
        fill(made(SMALL))
    assert contents(bucket) == before


def test_killed_in_the_middle_the_next_run_makes_it_whole(bucket: str, tmp_path: Path) -> None:
    shape = sized(300, 20_000)
    project = project_with(tmp_path, shape)
    environment = {**os.environ, "LADDER_ROOT": str(project.root)}
    arguments = command("seed", "dev", "--only", "objects")
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        client: Any = boto3.client("s3", region_name="us-east-1")
        until(lambda: client.list_objects_v2(Bucket=bucket)["KeyCount"] > 20)
        process.kill()
    interrupted = contents(bucket)
    assert 20 < len(interrupted) < 300
    assert json.loads(interrupted[MANIFEST])["parts"] == []
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    found = contents(bucket)
    assert objects_of(found) == expected(made(shape))
    part = made(shape).objects[0].stream(lambda _, __: None, lambda _: None)
    assert json.loads(found[MANIFEST])["parts"] == [part.as_json()]


def listening(monkeypatch: pytest.MonkeyPatch, event: str, listener: Callable[..., object]) -> None:
    """Have the listener called in every client that is made from now on."""
    real = boto3.client

    def client(*arguments: Any, **options: Any) -> Any:
        made = real(*arguments, **options)
        made.meta.events.register(event, listener)
        return made

    monkeypatch.setattr(boto3, "client", client)


def test_every_request_names_the_account_that_the_bucket_must_be_of(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    header = "x-amz-expected-bucket-owner"
    listening(monkeypatch, "before-send.s3", lambda request, **_: seen.append(request.headers.get(header)))
    fill(made(SMALL), owner="210987654321")
    assert len(seen) > 12
    assert {each.decode() if isinstance(each, bytes) else each for each in seen} == {"210987654321"}


@pytest.mark.parametrize("broken", ["no bucket", "nobody there"])
def test_a_bucket_that_cannot_be_reached_is_told(
    broken: str, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(project_with(tmp_path, SMALL).root))
    if broken == "no bucket":
        monkeypatch.setenv("BUCKET_UPLOADS", "nothing-of-this-name")
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    outcome = run_ladder(capsys, "seed", "dev", "--only", "objects")
    assert (outcome.code, outcome.out) == (1, "")
    assert "error:\nthe bucket " in outcome.err


def test_a_bucket_that_is_not_named_is_bad_input(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUCKET_UPLOADS")
    with pytest.raises(InputError, match="BUCKET_UPLOADS: is not set"):
        fill(made(SMALL))


def test_an_upload_that_fails_leaves_no_manifest_of_a_whole_dataset(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ladder.seed import bucket as module

    put_object = module._Bucket.put

    def refusing(self: Any, key: str, body: bytes) -> None:
        if key == "seed/000000007":
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
        put_object(self, key, body)

    monkeypatch.setattr(module._Bucket, "put", refusing)
    with pytest.raises(CheckFailed, match="AccessDenied"):
        fill(made(SMALL))
    assert json.loads(contents(bucket)[MANIFEST])["parts"] == []


def test_both_stores_are_filled_by_one_command(
    bucket: str, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(project_with(tmp_path, SMALL).root))
    first, again = (run_ladder(capsys, "seed", "preview", "--seed", "41", "--format", "json") for _ in range(2))
    assert (first.code, again.code, first.err) == (0, 0, "")
    told, told_again = json.loads(first.out), json.loads(again.out)
    assert [(store["store"], store["changed"]) for store in told["stores"]] == [("database", True), ("uploads", True)]
    assert [store["changed"] for store in told_again["stores"]] == [False, False]
    assert told["hash"] == told_again["hash"] == hashed(made(SMALL, "preview", seed=41), Silent()).hash
    assert objects_of(contents(bucket)) == expected(made(SMALL, "preview", seed=41))
