"""The policy documents, decided by a policy simulator over a table of request contexts, linted, and as properties.

A local AWS stand-in does not enforce conditions, so nothing here asks one. The simulator is
`@cloud-copilot/iam-simulate`, installed from `tests/policies/package-lock.json`; it is a test tool and never shipped.
"""

import copy
import fcntl
import fnmatch
import importlib
import importlib.util
import itertools
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NotRequired, Protocol, TypedDict, cast

import pytest
from hypothesis import given
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

# --- The world of the table -------------------------------------------------------------------------------------------

STAGING, PROD, BACKUP, STRANGER = "222222222222", "333333333333", "444444444444", "666666666666"
REGION, ELSEWHERE = "eu-west-1", "us-east-1"
KEY = f"arn:aws:kms:{REGION}:{PROD}:key/00000000-0000-4000-8000-000000000003"
OTHER_KEY = f"arn:aws:kms:{REGION}:{STRANGER}:key/00000000-0000-4000-8000-000000000006"
ALIAS = f"arn:aws:kms:{REGION}:{PROD}:alias/prod"
BUCKET = "arn:aws:s3:::acme-prod-uploads"
OBJECT = f"{BUCKET}/orders/1.json"
LOG = f"{BUCKET}/AWSLogs/{PROD}/vpcflowlogs/1.log"
SECRETS = f"arn:aws:secretsmanager:{REGION}:{PROD}:secret"
ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/33333333333333333333333333333333"
OTHER_ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/22222222222222222222222222222222"


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


# --- The table --------------------------------------------------------------------------------------------------------


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
    context: Mapping[str, str] = field(default_factory=dict)
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
    on_bucket("a_wrong_key", "web", "PutObject", denied("DenyOtherKeys"), encrypted("aws:kms", OTHER_KEY)),
    on_bucket("a_wrong_key_on_a_copy", "web", "PutObject", denied("DenyOtherKeys"), COPIED | encrypted(key=OTHER_KEY)),
    on_bucket("a_bare_key_id", "web", "PutObject", denied("DenyOtherKeys"), encrypted("aws:kms", KEY.split("/")[1])),
    on_bucket("an_alias", "web", "PutObject", denied("DenyOtherKeys"), encrypted("aws:kms", ALIAS)),
    on_bucket("sse_s3", "web", "PutObject", denied("DenyOtherAlgorithms"), encrypted("AES256")),
    on_bucket("dsse", "web", "PutObject", denied("DenyOtherAlgorithms"), encrypted("aws:kms:dsse", KEY)),
    on_bucket("sse_c", "web", "PutObject", denied("DenyCustomerKeys"), SSE_C),
    on_bucket("strictly_no_headers_pass", "web", "PutObject", WRITE, policy=STRICT),
    on_bucket("strictly_the_reported_default_passes", "web", "PutObject", WRITE, ITS_KEY, policy=STRICT),
    on_bucket(
        "strictly_an_algorithm_alone_would_mean_another_key",
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
    on_bucket("plain_http_reads", "web", "GetObject", denied("DenyPlainHttp"), PLAIN),
    on_bucket("plain_http_writes", "web", "PutObject", denied("DenyPlainHttp"), PLAIN),
    on_bucket("plain_http_lists", "web", "ListBucket", denied("DenyPlainHttp"), PLAIN, BUCKET),
    on_bucket("the_deployer_is_not_locked_out", "deployer", "PutBucketPolicy", allowed("AllOfIam"), resource=BUCKET),
    on_bucket("a_role_without_iam", "bystander", "GetObject", NOT_ALLOWED),
    on_bucket("staging_reads", "staging", "GetObject", denied("DenyOtherAccounts")),
    on_bucket("staging_writes", "staging", "PutObject", denied("DenyOtherAccounts")),
    on_bucket(
        "staging_reads_what_was_opened_by_mistake", "staging", "GetObject", denied("DenyOtherAccounts"), policy=OPENED
    ),
    on_bucket("anyone_reads", "anyone", "GetObject", denied("DenyOtherAccounts")),
    on_bucket(
        "anyone_reads_what_was_opened_by_mistake", "anyone", "GetObject", denied("DenyOtherAccounts"), policy=OPENED
    ),
    on_bucket("another_aws_service_writes", "cloudtrail", "PutObject", NOT_ALLOWED, sent_for(PROD) | OWNED, LOG),
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
    on_bucket("logs_of_a_stranger", "log delivery", "PutObject", NOT_ALLOWED, sent_for(STRANGER) | OWNED, LOG),
    on_bucket(
        "logs_of_a_stranger_whatever_arn_they_name",
        "log delivery",
        "PutObject",
        NOT_ALLOWED,
        sent_for(STRANGER, arn_account=PROD) | OWNED,
        LOG,
    ),
    on_bucket(
        "logs_of_another_region", "log delivery", "PutObject", NOT_ALLOWED, sent_for(PROD, ELSEWHERE) | OWNED, LOG
    ),
    on_bucket("logs_naming_no_source", "log delivery", "PutObject", NOT_ALLOWED, OWNED, LOG),
    on_bucket("logs_that_keep_their_owner", "log delivery", "PutObject", NOT_ALLOWED, sent_for(PROD), LOG),
    on_bucket("logs_among_the_data", "log delivery", "PutObject", NOT_ALLOWED, sent_for(PROD) | OWNED),
    on_bucket("log_delivery_reads", "log delivery", "GetObject", NOT_ALLOWED, sent_for(PROD), LOG),
    on_bucket("an_acl_check_for_a_stranger", "log delivery", "GetBucketAcl", NOT_ALLOWED, sent_for(STRANGER), BUCKET),
    on_bucket(
        "an_acl_check_for_a_stranger_whatever_arn_it_names",
        "log delivery",
        "GetBucketAcl",
        NOT_ALLOWED,
        sent_for(STRANGER, arn_account=PROD),
        BUCKET,
    ),
    on_bucket(
        "an_acl_check_from_another_region",
        "log delivery",
        "GetBucketAcl",
        NOT_ALLOWED,
        sent_for(PROD, ELSEWHERE),
        BUCKET,
    ),
    on_bucket(
        "log_delivery_over_plain_http",
        "log delivery",
        "PutObject",
        denied("DenyPlainHttp"),
        sent_for(PROD) | OWNED | PLAIN,
        LOG,
    ),
    on_bucket(
        "logs_where_none_are_delivered", "log delivery", "PutObject", NOT_ALLOWED, sent_for(PROD) | OWNED, LOG, STRICT
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
    on_bucket("the_replication_role_reads", "replicator", "GetObject", NOT_ALLOWED),
    on_bucket("the_replication_role_lists", "replicator", "ListBucket", NOT_ALLOWED, resource=BUCKET),
    on_bucket("the_replication_role_uploads", "replicator", "PutObject", NOT_ALLOWED),
    on_bucket(
        "a_replica_under_another_key",
        "replicator",
        "ReplicateObject",
        denied("DenyOtherKeys"),
        encrypted("aws:kms", OTHER_KEY),
    ),
    on_bucket(
        "a_replica_under_sse_s3", "replicator", "ReplicateObject", denied("DenyOtherAlgorithms"), encrypted("AES256")
    ),
    on_bucket("a_replica_under_sse_c", "replicator", "ReplicateObject", denied("DenyCustomerKeys"), SSE_C),
    on_bucket("a_replica_over_plain_http", "replicator", "ReplicateObject", denied("DenyPlainHttp"), ITS_KEY | PLAIN),
    on_bucket("another_role_of_the_backup_account", "backup", "ReplicateObject", denied("DenyOtherAccounts"), ITS_KEY),
    on_bucket(
        "a_replica_where_none_are_taken",
        "replicator",
        "ReplicateObject",
        denied("DenyOtherAccounts"),
        ITS_KEY,
        policy=STRICT,
    ),
]

TRUST_CASES = [
    with_token("the_service_account_takes_its_role", Decision("Allowed"), token("shop:web")),
    with_token("its_name_in_another_namespace", NOT_ALLOWED, token("pr-7:web")),
    with_token("another_service_account_of_its_namespace", NOT_ALLOWED, token("shop:worker")),
    with_token("a_name_that_starts_like_its_own", NOT_ALLOWED, token("shop:web2")),
    with_token("a_token_for_another_audience", NOT_ALLOWED, token("shop:web", "vault.example.com")),
    with_token("a_token_for_no_audience", NOT_ALLOWED, token("shop:web", None)),
    with_token(
        "its_name_in_another_cluster", NOT_ALLOWED, token("shop:web", issuer=OTHER_ISSUER), who="staging's token"
    ),
    with_token("claims_of_its_issuer_from_another", NOT_ALLOWED, token("shop:web"), who="staging's token"),
]

SECRET_CASES = [
    on_secret("its_secret_is_read", "GetSecretValue", allowed("ReadSecrets"), f"{SECRETS}:prod/web/db-AbCdEf"),
    on_secret("its_secret_is_described", "DescribeSecret", allowed("ReadSecrets"), f"{SECRETS}:prod/web/db-AbCdEf"),
    on_secret("its_secret_is_not_written", "PutSecretValue", NOT_ALLOWED, f"{SECRETS}:prod/web/db-AbCdEf"),
    on_secret("another_prefix", "GetSecretValue", NOT_ALLOWED, f"{SECRETS}:staging/web/db-AbCdEf"),
    on_secret("a_prefix_that_starts_alike", "GetSecretValue", NOT_ALLOWED, f"{SECRETS}:prod2/web/db-AbCdEf"),
    on_secret(
        "another_region", "GetSecretValue", NOT_ALLOWED, f"{SECRETS}:prod/web/db-AbCdEf".replace(REGION, ELSEWHERE)
    ),
    on_secret(
        "another_account",
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
        "trust": TRUST_CASES,
        "secrets": SECRET_CASES,
        "iam": IAM_CASES,
    }.items()
    for case in cases
}


# --- The simulator ----------------------------------------------------------------------------------------------------


class Outcome(TypedDict):
    """What `simulate.mjs` prints for a case; `error` stands alone."""

    error: NotRequired[object]
    result: NotRequired[Literal["Allowed", "ImplicitlyDenied", "ExplicitlyDenied"]]
    allows: NotRequired[list[str]]
    denies: NotRequired[list[str]]
    ignored: NotRequired[list[str]]


class Request(TypedDict):
    """What `simulate.mjs` reads for a case."""

    principal: str | None
    identityPolicies: list[Policy]
    resourcePolicy: Policy | None
    action: str
    resource: str
    owner: str
    context: dict[str, str]
    unchecked: bool


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
        "unchecked": case.action.startswith("sts:"),
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
        input=TypeAdapter(dict[str, Sequence[Request]]).dump_json({"cases": requests}),
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
    assert "error" not in outcome, outcome
    assert outcome.get("ignored") == [], "the simulator dropped a context key that the action does not take"
    decisive = {"Allowed": "allows", "ExplicitlyDenied": "denies"}.get(outcome.get("result", ""), "")
    assert outcome.get("result") == expected.result
    assert frozenset(cast("list[str]", outcome.get(decisive, []))) == expected.by


@dataclass(frozen=True)
class Mutant:
    """A statement or one of its conditions taken out of every document of a kind."""

    kind: str
    sid: str
    operator: str | None = None
    key: str | None = None

    def apply(self, name: str, policy: Policy) -> Policy:
        if name.split()[0] != self.kind:
            return policy
        statements = [self._mutated(statement) for statement in policy["Statement"]]
        return {"Version": policy["Version"], "Statement": [each for each in statements if each is not None]}

    def _mutated(self, statement: Statement) -> Statement | None:
        if statement["Sid"] != self.sid:
            return statement
        if self.operator is None or self.key is None:
            return None
        mutated = copy.deepcopy(statement)
        condition = mutated.get("Condition", {})
        _ = condition.get(self.operator, {}).pop(self.key, None)
        mutated["Condition"] = {operator: keys for operator, keys in condition.items() if keys}
        return mutated


def _mutants() -> Iterator[Mutant]:
    for name, policy in DOCUMENTS.items():
        kind = name.split()[0]
        for statement in policy["Statement"]:
            yield Mutant(kind, statement["Sid"])
            for operator, keys in statement.get("Condition", {}).items():
                yield from (Mutant(kind, statement["Sid"], operator, key) for key in keys)


def test_every_statement_and_condition_decides_some_request(outcomes: dict[str, Outcome]) -> None:
    """Without any one statement or condition some request would be decided otherwise: none is vacuous or untested."""
    mutants = [
        each for each in dict.fromkeys(_mutants()) if each.kind in {"key", "bucket", "trust", "workload", "secrets"}
    ]
    trials: list[tuple[Mutant, str, Request]] = []
    for mutant in mutants:
        documents = {name: mutant.apply(name, policy) for name, policy in DOCUMENTS.items()}
        for name, case in CASES.items():
            if any(document.split()[0] == mutant.kind for document in case.documents):
                trials.append((mutant, name, _request(case, documents)))
    changed: set[Mutant] = set()
    for (mutant, name, _), outcome in zip(trials, _simulate([request for *_, request in trials]), strict=True):
        if ("Allowed" == outcome.get("result")) != ("Allowed" == outcomes[name].get("result")):
            changed.add(mutant)
    assert set(mutants) - changed == set()
