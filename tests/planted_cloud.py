"""Planted widenings in what AWS holds: buckets, keys, roles and credentials that grant more or keep less."""

from __future__ import annotations

from tests.planted import Planted, edit, loosened, widened

__all__ = ["CLOUD"]

BUCKET, KEY, POLICIES, PROVIDERS = (
    f"components/{name}.py" for name in ("bucket", "encryption_key", "policies", "providers")
)
DEV_ROLE = "arn:aws:iam::210987654321:role/ladder-dev-web"

CLOUD: dict[str, Planted] = {
    "a bucket that may be public": widened(
        "private-buckets",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock::uploads",
        "restrictPublicBuckets",
        edit(BUCKET, "restrict_public_buckets=True", "restrict_public_buckets=False"),
    ),
    "a bucket that everyone may read": widened(
        "named-principals",
        "aws:s3/bucketPolicy:BucketPolicy::uploads",
        "policy.Statement.6",
        edit(
            POLICIES,
            "    if replication_roles:\n        statements += _replicas(bucket_arn, replication_roles)",
            "    statements.append({**_allow('Everyone', ['s3:GetObject'], [objects]), 'Principal': '*'})\n"
            "    if replication_roles:\n        statements += _replicas(bucket_arn, replication_roles)",
        ),
        "private-buckets",
        "unreached",
    ),
    "a bucket over plain HTTP": widened(
        "tls-only",
        "aws:s3/bucketPolicy:BucketPolicy::uploads",
        "policy",
        edit(POLICIES, '{"Bool": {"aws:SecureTransport": "false"}}', '{"Bool": {"aws:SecureTransport": "maybe"}}'),
    ),
    "a bucket for other accounts": widened(
        "other-accounts-denied",
        "aws:s3/bucketPolicy:BucketPolicy::uploads",
        "policy",
        edit(POLICIES, '_deny("DenyOtherAccounts", ["s3:*"],', '_deny("DenyOtherAccounts", ["s3:DeleteBucket"],'),
    ),
    "a bucket of AWS's own key": widened(
        "own-key",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration::uploads",
        "rules.0.applyServerSideEncryptionByDefault",
        edit(BUCKET, '"sse_algorithm": "aws:kms",\n', '"sse_algorithm": "AES256",\n'),
    ),
    "a bucket without versions": widened(
        "versioned",
        "aws:s3/bucketVersioning:BucketVersioning::uploads",
        "versioningConfiguration.status",
        edit(BUCKET, '{"status": "Enabled"}', '{"status": "Suspended"}'),
    ),
    "a bucket that a destroy empties": widened(
        "not-emptied",
        "aws:s3/bucket:Bucket::uploads",
        "forceDestroy",
        edit(BUCKET, "force_destroy=False", "force_destroy=True"),
    ),
    "a bucket of real data that is not protected": widened(
        "real-data-protected",
        "aws:s3/bucket:Bucket::uploads",
        "protect",
        edit(
            BUCKET,
            "            tags=dict(self._args.tags),\n            opts=self._durable(),",
            "            tags=dict(self._args.tags),\n"
            "            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=self._args.real_data or None),",
        ),
        stack="prod",
    ),
    "a key of real data that is not retained": widened(
        "real-data-retained",
        "aws:kms/key:Key::data",
        "retain_on_delete",
        edit(
            KEY,
            '"ladder:name": name},\n            opts=durable(self, real_data=args.real_data),',
            '"ladder:name": name},\n            opts=pulumi.ResourceOptions(parent=self, protect=args.real_data),',
        ),
        stack="prod",
    ),
    "a key that its administrators use": widened(
        "key-separation",
        "aws:kms/key:Key::data",
        "policy.Statement.0",
        edit(POLICIES, '        "CreateAlias",\n', '        "CreateAlias",\n        "Decrypt",\n'),
    ),
    "a key that the whole account uses": widened(
        "key-separation",
        "aws:kms/key:Key::data",
        "policy.Statement.1",
        edit(
            POLICIES,
            '            "Sid": "AllowUseThroughServices",\n            "Effect": "Allow",\n'
            '            "Principal": {"AWS": _named(users)},',
            '            "Sid": "AllowUseThroughServices",\n            "Effect": "Allow",\n'
            '            "Principal": {"AWS": _named([*users, f"arn:aws:iam::{account}:root"])},',
        ),
    ),
    "a key that does not rotate": widened(
        "key-rotation",
        "aws:kms/key:Key::data",
        "enableKeyRotation",
        edit(KEY, "enable_key_rotation=True", "enable_key_rotation=False"),
    ),
    "a key of real data that is soon gone": widened(
        "key-deletion-window",
        "aws:kms/key:Key::data",
        "deletionWindowInDays",
        edit(KEY, "deletion_window_in_days=settings.deletion_window_days", "deletion_window_in_days=7"),
        stack="prod",
    ),
    "a lower rung's role that uses prod's key": widened(
        "unreached",
        "aws:kms/key:Key::data",
        "policy.Statement.1",
        edit(KEY, "users=users,", f'users=[*users, "{DEV_ROLE}"],'),
        stack="prod",
        says="of dev",
    ),
    "a lower rung's role that prod's buckets let through": widened(
        "unreached",
        "aws:s3/bucketPolicy:BucketPolicy::uploads",
        "policy.Statement.1",
        edit(POLICIES, "_other_accounts(account, replication_roles)", f'_other_accounts(account, ["{DEV_ROLE}"])'),
        stack="prod",
        says="of dev",
    ),
    "a role that any pod assumes": widened(
        "one-subject",
        "aws:iam/role:Role::web",
        "assumeRolePolicy.Statement.0",
        edit(
            POLICIES,
            'f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}"',
            'f"{issuer}:sub": f"system:serviceaccount:{namespace}:*"',
        ),
    ),
    "a role that reads every bucket": widened(
        "named-grants",
        "aws:iam/rolePolicy:RolePolicy::web",
        "policy.Statement.1",
        edit(POLICIES, '["s3:GetObject"], read, _owned_by(account)', '["s3:GetObject"], ["*"], _owned_by(account)'),
    ),
    "a role that does anything with objects": widened(
        "named-grants",
        "aws:iam/rolePolicy:RolePolicy::web",
        "policy.Statement.1",
        edit(POLICIES, '"ReadObjects", ["s3:GetObject"]', '"ReadObjects", ["s3:*"]'),
    ),
    "a role that reads every secret": widened(
        "named-grants",
        "aws:iam/rolePolicy:RolePolicy::secrets",
        "policy.Statement.0",
        edit(POLICIES, ":secret:{prefix}/*", ":secret:*"),
    ),
    "credentials of any account": widened(
        "guarded-providers",
        "pulumi:providers:aws::aws",
        "allowedAccountIds",
        edit(PROVIDERS, "        allowed_account_ids=[cloud.account],\n", ""),
        "one-subject",
        "deputies-bound",
        "other-accounts-denied",
    ),
    "a Deny dropped from a bucket": loosened(
        "aws:s3/bucketPolicy:BucketPolicy::uploads",
        "loosens: a statement is a Deny that is gone",
        edit(POLICIES, '_deny("DenyCustomerKeys", _UPLOAD,', '_deny("DenyNothing", ["s3:Nothing"],'),
    ),
    "a stranger that uses a key": loosened(
        "aws:kms/key:Key::data",
        "loosens: a statement allows more",
        edit(KEY, "users=users,", 'users=[*users, "arn:aws:iam::998877665544:role/stranger"],'),
    ),
    "a key that is used beside its services": loosened(
        "aws:kms/key:Key::data",
        "loosens: a statement allows more",
        edit(POLICIES, '            "Condition": through,\n', ""),
    ),
    "grants of a key for anyone": loosened(
        "aws:kms/key:Key::data",
        "loosens: a statement allows more",
        edit(POLICIES, '            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},\n', ""),
    ),
    "objects of a bucket that changed hands": loosened(
        "aws:iam/rolePolicy:RolePolicy::api",
        "loosens: a statement allows more",
        edit(POLICIES, 'return {"StringEquals": {"aws:ResourceAccount": account}}', "return {}"),
    ),
    "a replicator that reads": loosened(
        "aws:s3/bucketPolicy:BucketPolicy::uploads",
        "may loosen: a statement allows something else",
        edit(POLICIES, '"s3:ReplicateTags"]', '"s3:GetObject"]'),
        stack="prod",
    ),
}
