"""The AWS policy documents of an environment, as pure functions from names to documents.

Every list is sorted and every statement has a Sid, so that equal arguments give equal documents and a simulator can say
which statement decided. The rules are proved over a table of request contexts in `tests/test_policies.py`, because a
local AWS stand-in does not enforce conditions. Sources are pages of docs.aws.amazon.com.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

BucketAccess = Literal["read", "write", "read-write"]
Condition = dict[str, dict[str, str | list[str]]]


class Principal(TypedDict, total=False):
    """Who a statement of a resource policy speaks about."""

    AWS: str | list[str]
    Federated: str
    Service: str


class Statement(TypedDict):
    """One statement; a trust policy has no `Resource`, an identity policy no `Principal`."""

    Sid: str
    Effect: Literal["Allow", "Deny"]
    Principal: NotRequired[Principal | Literal["*"]]
    Action: list[str]
    Resource: NotRequired[str | list[str]]
    Condition: NotRequired[Condition]


class Policy(TypedDict):
    """A policy document in the current grammar (IAM/latest/UserGuide/reference_policies_grammar.html)."""

    Version: Literal["2012-10-17"]
    Statement: list[Statement]


# Spelled out because the customary `kms:Create*` would let administrators grant themselves use through CreateGrant
# (kms/latest/developerguide/key-policy-default.html, the warning under "key administrators").
_ADMINISTER = sorted(
    f"kms:{name}"
    for name in (
        "CancelKeyDeletion",
        "CreateAlias",
        "DeleteAlias",
        "DescribeKey",
        "DisableKey",
        "DisableKeyRotation",
        "EnableKey",
        "EnableKeyRotation",
        "GetKeyPolicy",
        "GetKeyRotationStatus",
        "ListGrants",
        "ListKeyPolicies",
        "ListKeyRotations",
        "ListResourceTags",
        "PutKeyPolicy",
        "RevokeGrant",
        "RotateKeyOnDemand",
        "ScheduleKeyDeletion",
        "TagResource",
        "UntagResource",
        "UpdateAlias",
        "UpdateKeyDescription",
    )
)
_USE = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
_GRANTS = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]

_LOG_DELIVERY = "delivery.logs.amazonaws.com"
_ALGORITHM = "s3:x-amz-server-side-encryption"
_KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_CUSTOMER_KEY = "s3:x-amz-server-side-encryption-customer-algorithm"
# s3:PutObject also authorizes CopyObject, POST, CreateMultipartUpload and UploadPart; a replica is written by
# s3:ReplicateObject, which carries the same encryption keys.
_UPLOAD = ["s3:PutObject", "s3:ReplicateObject"]


def key_policy(
    *,
    account: str,
    region: str,
    partition: str = "aws",
    administrators: Sequence[str],
    users: Sequence[str],
    services: Sequence[str],
    log_delivery: bool,
    replication_roles: Sequence[str] = (),
) -> Policy:
    """Return the policy of an environment's KMS key: administering it and using it are held by different principals.

    `administrators`, `users` and `replication_roles` are role ARNs; `services` are the endpoint names through which
    users may use the key ("s3", "secretsmanager"). Resource "*" in a key policy means this key.

    The account itself stands among the administrators, so IAM may delegate administration and the deployer passes the
    lockout safety check (kms/latest/APIReference/API_PutKeyPolicy.html), but IAM can never delegate use. Whoever may
    put a key policy may still rewrite this one: the split makes that a visible change, not an impossible one.

    Raises ValueError for a wildcard in a principal.
    """
    statements = [_administration(account, partition, administrators)]
    if users:
        statements += _use(account, region, users, services)
    if replication_roles:
        statements.append(_encryption_of_replicas(region, replication_roles))
    if log_delivery:
        statements.append(_log_delivery("AllowLogDelivery", _USE, "*", _sent_for(account, region, partition)))
    return _policy(statements)


def bucket_policy(
    *,
    account: str,
    region: str,
    partition: str = "aws",
    bucket_arn: str,
    key_arn: str,
    replication_roles: Sequence[str],
    log_delivery: bool,
    require_key_id: bool = False,
    anchor_role: str | None = None,
) -> Policy:
    """Return the policy of an environment's bucket, whose default encryption must be SSE-KMS under `key_arn`.

    An upload without encryption headers takes that default and passes. A key id is accepted only as the full key ARN,
    the one form the condition key is documented to hold (AmazonS3/latest/userguide/UsingKMSEncryption.html): a bare
    id or an alias resolves in the requester's account, so it is refused unless S3 itself turns it into this ARN.

    An upload naming `aws:kms` without a key id is encrypted under the account's AWS managed key, not the bucket's
    (AmazonS3/latest/userguide/specifying-kms-encryption.html); `require_key_id` refuses it.

    Roles in `replication_roles`, usually of another account, may write replicas and nothing else. Replicas must be
    under `key_arn`, so the source's rule has to name it as `ReplicaKmsKeyID`, and the bucket must enforce its owner as
    the owner of objects, since ownership override is not granted.

    `anchor_role`, of this account, may add what is below `heads/` and read it. It may put nothing over what is there:
    it has to ask for that by `If-None-Match` (AmazonS3/latest/userguide/conditional-writes-enforce.html).

    Raises ValueError for a wildcard in a principal.
    """
    objects = f"{bucket_arn}/*"
    everything = [bucket_arn, objects]
    statements = [
        _deny("DenyPlainHttp", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}}),
        _deny("DenyOtherAccounts", ["s3:*"], everything, _other_accounts(account, replication_roles)),
        _deny("DenyOtherKeys", _UPLOAD, [objects], _given_but_not(_KEY_ID, key_arn)),
        _deny("DenyOtherAlgorithms", _UPLOAD, [objects], _given_but_not(_ALGORITHM, "aws:kms")),
        _deny("DenyCustomerKeys", _UPLOAD, [objects], {"Null": {_CUSTOMER_KEY: "false"}}),
    ]
    if require_key_id:
        managed_key: Condition = {"Null": {_KEY_ID: "true"}, "StringEquals": {_ALGORITHM: "aws:kms"}}
        statements.append(_deny("DenyManagedKey", _UPLOAD, [objects], managed_key))
    if replication_roles:
        statements += _replicas(bucket_arn, replication_roles)
    if log_delivery:
        statements += _delivered_logs(account, region, partition, bucket_arn)
    if anchor_role:
        statements += _anchors(bucket_arn, anchor_role)
    return _policy(statements)


def workload_trust_policy(
    *, account: str, partition: str = "aws", issuer: str, namespace: str, service_account: str
) -> Policy:
    """Return the trust policy by which exactly one Kubernetes service account takes on a role.

    `issuer` is the cluster's OIDC issuer without its scheme. Both the subject and the audience are compared, else any
    token of the cluster would do (eks/latest/userguide/associate-service-account-role.html).
    """
    federated: Principal = {"Federated": f"arn:{partition}:iam::{account}:oidc-provider/{issuer}"}
    identity: dict[str, str | list[str]] = {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
    }
    return _policy(
        [
            {
                "Sid": "AllowServiceAccount",
                "Effect": "Allow",
                "Principal": federated,
                "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": {"StringEquals": identity},
            }
        ]
    )


def workload_policy(*, account: str, region: str, buckets: Mapping[str, BucketAccess], keys: Sequence[str]) -> Policy:
    """Return what a service's role may do: reach `buckets` (ARN to access) and use `keys` (ARNs) through S3 alone.

    Writing does not include deleting: expiry is the bucket's lifecycle. A bucket's ARN names no account, so its owner
    is compared as well, which keeps a deleted bucket's name from being taken over elsewhere. Writing needs
    kms:Decrypt besides kms:GenerateDataKey, for multipart uploads (AmazonS3/latest/userguide/mpuoverview.html).

    Raises ValueError without buckets, since a policy without statements is malformed.
    """
    if not buckets:
        raise ValueError("a workload policy needs at least one bucket; leave the policy out instead")
    read = [f"{arn}/*" for arn, access in buckets.items() if access != "write"]
    write = [f"{arn}/*" for arn, access in buckets.items() if access != "read"]
    statements = [_allow("ListBuckets", ["s3:ListBucket"], buckets, _owned_by(account))]
    if read:
        statements.append(_allow("ReadObjects", ["s3:GetObject"], read, _owned_by(account)))
    if write:
        statements.append(
            _allow("WriteObjects", ["s3:AbortMultipartUpload", "s3:PutObject"], write, _owned_by(account))
        )
    if keys:
        use = ["kms:Decrypt", "kms:GenerateDataKey"] if write else ["kms:Decrypt"]
        statements.append(_allow("UseKeys", use, keys, _through(region, ["s3"])))
    return _policy(statements)


def secret_reader_policy(
    *, account: str, region: str, partition: str = "aws", prefix: str, keys: Sequence[str]
) -> Policy:
    """Return what the secret store's role may do: read the secrets named `prefix`/… of one account and region.

    Raises ValueError for a prefix that is empty or has a wildcard, since either would reach other environments.
    """
    if not prefix or set(prefix) & set("*?"):
        raise ValueError(f"a prefix of secrets must be a literal name, found {prefix!r}")
    secrets = f"arn:{partition}:secretsmanager:{region}:{account}:secret:{prefix}/*"
    read = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    statements = [_allow("ReadSecrets", read, [secrets])]
    if keys:
        statements.append(_allow("DecryptSecrets", ["kms:Decrypt"], keys, _through(region, ["secretsmanager"])))
    return _policy(statements)


def render(policy: Policy) -> str:
    """Return the document as compact JSON with sorted keys: equal policies give equal bytes."""
    return json.dumps(policy, sort_keys=True, separators=(",", ":"))


def _administration(account: str, partition: str, administrators: Sequence[str]) -> Statement:
    root = f"arn:{partition}:iam::{account}:root"
    return {
        "Sid": "AllowAdministration",
        "Effect": "Allow",
        "Principal": {"AWS": _named([root, *administrators])},
        "Action": list(_ADMINISTER),
        "Resource": "*",
    }


def _use(account: str, region: str, users: Sequence[str], services: Sequence[str]) -> list[Statement]:
    """Use through AWS services by callers of this account; grants only those services make on a user's behalf.

    Sources: kms/latest/developerguide/conditions-kms.html, kms:ViaService, kms:CallerAccount,
    kms:GrantIsForAWSResource.
    """
    through = _through(region, services)
    through["StringEquals"]["kms:CallerAccount"] = account
    return [
        {
            "Sid": "AllowUseThroughServices",
            "Effect": "Allow",
            "Principal": {"AWS": _named(users)},
            "Action": list(_USE),
            "Resource": "*",
            "Condition": through,
        },
        {
            "Sid": "AllowGrantsForServices",
            "Effect": "Allow",
            "Principal": {"AWS": _named(users)},
            "Action": list(_GRANTS),
            "Resource": "*",
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]


def _encryption_of_replicas(region: str, roles: Sequence[str]) -> Statement:
    """Encryption of replicas; kms:Decrypt is how S3 checks a bucket key before using it, and the bucket denies reads.

    Source: AmazonS3/latest/userguide/replication-config-for-kms-objects.html.
    """
    return {
        "Sid": "AllowReplicas",
        "Effect": "Allow",
        "Principal": {"AWS": _named(roles)},
        "Action": ["kms:Decrypt", "kms:Encrypt"],
        "Resource": "*",
        "Condition": _through(region, ["s3"]),
    }


def _other_accounts(account: str, exempt: Sequence[str]) -> Condition:
    """Match principals of other accounts, save AWS services and the exempt roles.

    A request by a service carries a foreign account or none, and an anonymous one lacks aws:PrincipalIsAWSService:
    hence `BoolIfExists` (IAM/latest/UserGuide/reference_policies_condition-keys.html). aws:PrincipalArn of a session
    is its role's ARN; where it is missing, `ArnNotEquals` matches and the request stays denied.
    """
    condition: Condition = {
        "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        "StringNotEquals": {"aws:PrincipalAccount": account},
    }
    if exempt:
        condition["ArnNotEquals"] = {"aws:PrincipalArn": _named(exempt)}
    return condition


def _given_but_not(key: str, value: str) -> Condition:
    """Match a request that carries `key` with another value than `value`; one without the key does not match.

    `…IfExists` would not do: "If you are using an "Effect": "Deny" element with a negated condition operator like
    StringNotEqualsIfExists, the request is still denied even if the condition key is not present."
    (IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_IfExists)
    Nor would `ArnNotEquals` for a key: what it makes of a value that is no ARN, such as a bare key id, is not said.
    """
    return {"Null": {key: "false"}, "StringNotEquals": {key: value}}


def _replicas(bucket_arn: str, roles: Sequence[str]) -> list[Statement]:
    """What a role of another account needs to write replicas (…/userguide/setting-repl-config-perm-overview.html).

    That page also grants s3:List* and s3:PutBucketVersioning; replication runs without, and both give more away.
    """
    return [
        {
            "Sid": "AllowReplicas",
            "Effect": "Allow",
            "Principal": {"AWS": _named(roles)},
            "Action": ["s3:ReplicateDelete", "s3:ReplicateObject", "s3:ReplicateTags"],
            "Resource": [f"{bucket_arn}/*"],
        },
        {
            "Sid": "AllowReplicationCheck",
            "Effect": "Allow",
            "Principal": {"AWS": _named(roles)},
            "Action": ["s3:GetBucketVersioning"],
            "Resource": [bucket_arn],
        },
    ]


def _delivered_logs(account: str, region: str, partition: str, bucket_arn: str) -> list[Statement]:
    """The two statements log delivery asks for (AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-V2-S3.html)."""
    logs = f"{bucket_arn}/AWSLogs/{account}/*"
    check = _sent_for(account, region, partition)
    write = _sent_for(account, region, partition)
    write["StringEquals"]["s3:x-amz-acl"] = "bucket-owner-full-control"
    return [
        _log_delivery("AllowLogDelivery", ["s3:PutObject"], [logs], write),
        _log_delivery("AllowLogDeliveryCheck", ["s3:GetBucketAcl"], [bucket_arn], check),
    ]


def _anchors(bucket_arn: str, role: str) -> list[Statement]:
    """What the role needs that keeps a chain's head: every version is listed and read, since the first one counts."""
    who: Principal = {"AWS": _named([role])}
    heads = [f"{bucket_arn}/heads/*"]

    def allowed(sid: str, actions: list[str], resources: list[str], condition: Condition | None = None) -> Statement:
        return {**_allow(sid, actions, resources, condition), "Principal": who}

    return [
        allowed("AllowAnchorLock", ["s3:GetBucketObjectLockConfiguration"], [bucket_arn]),
        allowed("AllowAnchorList", ["s3:ListBucketVersions"], [bucket_arn], {"StringLike": {"s3:prefix": "heads/*"}}),
        allowed("AllowAnchorRead", ["s3:GetObjectRetention", "s3:GetObjectVersion"], heads),
        allowed("AllowAnchor", ["s3:PutObject"], heads, {"Null": {"s3:if-none-match": "false"}}),
    ]


def _log_delivery(sid: str, actions: Sequence[str], resource: str | list[str], condition: Condition) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": _LOG_DELIVERY},
        "Action": list(actions),
        "Resource": resource,
        "Condition": condition,
    }


def _sent_for(account: str, region: str, partition: str) -> Condition:
    """Match the log service working for this account and region: without, any customer could have it write here.

    Source: IAM/latest/UserGuide/confused-deputy.html.
    """
    return {
        "ArnLike": {"aws:SourceArn": f"arn:{partition}:logs:{region}:{account}:*"},
        "StringEquals": {"aws:SourceAccount": account},
    }


def _owned_by(account: str) -> Condition:
    return {"StringEquals": {"aws:ResourceAccount": account}}


def _through(region: str, services: Iterable[str]) -> Condition:
    return {"StringEquals": {"kms:ViaService": sorted({f"{service}.{region}.amazonaws.com" for service in services})}}


def _named(arns: Iterable[str]) -> list[str]:
    unique = sorted(set(arns))
    for arn in unique:
        if not arn.startswith("arn:") or set(arn) & set("*?"):
            raise ValueError(f"a principal must be a full ARN without wildcards, found {arn!r}")
    return unique


def _deny(sid: str, actions: Sequence[str], resources: Sequence[str], condition: Condition) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": condition,
    }


def _allow(sid: str, actions: Sequence[str], resources: Iterable[str], condition: Condition | None = None) -> Statement:
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": sorted(set(resources)),
    }
    if condition:
        statement["Condition"] = condition
    return statement


def _policy(statements: list[Statement]) -> Policy:
    return {"Version": "2012-10-17", "Statement": statements}
