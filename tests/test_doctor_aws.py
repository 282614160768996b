"""What ``ladder doctor`` says of an AWS account, by a stand-in in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ladder.contract import StackSettings, settings_from_mapping
from ladder.doctor.aws import aws
from ladder.doctor.diagnosis import Diagnosis, Verdict
from ladder.recorder import record
from ladder.recording import Recording
from tests.conftest import ROLE, ROOT

pytestmark = pytest.mark.exhaustive

ACCOUNT = "123456789012"
"""The one that the stand-in's callers are of."""

REGION = "eu-central-1"
Examine = Callable[[], list[Diagnosis]]


@pytest.fixture(scope="module")
def stack(ladder: dict[str, StackSettings]) -> tuple[StackSettings, Recording]:
    """Prod, in the stand-in's account, deployed by whoever calls."""
    text = ladder["prod"].model_dump_json(by_alias=True)
    sections: dict[str, Any] = json.loads(text.replace(ladder["prod"].cloud.account, ACCOUNT))
    sections["cloud"]["deployerRole"] = None
    settings = settings_from_mapping(sections)
    return settings, record(settings, stack="prod", root=ROOT)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def deployed(account: None, stack: tuple[StackSettings, Recording]) -> Recording:
    """The account with what the stack declares, as far as it is looked at."""
    settings, recording = stack
    iam = boto3.client("iam", region_name=REGION)
    issuer = f"https://{settings.cluster.oidc_issuer}"
    iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"], ThumbprintList=[])
    for role in recording.of_type(ROLE):
        iam.create_role(RoleName=role.inputs["name"], AssumeRolePolicyDocument=role.inputs["assumeRolePolicy"])
    s3 = boto3.client("s3", region_name=REGION)
    place: Any = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=evidence(settings), CreateBucketConfiguration=place, ObjectLockEnabledForBucket=True)
    lock(settings, "COMPLIANCE", 400)
    return recording


@pytest.fixture
def examine(account: None, stack: tuple[StackSettings, Recording]) -> Examine:
    settings, recording = stack
    return lambda: list(aws("prod", settings, recording))


def evidence(settings: StackSettings) -> str:
    return settings.buckets["evidence"].name


def lock(settings: StackSettings, mode: str, days: int) -> None:
    rule: Any = {"DefaultRetention": {"Mode": mode, "Days": days}}
    boto3.client("s3", region_name=REGION).put_object_lock_configuration(
        Bucket=evidence(settings), ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


def told(diagnoses: list[Diagnosis], verdict: Verdict) -> list[str]:
    return [f"{each.claim}: {each.found}" for each in diagnoses if each.verdict is verdict]


def test_an_account_as_it_is_declared_passes(deployed: Recording, examine: Examine) -> None:
    diagnoses = examine()
    assert [each for each in diagnoses if each.verdict is not Verdict.PASS] == []
    assert len(diagnoses) == 2 + len(deployed.of_type(ROLE)) + 1


def test_before_the_first_update_what_is_missing_is_named(
    account: None, stack: tuple[StackSettings, Recording], examine: Examine
) -> None:
    settings, recording = stack
    roles = [each.inputs["name"] for each in recording.of_type(ROLE)]
    lacking = "there is no such bucket, or it has no Object Lock"
    assert told(examine(), Verdict.FAIL) == [
        f"the account trusts the cluster's issuer: there is no provider of {settings.cluster.oidc_issuer}",
        *(f"the role {role} trusts whom it declares: there is no such role" for role in roles),
        f"the bucket {evidence(settings)} locks its objects for 400 days (compliance): {lacking}",
    ]


def test_another_account_is_not_looked_into(account: None, ladder: dict[str, StackSettings], recordings: Any) -> None:
    settings = ladder["prod"].model_copy(
        update={"cloud": ladder["prod"].cloud.model_copy(update={"deployer_role": None})}
    )
    (only,) = list(aws("prod", settings, recordings["prod"]))
    assert (only.verdict, only.found) == (Verdict.FAIL, ACCOUNT)
    assert settings.cloud.account in only.mend


def test_where_the_caller_is_of_another_account_the_deployers_role_is_assumed(
    account: None, ladder: dict[str, StackSettings], recordings: Any
) -> None:
    diagnoses = list(aws("prod", ladder["prod"], recordings["prod"]))
    assert (diagnoses[0].verdict, diagnoses[0].found) == (Verdict.PASS, ladder["prod"].cloud.account)
    assert len(diagnoses) > 2


def test_a_trust_policy_that_was_changed_fails_where_it_was(deployed: Recording, examine: Examine) -> None:
    role = deployed.of_type(ROLE)[0]
    policy = json.loads(role.inputs["assumeRolePolicy"])
    conditions = policy["Statement"][0]["Condition"]["StringEquals"]
    subject = next(key for key in conditions if key.endswith(":sub"))
    conditions[subject] = "system:serviceaccount:prod-services:default"
    boto3.client("iam", region_name=REGION).update_assume_role_policy(
        RoleName=role.inputs["name"], PolicyDocument=json.dumps(policy)
    )
    (failing,) = told(examine(), Verdict.FAIL)
    assert failing.startswith(f"the role {role.inputs['name']} trusts whom it declares: another Statement[")
    assert ":sub" in failing


def test_the_order_of_what_is_a_set_is_no_change(deployed: Recording, examine: Examine) -> None:
    role = deployed.of_type(ROLE)[0]
    policy = json.loads(role.inputs["assumeRolePolicy"])
    policy["Statement"][0]["Action"].reverse()
    boto3.client("iam", region_name=REGION).update_assume_role_policy(
        RoleName=role.inputs["name"], PolicyDocument=json.dumps(dict(reversed(policy.items())))
    )
    assert told(examine(), Verdict.FAIL) == []


@pytest.mark.parametrize(
    ("mode", "days", "says"), [("GOVERNANCE", 400, "400 days (governance)"), ("COMPLIANCE", 1, "1 days (compliance)")]
)
def test_a_weaker_lock_fails(
    mode: str, days: int, says: str, deployed: Recording, stack: tuple[StackSettings, Recording], examine: Examine
) -> None:
    lock(stack[0], mode, days)
    assert [each.rpartition(": ")[2] for each in told(examine(), Verdict.FAIL)] == [says]


def test_a_provider_for_somebody_else_fails(
    deployed: Recording, stack: tuple[StackSettings, Recording], examine: Examine
) -> None:
    issuer = stack[0].cluster.oidc_issuer
    iam = boto3.client("iam", region_name=REGION)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}")
    iam.create_open_id_connect_provider(Url=f"https://{issuer}", ClientIDList=["other"], ThumbprintList=[])
    assert told(examine(), Verdict.FAIL) == ["the account trusts the cluster's issuer: for other"]


def test_what_the_account_refuses_could_not_be_checked(
    deployed: Recording, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "GetRole")

    real = boto3.Session.client

    def client(session: Any, service: str, **options: Any) -> Any:
        made = real(session, service, **options)
        if service == "iam":
            made.get_role = refused
        return made

    monkeypatch.setattr(boto3.Session, "client", client)
    diagnoses = examine()
    assert told(diagnoses, Verdict.FAIL) == []
    assert {each.rpartition(": ")[2] for each in told(diagnoses, Verdict.UNKNOWN)} == {"not you"}


def test_without_credentials_nothing_could_be_checked(
    stack: tuple[StackSettings, Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (only,) = list(aws("prod", *stack))
    assert (only.verdict, only.found) == (Verdict.UNKNOWN, "Unable to locate credentials")
    assert "AWS_PROFILE" in only.mend
