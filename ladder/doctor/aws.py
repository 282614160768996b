"""What only the live account can tell: that it is the stack's, trusts the cluster, and whom its roles trust."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ladder.contract.stack import StackSettings
from ladder.differences import differences, opened
from ladder.doctor.diagnosis import Area, Diagnosis, Patient
from ladder.errors import CheckFailed
from ladder.recording import Recording, Resource

__all__ = ["aws"]

_ROLE = "aws:iam/role:Role"
_LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
_AUDIENCE = "sts.amazonaws.com"
_SESSION = "ladder-doctor"
_MOST_SHOWN = 4
_ABSENT = frozenset({"NoSuchEntity", "NoSuchBucket", "404", "ObjectLockConfigurationNotFoundError"})


class _Absent(Exception):
    """What was asked for is not there."""


@dataclass(frozen=True, slots=True)
class _Account:
    """The account, as whom it is asked, and where."""

    session: Any
    settings: StackSettings

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """One request that reads. Raises _Absent, or CheckFailed in the account's own words."""
        cloud = self.settings.cloud
        config = Config(
            connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"} if cloud.stand_in else None,
        )  # fmt: skip
        try:
            client = self.session.client(
                service, region_name=cloud.region, endpoint_url=cloud.stand_in or None, config=config
            )
            return cast("dict[str, Any]", getattr(client, operation)(**request))
        except ClientError as error:
            told = cast("dict[str, Any]", error.response)["Error"]
            if told.get("Code") in _ABSENT:
                raise _Absent from error
            raise CheckFailed(f"{told.get('Code')}: {told.get('Message')}") from error
        except BotoCoreError as error:
            raise CheckFailed(str(error)) from error

    def number(self) -> str:
        return str(self.call("sts", "get_caller_identity")["Account"])


def aws(stack: str, settings: StackSettings, recording: Recording) -> Iterator[Diagnosis]:
    """Examine the stack's account with the credentials that the provider would have: the caller's, or the role's."""
    patient = Patient(Area.AWS, stack)
    claim, own = "the credentials are of the stack's account", settings.cloud.account
    mend = f"set AWS_PROFILE to one of {own}, or let the caller assume cloud.deployerRole"
    try:
        account = _entered(settings)
        number = account.number()
    except CheckFailed as error:
        yield patient.unknown(claim, str(error), mend)
        return
    yield patient.judged(claim, number, mend, holds=number == own)
    if number != own:
        return
    yield _issuer(patient, account)
    for role in recording.of_type(_ROLE):
        yield _trust(patient, account, role)
    for lock in recording.of_type(_LOCK):
        yield _locked(patient, account, lock)


def _entered(settings: StackSettings) -> _Account:
    """As the caller, where that is the account; else as the deployer's role, as the provider does."""
    caller = _Account(boto3.Session(), settings)
    role = settings.cloud.deployer_role
    if role is None or caller.number() == settings.cloud.account:
        return caller
    given = caller.call("sts", "assume_role", RoleArn=role, RoleSessionName=_SESSION)["Credentials"]
    return _Account(
        boto3.Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        ),
        settings,
    )


def _issuer(patient: Patient, account: _Account) -> Diagnosis:
    cloud, issuer = account.settings.cloud, account.settings.cluster.oidc_issuer
    claim, mend = "the account trusts the cluster's issuer", f"make an IAM OIDC provider of {issuer} for {_AUDIENCE}"
    arn = f"arn:{cloud.partition}:iam::{cloud.account}:oidc-provider/{issuer}"
    try:
        provider = account.call("iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=arn)
    except _Absent:
        return patient.judged(claim, f"there is no provider of {issuer}", mend, holds=False)
    except CheckFailed as error:
        return patient.unknown(claim, str(error))
    audiences = sorted(provider.get("ClientIDList", ()))
    return patient.judged(claim, f"for {', '.join(audiences) or 'nobody'}", mend, holds=_AUDIENCE in audiences)


def _trust(patient: Patient, account: _Account, role: Resource) -> Diagnosis:
    name = str(role.inputs["name"])
    claim, mend = f"the role {name} trusts whom it declares", "run 'pulumi up', after finding out who changed it"
    try:
        live = account.call("iam", "get_role", RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    except _Absent:
        return patient.judged(claim, "there is no such role", "run 'pulumi up'", holds=False)
    except CheckFailed as error:
        return patient.unknown(claim, str(error))
    text = live if isinstance(live, str) else json.dumps(live)
    changed = [path for path, _, _ in differences(opened(role.inputs["assumeRolePolicy"]), opened(text), keyed=True)]
    more = [f"and {len(changed) - _MOST_SHOWN} more"] if len(changed) > _MOST_SHOWN else []
    found = f"another {', '.join([*changed[:_MOST_SHOWN], *more])}" if changed else ""
    return patient.judged(claim, found, mend, holds=not changed)


def _locked(patient: Patient, account: _Account, lock: Resource) -> Diagnosis:
    bucket, wanted = str(lock.inputs["bucket"]), lock.inputs["rule"]["defaultRetention"]
    claim = f"the bucket {bucket} locks its objects for {wanted['days']} days ({wanted['mode'].lower()})"
    mend = "run 'pulumi up'"
    try:
        found = account.call("s3", "get_object_lock_configuration", Bucket=bucket)["ObjectLockConfiguration"]
    except _Absent:
        return patient.judged(claim, "there is no such bucket, or it has no Object Lock", mend, holds=False)
    except CheckFailed as error:
        return patient.unknown(claim, str(error))
    retention = found.get("Rule", {}).get("DefaultRetention", {})
    live = (found.get("ObjectLockEnabled"), retention.get("Mode"), retention.get("Days"))
    said = (
        f"{retention.get('Days')} days ({str(retention.get('Mode')).lower()})" if retention else "no default retention"
    )
    return patient.judged(claim, said, mend, holds=live == ("Enabled", wanted["mode"], wanted["days"]))
