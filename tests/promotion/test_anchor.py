"""A chain's head is kept under Object Lock, and a chain that does not reach it any more is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from ladder.contract import ladder_settings
from ladder.promotion.anchor import NEWEST, Anchors
from ladder.promotion.chain import Head
from ladder.promotion.statements import digest_of
from tests.previews.serving import Asked, Reply, StandIn, serving
from tests.promotion.places import Place

NOW = datetime.now(UTC)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "throwaway", "AWS_SECRET_ACCESS_KEY": "throwaway-secret"}
OTHER = f"sha256:{'9' * 64}"


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@dataclass(frozen=True)
class Buckets:
    """The evidence buckets of all environments, each in its account, seen by who may do everything there."""

    place: Place
    endpoint: str

    def client(self, environment: str) -> Any:
        role = f"arn:aws:iam::{self._settings(environment).cloud.account}:role/auditor"
        sts = boto3.client("sts", region_name="eu-central-1", endpoint_url=self.endpoint)
        given = sts.assume_role(RoleArn=role, RoleSessionName="auditor")["Credentials"]
        return boto3.client(
            "s3",
            region_name="eu-central-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    def name(self, environment: str) -> str:
        return self._settings(environment).buckets["evidence"].name

    def make(self, environment: str, *, lock: bool = True, rule: bool = True) -> None:
        client, name = self.client(environment), self.name(environment)
        place: Any = {"LocationConstraint": "eu-central-1"}
        client.create_bucket(Bucket=name, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=lock)
        if lock and rule:
            retention: Any = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 400}}
            locked: Any = {"ObjectLockEnabled": "Enabled", "Rule": retention}
            client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=locked)

    def put(self, key: str, body: bytes, environment: str = "dev") -> None:
        self.client(environment).put_object(Bucket=self.name(environment), Key=key, Body=body)

    def kept(self, environment: str = "dev") -> list[str]:
        """The key of every version."""
        page = self.client(environment).list_object_versions(Bucket=self.name(environment))
        return [each["Key"] for each in page.get("Versions", [])]

    def _settings(self, environment: str) -> Any:
        return ladder_settings(self.place.root)[environment]


@pytest.fixture
def unmade(place: Place, storage: str, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """No bucket yet; the caller is of another account than any."""
    httpx.post(f"{storage}/moto-api/reset").raise_for_status()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": storage, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    return Buckets(place, storage)


@pytest.fixture
def buckets(unmade: Buckets) -> Buckets:
    for environment in ("dev", "staging", "prod"):
        unmade.make(environment)
    return unmade


def head_of(place: Place, environment: str = "dev") -> str:
    files = sorted((place.root / "evidence" / environment).iterdir())
    return f"{environment}={len(files)}:{digest_of(files[-1].read_bytes())}"


def body(environment: str, sequence: int, digest: str) -> bytes:
    return json.dumps({"environment": environment, "sequence": sequence, "digest": digest}).encode()


def seen(place: Place, times: int = 1) -> None:
    """Statements of dev, all on the delivered branch."""
    for number in range(times):
        place.observe("dev", NOW - timedelta(minutes=times - number))
    place.git("fetch", "--quiet", "origin")


def cut(place: Place, to: int) -> None:
    """The chain of dev as it was."""
    for file in sorted((place.root / "evidence" / "dev").iterdir())[to:]:
        file.unlink()
    place.keep("Nothing to see")
    place.git("fetch", "--quiet", "origin")


def test_a_head_is_anchored_once_and_then_said_to_be(place: Place, buckets: Buckets) -> None:
    seen(place, 2)
    first, again = place.ladder("anchor", "dev"), place.ladder("anchor", "dev")
    assert (first.code, first.out) == (0, f"{head_of(place)} is anchored\n"), first.err
    assert (again.code, again.out) == (0, f"{head_of(place)} was anchored before\n"), again.err
    assert buckets.kept() == ["heads/dev/000002"]
    kept = buckets.client("dev").get_object(Bucket=buckets.name("dev"), Key="heads/dev/000002")
    assert kept["ObjectLockMode"] == "COMPLIANCE"
    assert json.loads(kept["Body"].read()) == json.loads(body("dev", 2, head_of(place).partition(":")[2]))


def test_a_chain_that_grew_is_anchored_anew_and_its_last_head_is_printed_for_auditors(
    place: Place, buckets: Buckets
) -> None:
    for _ in range(2):
        seen(place)
        assert place.ladder("anchor", "dev").code == 0
    assert buckets.kept() == ["heads/dev/000001", "heads/dev/000002"]
    told = place.ladder("anchor", "dev", "--print")
    assert (told.code, told.out) == (0, f"{head_of(place)}\n")
    assert place.ladder("lineage", "--head", told.out.strip()).code == 0


def test_what_reaches_its_anchors_holds(place: Place, buckets: Buckets) -> None:
    seen(place, 2)
    assert place.ladder("anchor", "dev").code == 0
    seen(place)
    told = place.ladder("lineage", "--anchored")
    assert told.code == 0, told.err


def test_a_chain_that_was_cut_off_is_found_and_not_anchored(place: Place, buckets: Buckets) -> None:
    seen(place, 3)
    assert place.ladder("anchor", "dev").code == 0
    cut(place, 2)
    assert place.ladder("lineage").code == 0, "by itself it is whole"
    told, anchored = place.ladder("lineage", "--anchored"), place.ladder("anchor", "dev")
    assert (told.code, anchored.code) == (1, 1)
    assert "dev: ends at 2; statement 3 is anchored" in told.err
    assert "dev: the chain ends at 2; statement 3 is anchored: it was cut off or rewritten" in anchored.err
    assert buckets.kept() == ["heads/dev/000003"]


def test_a_chain_that_is_gone_is_found(place: Place, buckets: Buckets) -> None:
    seen(place)
    assert place.ladder("anchor", "dev").code == 0
    cut(place, 0)
    assert "dev: ends at 0; statement 1 is anchored" in place.ladder("lineage", "--anchored").err
    assert place.ladder("anchor", "dev").code == 1


def test_a_chain_that_was_rewritten_is_found(place: Place, buckets: Buckets) -> None:
    seen(place, 2)
    assert place.ladder("anchor", "dev").code == 0
    cut(place, 1)
    place.observe("dev", NOW, "a pod is not ready")
    place.git("fetch", "--quiet", "origin")
    told, anchored = place.ladder("lineage", "--anchored", "--format", "json"), place.ladder("anchor", "dev")
    wrong = "has another statement 2 than the one that is anchored"
    assert json.loads(told.out)["findings"] == [{"where": "dev", "message": wrong}]
    assert (told.code, anchored.code) == (1, 1)
    assert wrong in anchored.err


@pytest.mark.parametrize("how", ["put over", "deleted", "both"])
def test_what_is_put_over_a_head_fools_nobody(how: str, place: Place, buckets: Buckets) -> None:
    seen(place, 2)
    assert place.ladder("anchor", "dev").code == 0
    true = head_of(place)
    cut(place, 1)
    place.observe("dev", NOW, "a pod is not ready")
    place.git("fetch", "--quiet", "origin")
    if how != "deleted":
        buckets.put("heads/dev/000002", body("dev", 2, head_of(place).partition(":")[2]))
    if how != "put over":
        buckets.client("dev").delete_object(Bucket=buckets.name("dev"), Key="heads/dev/000002")
    told = place.ladder("lineage", "--anchored")
    assert told.code == 1
    assert "has another statement 2" in told.err
    assert place.ladder("anchor", "dev").code == 1
    assert place.ladder("anchor", "dev", "--print").out == f"{true}\n"


def test_statements_without_any_anchor_do_not_hold(place: Place, buckets: Buckets) -> None:
    seen(place, 2)
    told = place.ladder("lineage", "--anchored")
    assert told.code == 1
    assert "dev: has 2 statements, none of which is anchored" in told.err


def test_where_nothing_is_stated_nothing_is_anchored(place: Place, buckets: Buckets) -> None:
    assert place.ladder("lineage", "--anchored").code == 0
    told, printed = place.ladder("anchor", "dev"), place.ladder("anchor", "dev", "--print")
    assert (told.code, told.out) == (0, "nothing is stated of dev yet\n")
    assert (printed.code, buckets.kept()) == (1, [])
    assert "nothing is anchored of dev" in printed.err


@pytest.mark.parametrize("lock", [False, True], ids=["no lock", "no default retention"])
def test_a_bucket_that_locks_nothing_is_refused_and_nothing_put(lock: bool, place: Place, unmade: Buckets) -> None:
    unmade.make("dev", lock=lock, rule=False)
    seen(place)
    told = place.ladder("anchor", "dev")
    assert told.code == 1
    assert "acme-shop-dev-evidence holds no lock" in told.err
    assert unmade.kept() == []


def test_a_head_without_a_lock_is_none(place: Place, unmade: Buckets) -> None:
    unmade.make("dev", rule=False)
    seen(place)
    unmade.put("heads/dev/000001", body("dev", 1, head_of(place).partition(":")[2]))
    told = place.ladder("anchor", "dev")
    assert told.code == 1
    assert "heads/dev/000001 is not locked" in told.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "holds no head"),
        (b"", "holds no head"),
        (b"[" * 5000, "holds no head"),
        (body("prod", 1, OTHER), "holds the head of prod, 1"),
        (body("dev", 2, OTHER), "holds the head of dev, 2"),
        (body("dev", 1, "sha256:1"), "holds no head"),
    ],
)
def test_what_is_no_head_is_told(text: bytes, says: str, place: Place, buckets: Buckets) -> None:
    seen(place)
    buckets.put("heads/dev/000001", text)
    for told in (place.ladder("anchor", "dev"), place.ladder("lineage", "--anchored")):
        assert told.code == 1
        assert f"acme-shop-dev-evidence/heads/dev/000001 {says}" in told.err


def test_other_objects_are_overlooked(place: Place, buckets: Buckets) -> None:
    seen(place)
    for key in ("heads/dev/1", "heads/dev/0000001", "heads/dev/000009/x", "heads/dev2/000009", "report.json"):
        buckets.put(key, b"x")
    assert place.ladder("anchor", "dev").code == 0
    assert place.ladder("lineage", "--anchored").code == 0


def test_what_was_uploaded_in_parts_is_no_head_and_nothing_is_put_over_it(place: Place, buckets: Buckets) -> None:
    """It would be dated by its beginning, and so come before a head that was there first."""
    seen(place)
    client, where = buckets.client("dev"), {"Bucket": buckets.name("dev"), "Key": "heads/dev/000001"}
    upload = {**where, "UploadId": client.create_multipart_upload(**where)["UploadId"]}
    part = client.upload_part(**upload, PartNumber=1, Body=body("dev", 1, OTHER))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**upload, MultipartUpload=parts)
    told = place.ladder("anchor", "dev")
    assert told.code == 1
    assert "heads/dev/000001 was put by somebody else meanwhile" in told.err


def test_heads_of_many_pages_are_read_and_only_the_newest_of_them(place: Place, buckets: Buckets) -> None:
    client = buckets.client("dev")
    for number in range(1, NEWEST + 3):
        client.put_object(Bucket=buckets.name("dev"), Key=f"heads/dev/{number:06d}", Body=body("dev", number, OTHER))
    client.meta.events.register(
        "provide-client-params.s3.ListObjectVersions", lambda params, **_: {**params, "MaxKeys": 7}
    )
    heads = Anchors("dev", buckets.name("dev"), "210987654321", client).read()
    assert heads == [Head("dev", number, OTHER) for number in range(3, NEWEST + 3)]


def test_without_being_asked_for_no_anchor_is_asked(
    place: Place, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(place)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert place.ladder("lineage").code == 0


def test_a_bucket_that_cannot_be_reached_is_told_in_one_line(
    place: Place, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(place)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    told, lineage = place.ladder("anchor", "dev"), place.ladder("lineage", "--anchored")
    assert (told.code, lineage.code) == (1, 1)
    assert told.err.startswith("error:\nthe bucket acme-shop-dev-evidence: Could not connect to the endpoint URL: ")
    assert len(told.err.splitlines()) == 2
    assert "throwaway-secret" not in told.err
    assert "dev: cannot be held against its anchor: the bucket" in lineage.err
    assert "observed" in lineage.out, "what is stated is shown all the same"


def test_without_credentials_that_is_told(place: Place, buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    seen(place)
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    told = place.ladder("anchor", "dev")
    assert (told.code, told.err) == (1, "error:\nthe account of dev: Unable to locate credentials\n")


def test_where_the_caller_may_not_that_is_told(place: Place, buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(StandIn):
        def reply(self, asked: Asked) -> Reply:
            return Reply(403, "<Error><Code>AccessDenied</Code><Message>not \u202eyou</Message></Error>".encode())

    seen(place)
    refusing = Refusing()
    with serving(refusing):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", refusing.url)
        told = place.ladder("anchor", "dev")
    assert (told.code, told.err) == (
        1,
        "error:\nthe bucket acme-shop-dev-evidence: AccessDenied: not \\u202eyou\n",
    )


def test_a_bucket_that_is_not_there_is_told(place: Place, unmade: Buckets) -> None:
    seen(place)
    told = place.ladder("anchor", "dev")
    assert told.code == 1
    assert "the bucket acme-shop-dev-evidence: NoSuchBucket: " in told.err


def test_an_account_that_nobody_lets_in_to_is_named(place: Place, buckets: Buckets) -> None:
    _edit(
        place.root / "Pulumi.dev.yaml", "anchorRole: arn:aws:iam::210987654321:role/ladder-observer", "anchorRole: null"
    )
    seen(place)
    told = place.ladder("anchor", "dev")
    assert told.code == 1
    assert "the credentials are of the account 123456789012, not of 210987654321: set AWS_PROFILE" in told.err


def test_a_bucket_that_no_stack_has_is_bad_input(place: Place, buckets: Buckets) -> None:
    _edit(place.root / "promotion.yaml", "bucket: evidence", "bucket: elsewhere")
    seen(place)
    told = place.ladder("anchor", "dev")
    assert told.code == 2
    assert "promotion.yaml: evidence.bucket: is no bucket of dev" in told.err


def test_an_environment_there_is_not_is_bad_input(place: Place, buckets: Buckets) -> None:
    told = place.ladder("anchor", "qa")
    assert (told.code, "is no environment" in told.err) == (2, True)


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
