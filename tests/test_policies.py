"""The policy documents, decided by a policy simulator over a table of request contexts, linted, and as properties.

A local AWS stand-in does not enforce conditions, so nothing here asks one. The simulator is
`@cloud-copilot/iam-simulate`, installed from `tests/policies/package-lock.json`; it is a test tool and never shipped.
"""

import copy
import fcntl
import fnmatch
import functools
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypedDict, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from components.policies import (
    BucketAccess,
    Policy,
    Statement,
    bucket_policy,
    key_policy,
    render,
    secret_reader_policy,
    workload_policy,
    workload_trust_policy,
)

SIMULATOR = Path(__file__).parent / "policies"

STAGING, PROD, BACKUP, STRANGER = "222222222222", "333333333333", "444444444444", "666666666666"
REGION, ELSEWHERE = "eu-west-1", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{PROD}:key/00000000-0000-4000-8000-000000000003"
OTHER_KEY = f"arn:aws:kms:{REGION}:{STRANGER}:key/00000000-0000-4000-8000-000000000006"
ALIAS = f"arn:aws:kms:{REGION}:{PROD}:alias/prod"
BUCKET = "arn:aws:s3:::acme-prod-uploads"
OBJECT = f"{BUCKET}/orders/1.json"
LOG = f"{BUCKET}/AWSLogs/{PROD}/vpcflowlogs/1.log"
HEAD = f"{BUCKET}/heads/prod/000012"
SECRETS = f"arn:aws:secretsmanager:{REGION}:{PROD}:secret"
# The simulator knows the claims of a few public issuers alone and drops those of a cluster's own; two of them stand in.
ISSUER, OTHER_ISSUER = "accounts.google.com", "cognito-identity.amazonaws.com"


def role(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def _with(policy: Policy, extra: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": [*policy["Statement"], extra]}


def _only(statement: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": [statement]}


OPEN_BUCKET: Statement = {
    "Sid": "OpenToAll",
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3:*"],
    "Resource": [BUCKET, f"{BUCKET}/*"],
}
KEY_FOR_IAM: Statement = {
    "Sid": "LeaveUseToIam",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{PROD}:root"},
    "Action": ["kms:*"],
    "Resource": "*",
}
DENY_IF_EXISTS: Statement = {
    "Sid": "DenyIfExists",
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["s3:PutObject"],
    "Resource": [f"{BUCKET}/*"],
    "Condition": {"StringNotEqualsIfExists": {"s3:x-amz-server-side-encryption": "aws:kms"}},
}
ALL_OF_IAM: Statement = {"Sid": "AllOfIam", "Effect": "Allow", "Action": ["*"], "Resource": "*"}

ADMIN, WEB, REPLICATOR = role(PROD, "key-admin"), role(PROD, "web"), role(BACKUP, "replicator")
OBSERVER = role(PROD, "observer")
USERS = [WEB, role(PROD, "secret-store")]
SERVICES = ["s3", "secretsmanager"]

# The first word of a name is the document's kind: its other forms make visible what the plain one only implies.
DOCUMENTS: dict[str, Policy] = {
    "key": key_policy(
        account=PROD,
        region=REGION,
        administrators=[ADMIN],
        users=USERS,
        services=SERVICES,
        log_delivery=True,
        replication_roles=[REPLICATOR],
    ),
    "key without users": key_policy(
        account=PROD, region=REGION, administrators=[ADMIN], users=[], services=SERVICES, log_delivery=False
    ),
    "key naming staging's role by mistake": key_policy(
        account=PROD,
        region=REGION,
        administrators=[ADMIN],
        users=[*USERS, role(STAGING, "web")],
        services=SERVICES,
        log_delivery=False,
    ),
    "bucket": bucket_policy(
        account=PROD,
        region=REGION,
        bucket_arn=BUCKET,
        key_arn=KEY,
        replication_roles=[REPLICATOR],
        log_delivery=True,
    ),
    "bucket requiring a key id": bucket_policy(
        account=PROD,
        region=REGION,
        bucket_arn=BUCKET,
        key_arn=KEY,
        replication_roles=[],
        log_delivery=False,
        require_key_id=True,
    ),
    "bucket of evidence": bucket_policy(
        account=PROD,
        region=REGION,
        bucket_arn=BUCKET,
        key_arn=KEY,
        replication_roles=[],
        log_delivery=False,
        require_key_id=True,
        anchor_role=OBSERVER,
    ),
    "trust": workload_trust_policy(account=PROD, issuer=ISSUER, namespace="shop", service_account="web"),
    "workload": workload_policy(account=PROD, region=REGION, buckets={BUCKET: "read-write"}, keys=[KEY]),
    "workload that reads": workload_policy(account=PROD, region=REGION, buckets={BUCKET: "read"}, keys=[KEY]),
    "workload that writes": workload_policy(account=PROD, region=REGION, buckets={BUCKET: "write"}, keys=[KEY]),
    "secrets": secret_reader_policy(account=PROD, region=REGION, prefix="prod", keys=[KEY]),
    "iam-all": _only(ALL_OF_IAM),
    "open-bucket": _only(OPEN_BUCKET),
    "open-key": _only(KEY_FOR_IAM),
    "if-exists": _only(DENY_IF_EXISTS),
}
OURS = [name for name in DOCUMENTS if name not in {"iam-all", "open-bucket", "open-key", "if-exists"}]
DOCUMENTS["bucket opened by mistake"] = _with(DOCUMENTS["bucket"], OPEN_BUCKET)


@dataclass(frozen=True)
class Who:
    """Who makes a request: the principal as AWS sees it, its own policies, and what its requests carry about it."""

    principal: str | None
    context: Mapping[str, str]
    policies: tuple[str, ...] = ()


def _session(account: str, name: str, *policies: str) -> Who:
    """A session of a role; AWS reports the role's own ARN as aws:PrincipalArn."""
    context = {
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": role(account, name),
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalType": "AssumedRole",
    }
    return Who(f"arn:aws:sts::{account}:assumed-role/{name}/session", context, policies)


def _service(name: str) -> Who:
    """A service acting for a customer: it has no account of the customer's and no ARN."""
    return Who(name, {"aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": name})


def _token(issuer: str) -> Who:
    return Who(f"arn:aws:iam::{PROD}:oidc-provider/{issuer}", {})


WHO: dict[str, Who] = {
    "web": _session(PROD, "web", "workload"),
    "reader": _session(PROD, "web", "workload that reads"),
    "writer": _session(PROD, "web", "workload that writes"),
    "store": _session(PROD, "secret-store", "secrets"),
    "admin": _session(PROD, "key-admin", "iam-all"),
    "deployer": _session(PROD, "deployer", "iam-all"),
    "bystander": _session(PROD, "bystander"),
    "observer": _session(PROD, "observer"),
    "staging": _session(STAGING, "web", "iam-all"),
    "stranger": _session(STRANGER, "web", "iam-all"),
    "replicator": _session(BACKUP, "replicator", "iam-all"),
    "backup": _session(BACKUP, "operator", "iam-all"),
    "anyone": Who(None, {"aws:PrincipalAccount": "anonymous"}),
    "root": Who(
        f"arn:aws:iam::{PROD}:root",
        {
            "aws:PrincipalAccount": PROD,
            "aws:PrincipalArn": f"arn:aws:iam::{PROD}:root",
            "aws:PrincipalIsAWSService": "false",
            "aws:PrincipalType": "Account",
        },
        ("iam-all",),
    ),
    "log delivery": _service("delivery.logs.amazonaws.com"),
    "cloudtrail": _service("cloudtrail.amazonaws.com"),
    "token": _token(ISSUER),
    "staging's token": _token(OTHER_ISSUER),
}


@dataclass(frozen=True)
class Decision:
    """An outcome with the statements that made it; nothing names an implicit denial."""

    result: Literal["Allowed", "ImplicitlyDenied", "ExplicitlyDenied"]
    by: frozenset[str] = frozenset()


def allowed(*by: str) -> Decision:
    return Decision("Allowed", frozenset(by))


def denied(*by: str) -> Decision:
    return Decision("ExplicitlyDenied", frozenset(by))


NOT_ALLOWED = Decision("ImplicitlyDenied")


@dataclass(frozen=True)
class Case:
    """One row: who asks for what, on which resource under which resource policy, and what must come of it."""

    claim: str
    who: str
    action: str
    expected: Decision
    policy: str | None
    resource: str
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    owner: str = PROD

    @property
    def documents(self) -> tuple[str, ...]:
        return (*WHO[self.who].policies, *([self.policy] if self.policy else []))


def on_key(
    claim: str, who: str, action: str, expected: Decision, context: Mapping[str, str] | None = None, policy: str = "key"
) -> Case:
    return Case(claim, who, f"kms:{action}", expected, policy, KEY, context or {})


def on_bucket(
    claim: str,
    who: str,
    action: str,
    expected: Decision,
    context: Mapping[str, str] | None = None,
    resource: str = OBJECT,
    policy: str = "bucket",
) -> Case:
    return Case(claim, who, f"s3:{action}", expected, policy, resource, context or {})


def with_token(claim: str, expected: Decision, context: Mapping[str, str], who: str = "token") -> Case:
    return Case(claim, who, "sts:AssumeRoleWithWebIdentity", expected, "trust", WEB, context)


def on_secret(claim: str, action: str, expected: Decision, resource: str, owner: str = PROD) -> Case:
    return Case(claim, "store", f"secretsmanager:{action}", expected, None, resource, owner=owner)


def via(service: str, region: str = REGION) -> dict[str, str]:
    return {"kms:ViaService": f"{service}.{region}.amazonaws.com"}


def sent_for(account: str, region: str = REGION, arn_account: str | None = None) -> dict[str, str]:
    return {
        "aws:SourceAccount": account,
        "aws:SourceArn": f"arn:aws:logs:{region}:{arn_account or account}:delivery-source:flows",
    }


def encrypted(algorithm: str | None = None, key: str | None = None) -> dict[str, str]:
    headers = {"": algorithm, "-aws-kms-key-id": key}
    return {f"s3:x-amz-server-side-encryption{name}": value for name, value in headers.items() if value}


def token(subject: str, audience: str | None = "sts.amazonaws.com", issuer: str = ISSUER) -> dict[str, str]:
    claims = {"sub": f"system:serviceaccount:{subject}", "aud": audience}
    return {f"{issuer}:{name}": value for name, value in claims.items() if value}


PLAIN = {"aws:SecureTransport": "false"}
FOR_SERVICE = {"kms:GrantIsForAWSResource": "true"}
BY_HAND = {"kms:GrantIsForAWSResource": "false"}
OWNED = {"s3:x-amz-acl": "bucket-owner-full-control"}
SSE_C = {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"}
COPIED = {"s3:x-amz-copy-source": "acme-prod-uploads/orders/0.json"}
ITS_KEY = encrypted("aws:kms", KEY)

USE, GRANTS, ADMINISTRATION = "AllowUseThroughServices", "AllowGrantsForServices", "AllowAdministration"

KEY_CASES = [
    on_key("a_service_reads_through_s3", "web", "Decrypt", allowed(USE, "UseKeys"), via("s3")),
    on_key("a_service_writes_through_s3", "web", "GenerateDataKey", allowed(USE, "UseKeys"), via("s3")),
    on_key("the_secret_store_reads", "store", "Decrypt", allowed(USE, "DecryptSecrets"), via("secretsmanager")),
    on_key("a_service_cannot_decrypt_directly", "web", "Decrypt", NOT_ALLOWED),
    on_key("a_service_cannot_use_it_through_an_unnamed_service", "web", "Decrypt", NOT_ALLOWED, via("ec2")),
    on_key("a_service_cannot_use_it_from_another_region", "web", "Decrypt", NOT_ALLOWED, via("s3", ELSEWHERE)),
    on_key("a_key_without_users_serves_nobody", "web", "Decrypt", NOT_ALLOWED, via("s3"), "key without users"),
    on_key("the_admin_replaces_the_policy", "admin", "PutKeyPolicy", allowed(ADMINISTRATION, "AllOfIam")),
    on_key("the_admin_schedules_deletion", "admin", "ScheduleKeyDeletion", allowed(ADMINISTRATION, "AllOfIam")),
    on_key("the_admin_cannot_decrypt_even_with_all_of_iam", "admin", "Decrypt", NOT_ALLOWED),
    on_key("the_admin_cannot_decrypt_through_s3", "admin", "Decrypt", NOT_ALLOWED, via("s3")),
    on_key("the_admin_cannot_encrypt", "admin", "Encrypt", NOT_ALLOWED, via("s3")),
    on_key("the_admin_cannot_make_data_keys", "admin", "GenerateDataKey", NOT_ALLOWED, via("s3")),
    on_key("the_admin_cannot_reencrypt", "admin", "ReEncryptFrom", NOT_ALLOWED, via("s3")),
    on_key("the_admin_cannot_grant_use", "admin", "CreateGrant", NOT_ALLOWED, FOR_SERVICE),
    on_key("the_deployer_is_not_locked_out", "deployer", "PutKeyPolicy", allowed(ADMINISTRATION, "AllOfIam")),
    on_key(
        "the_deployer_is_not_locked_out_of_a_key_without_users",
        "deployer",
        "PutKeyPolicy",
        allowed(ADMINISTRATION, "AllOfIam"),
        policy="key without users",
    ),
    on_key("the_deployer_cannot_decrypt", "deployer", "Decrypt", NOT_ALLOWED, via("s3")),
    on_key("a_role_without_iam_cannot_replace_the_policy", "bystander", "PutKeyPolicy", NOT_ALLOWED),
    on_key("root_replaces_the_policy", "root", "PutKeyPolicy", allowed(ADMINISTRATION, "AllOfIam")),
    on_key("root_cannot_decrypt", "root", "Decrypt", NOT_ALLOWED),
    on_key("staging_cannot_decrypt", "staging", "Decrypt", NOT_ALLOWED, via("s3")),
    on_key("staging_cannot_replace_the_policy", "staging", "PutKeyPolicy", NOT_ALLOWED),
    on_key(
        "staging_cannot_decrypt_even_where_it_was_named_by_mistake",
        "staging",
        "Decrypt",
        NOT_ALLOWED,
        via("s3"),
        "key naming staging's role by mistake",
    ),
    on_key("a_stranger_cannot_decrypt", "stranger", "Decrypt", NOT_ALLOWED, via("s3")),
    on_key("a_stranger_cannot_see_it", "stranger", "DescribeKey", NOT_ALLOWED),
    on_key("a_service_of_aws_grants_for_a_user", "web", "CreateGrant", allowed(GRANTS), FOR_SERVICE),
    on_key("a_user_cannot_grant_by_hand", "web", "CreateGrant", NOT_ALLOWED, BY_HAND),
    on_key("a_user_cannot_grant_when_the_request_does_not_say", "web", "CreateGrant", NOT_ALLOWED),
    on_key("a_user_cannot_list_grants_by_hand", "web", "ListGrants", NOT_ALLOWED, BY_HAND),
    on_key("a_user_cannot_revoke_grants_by_hand", "web", "RevokeGrant", NOT_ALLOWED, BY_HAND),
    on_key("log_delivery_encrypts", "log delivery", "GenerateDataKey", allowed("AllowLogDelivery"), sent_for(PROD)),
    on_key("log_delivery_for_a_stranger_does_not", "log delivery", "GenerateDataKey", NOT_ALLOWED, sent_for(STRANGER)),
    on_key(
        "log_delivery_for_a_stranger_does_not_whatever_arn_it_names",
        "log delivery",
        "GenerateDataKey",
        NOT_ALLOWED,
        sent_for(STRANGER, arn_account=PROD),
    ),
    on_key(
        "log_delivery_from_another_region_does_not",
        "log delivery",
        "GenerateDataKey",
        NOT_ALLOWED,
        sent_for(PROD, ELSEWHERE),
    ),
    on_key("log_delivery_that_names_no_source_does_not", "log delivery", "GenerateDataKey", NOT_ALLOWED),
    on_key("another_aws_service_does_not", "cloudtrail", "GenerateDataKey", NOT_ALLOWED, sent_for(PROD)),
    on_key("replication_encrypts", "replicator", "Encrypt", allowed("AllowReplicas", "AllOfIam"), via("s3")),
    on_key("replication_cannot_encrypt_directly", "replicator", "Encrypt", NOT_ALLOWED),
    on_key("replication_cannot_make_data_keys", "replicator", "GenerateDataKey", NOT_ALLOWED, via("s3")),
    on_key("another_role_of_the_backup_account_cannot_encrypt", "backup", "Encrypt", NOT_ALLOWED, via("s3")),
]

WRITE = allowed("WriteObjects")
OPENED = "bucket opened by mistake"
STRICT = "bucket requiring a key id"

UPLOAD_CASES = [
    on_bucket("an_upload_without_headers_passes", "web", "PutObject", WRITE),
    on_bucket("an_upload_passes_where_s3_reports_the_default", "web", "PutObject", WRITE, ITS_KEY),
    on_bucket("an_upload_naming_the_algorithm_alone_passes", "web", "PutObject", WRITE, encrypted("aws:kms")),
    on_bucket("an_upload_naming_the_key_alone_passes", "web", "PutObject", WRITE, encrypted(key=KEY)),
    on_bucket("a_copy_without_headers_passes", "web", "PutObject", WRITE, COPIED),
    on_bucket("a_writer_aborts_a_multipart_upload", "web", "AbortMultipartUpload", WRITE),
    on_bucket("a_wrong_key_is_refused", "web", "PutObject", denied("DenyOtherKeys"), encrypted("aws:kms", OTHER_KEY)),
    on_bucket(
        "a_wrong_key_is_refused_on_a_copy",
        "web",
        "PutObject",
        denied("DenyOtherKeys"),
        COPIED | encrypted(key=OTHER_KEY),
    ),
    on_bucket(
        "a_bare_key_id_is_refused", "web", "PutObject", denied("DenyOtherKeys"), encrypted("aws:kms", KEY.split("/")[1])
    ),
    on_bucket("an_alias_is_refused", "web", "PutObject", denied("DenyOtherKeys"), encrypted("aws:kms", ALIAS)),
    on_bucket("sse_s3_is_refused", "web", "PutObject", denied("DenyOtherAlgorithms"), encrypted("AES256")),
    on_bucket("dsse_is_refused", "web", "PutObject", denied("DenyOtherAlgorithms"), encrypted("aws:kms:dsse", KEY)),
    on_bucket("sse_c_is_refused", "web", "PutObject", denied("DenyCustomerKeys"), SSE_C),
    on_bucket("strictly_an_upload_without_headers_passes", "web", "PutObject", WRITE, policy=STRICT),
    on_bucket("strictly_the_reported_default_passes", "web", "PutObject", WRITE, ITS_KEY, policy=STRICT),
    on_bucket(
        "strictly_the_algorithm_alone_is_refused",
        "web",
        "PutObject",
        denied("DenyManagedKey"),
        encrypted("aws:kms"),
        policy=STRICT,
    ),
    on_bucket(
        "if_exists_would_refuse_an_upload_without_headers",
        "web",
        "PutObject",
        denied("DenyIfExists"),
        policy="if-exists",
    ),
]

ACCESS_CASES = [
    on_bucket("a_service_reads", "web", "GetObject", allowed("ReadObjects")),
    on_bucket("a_service_lists", "web", "ListBucket", allowed("ListBuckets"), resource=BUCKET),
    on_bucket("a_reader_reads", "reader", "GetObject", allowed("ReadObjects")),
    on_bucket("a_reader_cannot_write", "reader", "PutObject", NOT_ALLOWED),
    on_bucket("a_writer_writes", "writer", "PutObject", WRITE),
    on_bucket("a_writer_cannot_read", "writer", "GetObject", NOT_ALLOWED),
    on_bucket("a_service_cannot_delete", "web", "DeleteObject", NOT_ALLOWED),
    on_bucket("a_service_cannot_change_the_bucket", "web", "PutBucketPolicy", NOT_ALLOWED, resource=BUCKET),
    on_bucket("plain_http_cannot_read", "web", "GetObject", denied("DenyPlainHttp"), PLAIN),
    on_bucket("plain_http_cannot_write", "web", "PutObject", denied("DenyPlainHttp"), PLAIN),
    on_bucket("plain_http_cannot_list", "web", "ListBucket", denied("DenyPlainHttp"), PLAIN, BUCKET),
    on_bucket("the_deployer_is_not_locked_out", "deployer", "PutBucketPolicy", allowed("AllOfIam"), resource=BUCKET),
    on_bucket("a_role_without_iam_cannot_read", "bystander", "GetObject", NOT_ALLOWED),
    on_bucket("staging_cannot_read", "staging", "GetObject", denied("DenyOtherAccounts")),
    on_bucket("staging_cannot_write", "staging", "PutObject", denied("DenyOtherAccounts")),
    on_bucket(
        "staging_cannot_read_what_was_opened_by_mistake",
        "staging",
        "GetObject",
        denied("DenyOtherAccounts"),
        policy=OPENED,
    ),
    on_bucket("anyone_cannot_read", "anyone", "GetObject", denied("DenyOtherAccounts")),
    on_bucket(
        "anyone_cannot_read_what_was_opened_by_mistake",
        "anyone",
        "GetObject",
        denied("DenyOtherAccounts"),
        policy=OPENED,
    ),
    on_bucket("another_aws_service_cannot_write", "cloudtrail", "PutObject", NOT_ALLOWED, sent_for(PROD) | OWNED, LOG),
    Case(
        "a_service_gets_nothing_from_a_bucket_of_that_name_elsewhere",
        "web",
        "s3:GetObject",
        NOT_ALLOWED,
        "open-bucket",
        OBJECT,
        owner=STRANGER,
    ),
    Case(
        "a_service_gives_nothing_to_a_bucket_of_that_name_elsewhere",
        "web",
        "s3:PutObject",
        NOT_ALLOWED,
        "open-bucket",
        OBJECT,
        owner=STRANGER,
    ),
    Case(
        "a_service_does_not_list_a_bucket_of_that_name_elsewhere",
        "web",
        "s3:ListBucket",
        NOT_ALLOWED,
        "open-bucket",
        BUCKET,
        owner=STRANGER,
    ),
]

DELIVERED = allowed("AllowLogDelivery")
REPLICATED = allowed("AllowReplicas", "AllOfIam")

DELIVERY_CASES = [
    on_bucket("logs_arrive", "log delivery", "PutObject", DELIVERED, sent_for(PROD) | OWNED, LOG),
    on_bucket(
        "logs_check_the_acl", "log delivery", "GetBucketAcl", allowed("AllowLogDeliveryCheck"), sent_for(PROD), BUCKET
    ),
    on_bucket(
        "logs_of_a_stranger_do_not_arrive", "log delivery", "PutObject", NOT_ALLOWED, sent_for(STRANGER) | OWNED, LOG
    ),
    on_bucket(
        "logs_of_a_stranger_do_not_arrive_whatever_arn_they_name",
        "log delivery",
        "PutObject",
        NOT_ALLOWED,
        sent_for(STRANGER, arn_account=PROD) | OWNED,
        LOG,
    ),
    on_bucket(
        "logs_of_another_region_do_not_arrive",
        "log delivery",
        "PutObject",
        NOT_ALLOWED,
        sent_for(PROD, ELSEWHERE) | OWNED,
        LOG,
    ),
    on_bucket("logs_naming_no_source_do_not_arrive", "log delivery", "PutObject", NOT_ALLOWED, OWNED, LOG),
    on_bucket(
        "logs_that_keep_their_owner_do_not_arrive", "log delivery", "PutObject", NOT_ALLOWED, sent_for(PROD), LOG
    ),
    on_bucket("logs_do_not_arrive_among_the_data", "log delivery", "PutObject", NOT_ALLOWED, sent_for(PROD) | OWNED),
    on_bucket("log_delivery_cannot_read", "log delivery", "GetObject", NOT_ALLOWED, sent_for(PROD), LOG),
    on_bucket(
        "the_acl_is_not_shown_for_a_stranger", "log delivery", "GetBucketAcl", NOT_ALLOWED, sent_for(STRANGER), BUCKET
    ),
    on_bucket(
        "the_acl_is_not_shown_for_a_stranger_whatever_arn_it_names",
        "log delivery",
        "GetBucketAcl",
        NOT_ALLOWED,
        sent_for(STRANGER, arn_account=PROD),
        BUCKET,
    ),
    on_bucket(
        "the_acl_is_not_shown_to_another_region",
        "log delivery",
        "GetBucketAcl",
        NOT_ALLOWED,
        sent_for(PROD, ELSEWHERE),
        BUCKET,
    ),
    on_bucket(
        "logs_do_not_arrive_over_plain_http",
        "log delivery",
        "PutObject",
        denied("DenyPlainHttp"),
        sent_for(PROD) | OWNED | PLAIN,
        LOG,
    ),
    on_bucket(
        "logs_do_not_arrive_where_delivery_is_off",
        "log delivery",
        "PutObject",
        NOT_ALLOWED,
        sent_for(PROD) | OWNED,
        LOG,
        STRICT,
    ),
    on_bucket("replicas_arrive", "replicator", "ReplicateObject", REPLICATED, ITS_KEY),
    on_bucket("deletions_are_replicated", "replicator", "ReplicateDelete", REPLICATED),
    on_bucket("tags_are_replicated", "replicator", "ReplicateTags", REPLICATED),
    on_bucket(
        "replication_checks_versioning",
        "replicator",
        "GetBucketVersioning",
        allowed("AllowReplicationCheck", "AllOfIam"),
        resource=BUCKET,
    ),
    on_bucket("the_replication_role_cannot_read", "replicator", "GetObject", NOT_ALLOWED),
    on_bucket("the_replication_role_cannot_list", "replicator", "ListBucket", NOT_ALLOWED, resource=BUCKET),
    on_bucket("the_replication_role_cannot_upload", "replicator", "PutObject", NOT_ALLOWED),
    on_bucket(
        "a_replica_under_another_key_is_refused",
        "replicator",
        "ReplicateObject",
        denied("DenyOtherKeys"),
        encrypted("aws:kms", OTHER_KEY),
    ),
    on_bucket(
        "a_replica_under_sse_s3_is_refused",
        "replicator",
        "ReplicateObject",
        denied("DenyOtherAlgorithms"),
        encrypted("AES256"),
    ),
    on_bucket("a_replica_under_sse_c_is_refused", "replicator", "ReplicateObject", denied("DenyCustomerKeys"), SSE_C),
    on_bucket(
        "a_replica_over_plain_http_is_refused",
        "replicator",
        "ReplicateObject",
        denied("DenyPlainHttp"),
        ITS_KEY | PLAIN,
    ),
    on_bucket(
        "another_role_of_the_backup_account_cannot_replicate",
        "backup",
        "ReplicateObject",
        denied("DenyOtherAccounts"),
        ITS_KEY,
    ),
    on_bucket(
        "a_replica_is_refused_where_none_are_taken",
        "replicator",
        "ReplicateObject",
        denied("DenyOtherAccounts"),
        ITS_KEY,
        policy=STRICT,
    ),
]

HEADS = {"s3:prefix": "heads/prod/"}
ONLY_NEW = {"s3:if-none-match": "*"}


def on_evidence(
    claim: str,
    action: str,
    expected: Decision,
    context: Mapping[str, str] | None = None,
    resource: str = HEAD,
    who: str = "observer",
) -> Case:
    return on_bucket(claim, who, action, expected, context, resource, "bucket of evidence")


ANCHOR_CASES = [
    on_evidence("a_head_is_added", "PutObject", allowed("AllowAnchor"), ONLY_NEW),
    on_evidence("a_head_is_added_under_the_default", "PutObject", allowed("AllowAnchor"), ONLY_NEW | ITS_KEY),
    on_evidence("a_head_is_read_by_its_version", "GetObjectVersion", allowed("AllowAnchorRead")),
    on_evidence("a_heads_lock_is_read", "GetObjectRetention", allowed("AllowAnchorRead")),
    on_evidence("heads_are_listed", "ListBucketVersions", allowed("AllowAnchorList"), HEADS, BUCKET),
    on_evidence("the_lock_is_read", "GetBucketObjectLockConfiguration", allowed("AllowAnchorLock"), resource=BUCKET),
    on_evidence("nothing_is_put_over_a_head", "PutObject", NOT_ALLOWED),
    on_evidence("nothing_is_put_beside_heads", "PutObject", NOT_ALLOWED, ONLY_NEW, OBJECT),
    on_evidence("nothing_else_is_read", "GetObjectVersion", NOT_ALLOWED, resource=OBJECT),
    on_evidence("nothing_else_is_listed", "ListBucketVersions", NOT_ALLOWED, {"s3:prefix": "orders/"}, BUCKET),
    on_evidence("not_everything_is_listed", "ListBucketVersions", NOT_ALLOWED, resource=BUCKET),
    on_evidence("no_head_is_deleted", "DeleteObject", NOT_ALLOWED),
    on_evidence("no_version_of_a_head_is_deleted", "DeleteObjectVersion", NOT_ALLOWED),
    on_evidence("no_lock_is_changed", "PutObjectRetention", NOT_ALLOWED),
    on_evidence("no_lock_is_passed_by", "BypassGovernanceRetention", NOT_ALLOWED),
    on_evidence("the_buckets_lock_is_not_changed", "PutBucketObjectLockConfiguration", NOT_ALLOWED, resource=BUCKET),
    on_evidence("the_buckets_policy_is_not_changed", "PutBucketPolicy", NOT_ALLOWED, resource=BUCKET),
    on_evidence("the_buckets_lifecycle_is_not_changed", "PutLifecycleConfiguration", NOT_ALLOWED, resource=BUCKET),
    on_evidence("no_head_is_added_over_plain_http", "PutObject", denied("DenyPlainHttp"), ONLY_NEW | PLAIN),
    on_evidence(
        "no_head_is_added_under_another_key",
        "PutObject",
        denied("DenyOtherKeys"),
        ONLY_NEW | encrypted("aws:kms", OTHER_KEY),
    ),
    on_evidence("another_role_of_the_account_adds_none", "PutObject", NOT_ALLOWED, ONLY_NEW, who="bystander"),
    on_evidence("staging_adds_none", "PutObject", denied("DenyOtherAccounts"), ONLY_NEW, who="staging"),
    on_evidence("staging_reads_none", "GetObjectVersion", denied("DenyOtherAccounts"), who="staging"),
]

TRUST_CASES = [
    with_token("the_service_account_takes_its_role", allowed("AllowServiceAccount"), token("shop:web")),
    with_token("its_name_in_another_namespace_does_not", NOT_ALLOWED, token("pr-7:web")),
    with_token("another_service_account_of_its_namespace_does_not", NOT_ALLOWED, token("shop:worker")),
    with_token("a_name_that_starts_like_its_own_does_not", NOT_ALLOWED, token("shop:web2")),
    with_token("a_token_for_another_audience_does_not", NOT_ALLOWED, token("shop:web", "vault.example.com")),
    with_token("a_token_for_no_audience_does_not", NOT_ALLOWED, token("shop:web", None)),
    with_token(
        "its_name_in_another_cluster_does_not",
        NOT_ALLOWED,
        token("shop:web", issuer=OTHER_ISSUER),
        who="staging's token",
    ),
    with_token("another_issuer_claiming_its_name_does_not", NOT_ALLOWED, token("shop:web"), who="staging's token"),
]

SECRET_CASES = [
    on_secret("its_secret_is_read", "GetSecretValue", allowed("ReadSecrets"), f"{SECRETS}:prod/web/db-AbCdEf"),
    on_secret("its_secret_is_described", "DescribeSecret", allowed("ReadSecrets"), f"{SECRETS}:prod/web/db-AbCdEf"),
    on_secret("its_secret_is_not_written", "PutSecretValue", NOT_ALLOWED, f"{SECRETS}:prod/web/db-AbCdEf"),
    on_secret(
        "a_secret_of_another_prefix_is_not_read", "GetSecretValue", NOT_ALLOWED, f"{SECRETS}:staging/web/db-AbCdEf"
    ),
    on_secret(
        "a_secret_of_a_prefix_that_starts_alike_is_not_read",
        "GetSecretValue",
        NOT_ALLOWED,
        f"{SECRETS}:prod2/web/db-AbCdEf",
    ),
    on_secret(
        "a_secret_of_another_region_is_not_read",
        "GetSecretValue",
        NOT_ALLOWED,
        f"{SECRETS}:prod/web/db-AbCdEf".replace(REGION, ELSEWHERE),
    ),
    on_secret(
        "a_secret_of_another_account_is_not_read",
        "GetSecretValue",
        NOT_ALLOWED,
        f"{SECRETS}:prod/web/db-AbCdEf".replace(PROD, STAGING),
        STAGING,
    ),
]

# A key whose policy leaves use to IAM, as AWS's default does: there the role's own policy is what limits it.
IAM_CASES = [
    on_key(
        "s3_encrypts_for_a_writer",
        "writer",
        "GenerateDataKey",
        allowed("LeaveUseToIam", "UseKeys"),
        via("s3"),
        "open-key",
    ),
    on_key("s3_does_not_encrypt_for_a_reader", "reader", "GenerateDataKey", NOT_ALLOWED, via("s3"), "open-key"),
    on_key("s3_decrypts_for_a_reader", "reader", "Decrypt", allowed("LeaveUseToIam", "UseKeys"), via("s3"), "open-key"),
    on_key("a_service_cannot_decrypt_without_s3", "web", "Decrypt", NOT_ALLOWED, policy="open-key"),
    on_key(
        "a_secret_is_decrypted",
        "store",
        "Decrypt",
        allowed("LeaveUseToIam", "DecryptSecrets"),
        via("secretsmanager"),
        "open-key",
    ),
    on_key("the_store_cannot_decrypt_objects", "store", "Decrypt", NOT_ALLOWED, via("s3"), "open-key"),
]

CASES = {
    f"{table}: {case.claim}": case
    for table, cases in {
        "key": KEY_CASES,
        "upload": UPLOAD_CASES,
        "access": ACCESS_CASES,
        "delivery": DELIVERY_CASES,
        "anchor": ANCHOR_CASES,
        "trust": TRUST_CASES,
        "secrets": SECRET_CASES,
        "iam": IAM_CASES,
    }.items()
    for case in cases
}


@dataclass(frozen=True)
class Outcome:
    """What `simulate.mjs` prints for a case; `error` stands alone."""

    error: str = ""
    result: Literal["", "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"] = ""
    allows: tuple[str, ...] = ()
    denies: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def decision(self) -> tuple[str, frozenset[str]]:
        by = {"Allowed": self.allows, "ExplicitlyDenied": self.denies}.get(self.result, ())
        return self.result, frozenset(by)


class Request(TypedDict):
    """What `simulate.mjs` reads for a case."""

    principal: str | None
    identityPolicies: list[Policy]
    resourcePolicy: Policy | None
    action: str
    resource: str
    owner: str
    context: dict[str, str]


def _request(case: Case, documents: Mapping[str, Policy]) -> Request:
    who = WHO[case.who]
    context = {"aws:ResourceAccount": case.owner, "aws:SecureTransport": "true", **who.context, **case.context}
    if case.action.startswith("kms:") and "aws:PrincipalAccount" in who.context:
        context["kms:CallerAccount"] = who.context["aws:PrincipalAccount"]
    return {
        "principal": who.principal,
        "identityPolicies": [documents[name] for name in who.policies],
        "resourcePolicy": documents[case.policy] if case.policy else None,
        "action": case.action,
        "resource": case.resource,
        "owner": case.owner,
        "context": context,
    }


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not on PATH: the policies are proved by a simulator that runs on Node.js 20 or newer")
    return found


def _simulate(requests: Sequence[Request]) -> list[Outcome]:
    done = subprocess.run(
        [_tool("node"), "simulate.mjs"],
        cwd=SIMULATOR,
        input=json.dumps({"cases": requests}).encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the policy simulator failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return TypeAdapter(list[Outcome]).validate_json(done.stdout)


def _installed() -> bool:
    marker = SIMULATOR / "node_modules" / ".package-lock.json"
    return marker.exists() and marker.stat().st_mtime >= (SIMULATOR / "package-lock.json").stat().st_mtime


@pytest.fixture(scope="session")
def simulator() -> None:
    """Install the simulator as locked, once, however many test runs start together."""
    npm = _tool("npm")
    with (SIMULATOR / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _installed():
            return
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=SIMULATOR,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if done.returncode:
        pytest.fail(f"npm ci could not install the policy simulator:\n{done.stderr[-2000:]}")


@pytest.fixture(scope="session")
def outcomes(simulator: None) -> dict[str, Outcome]:
    """Decide the whole table in one process."""
    del simulator
    decided = _simulate([_request(case, DOCUMENTS) for case in CASES.values()])
    return dict(zip(CASES, decided, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_request(name: str, outcomes: dict[str, Outcome]) -> None:
    """A request is decided as the table says, by the statements the table names, on the whole of its context."""
    outcome, expected = outcomes[name], CASES[name].expected
    assert not outcome.error
    assert not outcome.ignored, "the simulator dropped context keys that the action does not take"
    assert outcome.decision == (expected.result, expected.by)


@dataclass(frozen=True)
class Mutant:
    """A weakening of every document of a kind: a statement taken out, or one condition of it taken out or replaced."""

    kind: str
    sid: str
    operator: str = ""
    key: str = ""
    instead: str = ""

    def concerns(self, case: Case) -> bool:
        """Tell whether a decision may change: a narrower statement's own decisions may, a wider one's may not."""
        narrower = not self.operator or bool(self.instead)
        patterns = [
            pattern
            for name in case.documents
            if name.split()[0] == self.kind
            for statement in DOCUMENTS[name]["Statement"]
            if statement["Sid"] == self.sid
            for pattern in statement["Action"]
        ]
        decided = self.sid in case.expected.by
        return decided == narrower and any(fnmatch.fnmatchcase(case.action, pattern) for pattern in patterns)

    def apply(self, name: str, policy: Policy) -> Policy:
        if name.split()[0] != self.kind:
            return policy
        others = [each for each in policy["Statement"] if each["Sid"] != self.sid]
        weakened = [self._weakened(each) for each in policy["Statement"] if each["Sid"] == self.sid and self.operator]
        return {"Version": policy["Version"], "Statement": [*others, *weakened]}

    def _weakened(self, statement: Statement) -> Statement:
        mutated = copy.deepcopy(statement)
        condition = mutated.get("Condition", {})
        value = condition.get(self.operator, {}).pop(self.key, None)
        if self.instead and value is not None:
            condition.setdefault(self.instead, {})[self.key] = value
        mutated["Condition"] = {operator: keys for operator, keys in condition.items() if keys}
        return mutated


def _mutants() -> Iterator[Mutant]:
    for name in OURS:
        kind = name.split()[0]
        for statement in DOCUMENTS[name]["Statement"]:
            sid = statement["Sid"]
            yield Mutant(kind, sid)
            for operator, key in ((each, key) for each, keys in statement.get("Condition", {}).items() for key in keys):
                yield Mutant(kind, sid, operator, key)
                if operator.endswith("IfExists"):
                    yield Mutant(kind, sid, operator, key, operator.removesuffix("IfExists"))


@pytest.mark.exhaustive
def test_every_statement_and_condition_decides_some_request(outcomes: dict[str, Outcome]) -> None:
    """Without any one statement or condition some request would be decided otherwise: none is vacuous or untested."""
    trials: list[tuple[Mutant, str, Request]] = []
    for mutant in dict.fromkeys(_mutants()):
        documents = {name: mutant.apply(name, policy) for name, policy in DOCUMENTS.items()}
        for name, case in CASES.items():
            if mutant.concerns(case):
                trials.append((mutant, name, _request(case, documents)))
    decided = _simulate([request for *_, request in trials])
    noticed = {
        mutant
        for (mutant, name, _), outcome in zip(trials, decided, strict=True)
        if (outcome.result == "Allowed") != (outcomes[name].result == "Allowed")
    }
    assert set(_mutants()) - noticed == set()


def test_missing_tool_fails_with_its_reason() -> None:
    """A machine without Node.js is told so; the table is never skipped."""
    with pytest.raises(pytest.fail.Exception, match="not on PATH"):
        _ = _tool("no-such-tool")


class _Finding(Protocol):
    issue: str


class _Linted(Protocol):
    findings: list[_Finding]


class _Linter(Protocol):
    def analyze_policy_string(self, policy_str: str, *, include_community_auditors: bool) -> _Linted: ...


@functools.cache
def _linter() -> _Linter:
    """Import parliament, which asks pkg_resources, gone from setuptools, where its own two data files are."""
    if importlib.util.find_spec("pkg_resources") is None:
        stand_in = types.ModuleType("pkg_resources")
        stand_in.__dict__["resource_filename"] = _resource_filename
        sys.modules["pkg_resources"] = stand_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions are not raw strings
        return cast("_Linter", cast("object", importlib.import_module("parliament")))


def _resource_filename(package: str, name: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / name)


# What parliament says of right documents, by kind, with the reason it does not hold.
LINT_EXCEPTIONS = {
    "key": {
        "RESOURCE_STAR": "in a key policy * is the key it is attached to",
        "PERMISSIONS_MANAGEMENT_ACTIONS": "administering a key is putting its policy",
    },
    "bucket": {"MISMATCHED_TYPE_BUT_USABLE": "a string operator also refuses a key id that is no ARN"},
    "trust": {
        "CREDENTIALS_EXPOSURE": "handing out credentials is what a trust policy does",
        "UNKNOWN_FEDERATION_SOURCE": "it knows no OIDC providers by ARN",
    },
}


@pytest.mark.parametrize("name", OURS)
def test_linter_finds_nothing_but_what_is_explained(name: str) -> None:
    """The linter's findings are exactly the explained ones, so that an explanation cannot outlive its finding."""
    policy = copy.deepcopy(DOCUMENTS[name])
    if name == "trust":
        # parliament requires the element that AWS forbids in a trust policy.
        policy["Statement"][0]["Resource"] = WEB
    findings = _linter().analyze_policy_string(render(policy), include_community_auditors=True).findings
    assert {finding.issue for finding in findings} == set(LINT_EXCEPTIONS.get(name.split()[0], {}))


# Whether a policy has a property does not depend on how busy the machine is.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ACCOUNTS = st.from_regex(r"[0-9]{12}", fullmatch=True)
REGIONS = st.sampled_from(["eu-west-1", "us-east-2", "ap-southeast-4", "us-gov-west-1"])
PARTITIONS = st.sampled_from(["aws", "aws-us-gov", "aws-eusc"])
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
ROLES = st.builds(role, ACCOUNTS, NAMES)
ARNS = st.lists(ROLES, max_size=4)
BUCKETS = st.builds("arn:aws:s3:::{}".format, st.from_regex(r"[a-z0-9][a-z0-9-]{1,30}[a-z0-9]", fullmatch=True))
KEYS = st.builds("arn:aws:kms:{}:{}:key/{}".format, REGIONS, ACCOUNTS, st.uuids())
ACCESS: st.SearchStrategy[BucketAccess] = st.sampled_from(["read", "write", "read-write"])
KEY_POLICIES = st.builds(
    key_policy,
    account=ACCOUNTS,
    region=REGIONS,
    partition=PARTITIONS,
    administrators=ARNS,
    users=ARNS,
    services=st.lists(st.sampled_from(SERVICES), min_size=1),
    log_delivery=st.booleans(),
    replication_roles=ARNS,
)
BUCKET_POLICIES = st.builds(
    bucket_policy,
    account=ACCOUNTS,
    region=REGIONS,
    partition=PARTITIONS,
    bucket_arn=BUCKETS,
    key_arn=KEYS,
    replication_roles=ARNS,
    log_delivery=st.booleans(),
    require_key_id=st.booleans(),
    anchor_role=st.none() | ROLES,
)
TRUST_POLICIES = st.builds(
    workload_trust_policy,
    account=ACCOUNTS,
    partition=PARTITIONS,
    issuer=st.builds("oidc.{}.example/id/{}".format, NAMES, NAMES),
    namespace=NAMES,
    service_account=NAMES,
)
ROLE_POLICIES = st.builds(
    workload_policy,
    account=ACCOUNTS,
    region=REGIONS,
    buckets=st.dictionaries(BUCKETS, ACCESS, min_size=1, max_size=4),
    keys=st.lists(KEYS, max_size=3),
) | st.builds(
    secret_reader_policy,
    account=ACCOUNTS,
    region=REGIONS,
    partition=PARTITIONS,
    prefix=NAMES,
    keys=st.lists(KEYS, max_size=3),
)
CRYPTOGRAPHY = [
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GenerateMac",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:ReplicateKey",
    "kms:Sign",
]


def _aws_principals(statement: Statement) -> list[str]:
    principal = statement.get("Principal", {})
    found = "*" if isinstance(principal, str) else principal.get("AWS", [])
    return [found] if isinstance(found, str) else found


def _resources(statement: Statement) -> list[str]:
    found = statement.get("Resource", [])
    return [found] if isinstance(found, str) else found


@unhurried
@given(KEY_POLICIES)
def test_whoever_administers_a_key_is_given_no_cryptography(policy: Policy) -> None:
    """The account and its administrators are given no action, nor a pattern, that uses the key or grants its use."""
    administration = policy["Statement"][0]
    assert [each for pattern in administration["Action"] for each in fnmatch.filter(CRYPTOGRAPHY, pattern)] == []
    assert any(arn.endswith(":root") for arn in _aws_principals(administration))
    assert "kms:PutKeyPolicy" in administration["Action"]


@unhurried
@given(KEY_POLICIES)
def test_every_other_statement_of_a_key_names_its_principals_and_has_a_condition(policy: Policy) -> None:
    """Beyond administration nothing is unconditional and no account as a whole is let in."""
    for statement in policy["Statement"][1:]:
        principals = _aws_principals(statement)
        assert statement.get("Condition")
        assert not any(arn.endswith(":root") for arn in principals)
        assert principals or statement.get("Principal") == {"Service": "delivery.logs.amazonaws.com"}


@unhurried
@given(KEY_POLICIES | BUCKET_POLICIES | TRUST_POLICIES)
def test_only_a_denial_speaks_of_everyone(policy: Policy) -> None:
    """A statement that allows names each principal in full."""
    for statement in policy["Statement"]:
        if statement["Effect"] == "Allow":
            assert not set("".join(_aws_principals(statement))) & set("*?")
            assert statement.get("Principal")


@unhurried
@given(BUCKET_POLICIES)
def test_a_bucket_policy_allows_nothing_but_replicas_logs_and_heads(policy: Policy) -> None:
    """Reading what is no head, deleting and configuring are left to IAM of the bucket's own account."""
    heads = [one for one in policy["Statement"] if one["Sid"].startswith("AllowAnchor")]
    allowed_ = [one for one in policy["Statement"] if one["Effect"] == "Allow" and one not in heads]
    actions = {each for one in allowed_ for each in one["Action"]}
    replication = {"s3:GetBucketVersioning", "s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"}
    assert actions <= replication | {"s3:GetBucketAcl", "s3:PutObject"}
    for one in heads:
        below = {arn.partition("/")[2] for arn in _resources(one)}
        assert below == ({""} if "Bucket" in "".join(one["Action"]) else {"heads/*"})


@unhurried
@given(ROLE_POLICIES)
def test_a_role_is_given_named_actions_on_named_resources(policy: Policy) -> None:
    """A role's own policy has no wildcard but the one after a bucket or a prefix of secrets."""
    for statement in policy["Statement"]:
        assert not set("".join(statement["Action"])) & set("*?")
        for resource in _resources(statement):
            assert re.fullmatch(r"arn:[^*?]+(/\*)?", resource)


@unhurried
@given(KEY_POLICIES | BUCKET_POLICIES | TRUST_POLICIES | ROLE_POLICIES)
def test_statements_are_named_once_in_letters(policy: Policy) -> None:
    """Every Sid is alphanumeric and its own, and no statement is empty."""
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert sids
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)
    assert all(statement["Action"] for statement in policy["Statement"])


@unhurried
@given(ARNS.flatmap(lambda arns: st.tuples(st.just(arns), st.permutations(arns))))
def test_order_and_repetition_of_roles_do_not_matter(roles: tuple[list[str], list[str]]) -> None:
    """Equal sets of roles give equal bytes."""
    given_, shuffled = roles
    first, second = (
        key_policy(
            account=PROD,
            region=REGION,
            administrators=each,
            users=each,
            services=SERVICES,
            log_delivery=True,
            replication_roles=each,
        )
        for each in (given_, [*shuffled, *shuffled])
    )
    assert render(first) == render(second)


@pytest.mark.parametrize("arn", ["*", f"arn:aws:iam::{PROD}:role/*", f"arn:aws:iam::{PROD}:role/we?", PROD])
def test_a_principal_that_may_be_many_is_refused(arn: str) -> None:
    """A wildcard or a bare account id as a principal is an error, not a policy."""
    with pytest.raises(ValueError, match="full ARN without wildcards"):
        _ = key_policy(
            account=PROD, region=REGION, administrators=[], users=[arn], services=SERVICES, log_delivery=False
        )


@pytest.mark.parametrize("prefix", ["", "*", "prod*"])
def test_a_prefix_that_may_be_many_is_refused(prefix: str) -> None:
    """A prefix of secrets that reaches beyond one environment is an error, not a policy."""
    with pytest.raises(ValueError, match="literal name"):
        _ = secret_reader_policy(account=PROD, region=REGION, prefix=prefix, keys=[])


def test_a_workload_without_buckets_is_refused() -> None:
    """A policy without statements is malformed to AWS, so it is never rendered."""
    with pytest.raises(ValueError, match="at least one bucket"):
        _ = workload_policy(account=PROD, region=REGION, buckets={}, keys=[KEY])


def test_rendering_is_compact_and_sorted() -> None:
    """The text of a policy is one line of JSON with sorted keys, and reads back as the policy."""
    policy = DOCUMENTS["trust"]
    text = render(policy)
    assert text.startswith('{"Statement":[{"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":')
    assert json.loads(text) == policy
