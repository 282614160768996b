"""The ways a recording is broken in what AWS holds: buckets, keys, policies, tags, providers."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from ladder.recording import Resource
from ladder.rules.reading import (
    ALIAS,
    APP_PROJECT,
    AWS_PROVIDER,
    BINDING,
    BUCKET,
    BUCKET_POLICY,
    CLUSTER_PROVIDER,
    ENCRYPTION,
    KEY,
    LOCK,
    OWNERSHIP,
    PUBLIC_ACCESS,
    QUOTA,
    ROLE,
    ROLE_POLICY,
    VERSIONING,
)
from tests.rule_changes import (
    Case,
    Change,
    added,
    all_but,
    by_sid,
    compared,
    drop,
    edit,
    given,
    gone,
    options,
    put,
    stated,
    trust,
    without,
)

ANYONE = "arn:aws:iam::*:role/x"
STRANGER = "arn:aws:iam::998877665544:role/x"
ROOT = "arn:aws:iam::210987654321:root"
ADMINISTRATOR = "arn:aws:iam::210987654321:role/key-administrator"
UPLOADS = {"type": BUCKET_POLICY, "name": "uploads"}
DATA = {"type": KEY, "name": "data"}
WEB = {"type": ROLE, "name": "web"}
WEB_POLICY = {"type": ROLE_POLICY, "name": "web"}


def _cases() -> Iterator[Case]:
    yield from _buckets()
    yield from _keys_and_principals()
    yield from _roles()
    yield from _named()


def _buckets() -> Iterator[Case]:
    rule = "rules/private-buckets"
    for flag in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        where: Any = {"type": PUBLIC_ACCESS, "name": "uploads", "path": flag}
        yield Case(rule=rule, what=f"{flag} off", change=put(flag, False), **where)
    at = (BUCKET, "uploads")
    yield Case(rule=rule, what="no blocks", type=PUBLIC_ACCESS, name="uploads", change=gone, at=at)
    path = "rule.objectOwnership"
    where = {"type": OWNERSHIP, "name": "uploads", "path": path}
    yield Case(rule=rule, what="lists", change=put(path, "ObjectWriter"), **where)
    public = added(Principal="*", Action="s3:GetObject", Resource="arn:aws:s3:::acme-shop-dev-uploads/*")
    yield Case(rule=rule, what="a policy for all", change=public, path="policy.Statement.6", **UPLOADS)

    rule, path = "rules/own-key", "rules.0.applyServerSideEncryptionByDefault"
    where = {"type": ENCRYPTION, "name": "uploads"}
    yield Case(rule=rule, what="S3's own", change=put(f"{path}.sseAlgorithm", "AES256"), path=path, **where)
    yield Case(rule=rule, what="AWS's key", change=drop(f"{path}.kmsMasterKeyId"), path=path, **where)
    foreign = put(f"{path}.kmsMasterKeyId", "arn:aws:kms:eu-west-1:998877665544:key/x")
    yield Case(rule=rule, what="a key of another", change=foreign, path=path, **where)
    yield Case(rule=rule, what="no encryption", change=gone, at=at, **where)
    yield Case(rule=rule, what="no rules", change=put("rules", []), path=path, **where)

    rule, path = "rules/versioned", "versioningConfiguration.status"
    where = {"type": VERSIONING, "name": "uploads", "path": path}
    yield Case(rule=rule, what="suspended", change=put(path, "Suspended"), **where)
    yield Case(rule=rule, what="no versioning", change=gone, at=at, **where)

    rule, sid = "rules/tls-only", "DenyPlainHttp"
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    for what, change in {
        "no statement": without(sid),
        "reads only": stated(sid, Action=["s3:GetObject"]),
        "objects only": stated(sid, Resource=["arn:aws:s3:::acme-shop-dev-uploads/*"]),
        "one principal": stated(sid, Principal={"AWS": [STRANGER]}),
        "all principals but one": all_but(sid, "Principal"),
        "from some addresses": compared(sid, {**plain, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        "over TLS": compared(sid, {"Bool": {"aws:SecureTransport": "true"}}),
        "an Allow": stated(sid, Effect="Allow"),
    }.items():
        yield Case(rule=rule, what=what, change=change, path="policy", **UPLOADS)
    yield Case(rule=rule, what="no policy", change=gone, at=at, path="policy", **UPLOADS)

    rule, sid = "rules/other-accounts-denied", "DenyOtherAccounts"
    foreign_account = {"StringNotEquals": {"aws:PrincipalAccount": "998877665544"}}
    own = {"StringNotEquals": {"aws:PrincipalAccount": "210987654321"}}
    for what, change in {
        "no statement": without(sid),
        "another's account": compared(sid, foreign_account),
        "where the key is there": compared(sid, {"StringNotEqualsIfExists": own["StringNotEquals"]}),
        "but for a tag": compared(sid, {**own, "StringNotLike": {"aws:PrincipalTag/x": "y"}}),
    }.items():
        yield Case(rule=rule, what=what, change=change, path="policy", **UPLOADS)

    rule = "rules/not-emptied"
    change = put("forceDestroy", True)
    yield Case(rule=rule, what="forced", type=BUCKET, name="uploads", change=change, path="forceDestroy")

    rule, path = "rules/evidence-locked", "objectLockEnabled"
    unlocked = put(path, False)
    first = {"at": (BUCKET, "evidence"), "path": path}
    yield Case(rule=rule, what="none locked", type=BUCKET, name="evidence", change=unlocked, **first)
    yield Case(rule=rule, what="two locked", type=BUCKET, name="uploads", change=put(path, True), path=path)
    lock: Any = {"type": LOCK, "name": "evidence", "path": "rule.defaultRetention"}
    yield Case(rule=rule, what="no days", change=put("rule.defaultRetention.days", 0), **lock)
    yield Case(rule=rule, what="no mode", change=drop("rule.defaultRetention.mode"), **lock)
    yield Case(rule=rule, what="no retention", change=gone, at=(BUCKET, "evidence"), **lock)


def _keys_and_principals() -> Iterator[Case]:
    rule, path = "rules/key-rotation", "enableKeyRotation"
    yield Case(rule=rule, what="off", change=put(path, False), path=path, **DATA)
    yield Case(rule=rule, what="not said", change=drop(path), path=path, **DATA)
    path = "rotationPeriodInDays"
    yield Case(rule=rule, what="seldom", change=put(path, 2560), path=path, **DATA)

    rule, path = "rules/key-deletion-window", "deletionWindowInDays"
    yield Case(rule=rule, what="short", change=put(path, 6), path=path, **DATA)
    yield Case(rule=rule, what="short for real data", stack="prod", change=put(path, 29), path=path, **DATA)

    yield Case(rule=rule, what="no number", change=put(path, "30"), path=path, **DATA)

    rule, path = "rules/key-separation", "policy.Statement.0"
    for what, change in {
        "administrators decrypt": stated("AllowAdministration", Action=["kms:PutKeyPolicy", "kms:Decrypt"]),
        "administrators do all": stated("AllowAdministration", Action="kms:*"),
        "administrators do all but one": edit(
            lambda statements: statements.__setitem__(
                0,
                {
                    "Sid": "S",
                    "Effect": "Allow",
                    "Principal": {"AWS": ADMINISTRATOR},
                    "NotAction": "kms:Sign",
                    "Resource": "*",
                },
            )
        ),
        "administrators grant": stated("AllowAdministration", Action=["kms:PutKeyPolicy", "kms:CreateGrant"]),
    }.items():
        yield Case(rule=rule, what=what, change=change, path=path, **DATA)
    used = "policy.Statement.1"
    users = stated("AllowUseThroughServices", Principal={"AWS": [ROOT]}, Action=["kms:Decrypt"])
    yield Case(rule=rule, what="the account uses", change=users, path=used, **DATA)
    yield Case(
        rule=rule,
        what="users administer",
        change=stated("AllowUseThroughServices", Action=["kms:Decrypt", "kms:PutKeyPolicy"]),
        path=used,
        **DATA,
    )
    handed = edit(
        lambda statements: by_sid(statements, "AllowGrantsForServices").update(
            {"Principal": {"AWS": ADMINISTRATOR}, "Condition": {"Bool": {"kms:GrantIsForAWSResource": "false"}}}
        )
    )
    yield Case(rule=rule, what="grants for anyone", change=handed, path="policy.Statement.2", **DATA)

    rule = "rules/readable-policies"
    for what, text in {
        "no JSON": "{",
        "a key twice": '{"Statement": [], "Statement": []}',
        "no statements": '{"Version": "2012-10-17"}',
        "an unknown part": '{"Statement": [{"Effect": "Allow", "Actions": "*"}]}',
        "an unknown effect": '{"Statement": [{"Effect": "allow", "Action": "*"}]}',
        "an unknown principal": '{"Statement": [{"Effect": "Allow", "Principal": {"IAM": "x"}, "Action": "*"}]}',
        "an action of no form": '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": {}}]}',
    }.items():
        yield Case(rule=rule, what=what, change=put("policy", text), path="policy", **DATA)
    path = "managedPolicyArns"
    managed = put(path, ["arn:aws:iam::aws:policy/AdministratorAccess"])
    yield Case(rule=rule, what="managed policies", change=managed, path=path, **WEB)

    rule, path = "rules/named-principals", "policy.Statement.1"
    for what, principal in {"everyone": "*", "every account": {"AWS": "*"}, "any account": {"AWS": [ANYONE]}}.items():
        change = stated("AllowUseThroughServices", Principal=principal)
        yield Case(rule=rule, what=f"{what} uses a key", change=change, path=path, **DATA)
    not_some = all_but("AllowUseThroughServices", "Principal")
    yield Case(rule=rule, what="all but some use a key", change=not_some, path=path, **DATA)
    public = added(Principal="*", Action="s3:GetObject", Resource="arn:aws:s3:::acme-shop-dev-uploads/*")
    yield Case(rule=rule, what="everyone reads", change=public, path="policy.Statement.6", **UPLOADS)
    anyone = trust(lambda statements: statements[0].update({"Principal": {"AWS": "*"}}))
    path = "assumeRolePolicy.Statement.0"
    yield Case(rule=rule, what="everyone assumes", change=anyone, path=path, **WEB)

    rule = "rules/deputies-bound"
    logs: Any = {"type": BUCKET_POLICY, "name": "logs"}
    for what, condition in {
        "for anyone": {},
        "for another": {"StringEquals": {"aws:SourceAccount": "998877665544"}},
        "where it says": {"StringEqualsIfExists": {"aws:SourceAccount": "210987654321"}},
    }.items():
        change = compared("AllowLogDelivery", condition)
        yield Case(rule=rule, what=what, change=change, path="policy.Statement.6", **logs)


def _roles() -> Iterator[Case]:
    rule, path = "rules/named-grants", "policy.Statement.1"
    for what, fields in {
        "every action": {"Action": "*"},
        "all of a service": {"Action": ["s3:Get*"]},
        "every resource": {"Resource": "*"},
        "every bucket": {"Resource": ["arn:aws:s3:::*"]},
        "buckets by prefix": {"Resource": ["arn:aws:s3:::acme-shop-*"]},
        "every key": {"Resource": ["arn:aws:kms:eu-west-1:210987654321:key/*"]},
        "every secret": {"Resource": ["arn:aws:secretsmanager:eu-west-1:210987654321:secret:*"]},
        "any account's": {"Resource": ["arn:aws:kms:eu-west-1:*:key/x"]},
    }.items():
        yield Case(rule=rule, what=what, change=stated("ReadObjects", **fields), path=path, **WEB_POLICY)
    for what in ("Action", "Resource"):
        change = all_but("ReadObjects", what)
        yield Case(rule=rule, what=f"all but one {what}", change=change, path=path, **WEB_POLICY)
    inline = put("inlinePolicies", [{"name": "x", "policy": '{"Statement": {"Effect": "Allow", "Action": "*"}}'}])
    path = "inlinePolicies.0.policy.Statement.0"
    yield Case(rule=rule, what="inline", change=inline, path=path, **WEB)

    rule, path = "rules/one-subject", "assumeRolePolicy.Statement.0"

    def conditions(statements: list[dict[str, Any]], how: Callable[[dict[str, Any], str, str], Any]) -> None:
        held = statements[0]["Condition"]["StringEquals"]
        audience, subject = sorted(held)
        assert audience.endswith(":aud")
        how(held, audience, subject)

    def conditioned(how: Callable[[dict[str, Any], str, str], Any]) -> Change:
        return trust(lambda statements: conditions(statements, how))

    two = ["system:serviceaccount:dev-services:web", "system:serviceaccount:dev-services:api"]
    for what, change in {
        "any audience": conditioned(lambda held, audience, _: held.pop(audience)),
        "another audience": conditioned(lambda held, audience, _: held.update({audience: "sts.example.com"})),
        "any subject": conditioned(lambda held, _, subject: held.pop(subject)),
        "two subjects": conditioned(lambda held, _, subject: held.update({subject: two})),
        "subjects alike": trust(
            lambda statements: statements[0].update({"Condition": {"StringLike": {"issuer:sub": two[0]}}})
        ),
        "a wildcard": conditioned(
            lambda held, _, subject: held.update({subject: "system:serviceaccount:dev-services:*"})
        ),
        "a user": conditioned(lambda held, _, subject: held.update({subject: "someone"})),
        "a role": trust(lambda statements: statements[0].update({"Principal": {"AWS": ADMINISTRATOR}})),
        "another account's provider": trust(
            lambda statements: statements[0]["Principal"].update(
                {"Federated": statements[0]["Principal"]["Federated"].replace("210987654321", "998877665544")}
            )
        ),
        "other actions": trust(lambda statements: statements[0].update({"Action": ["sts:AssumeRole"]})),
    }.items():
        yield Case(rule=rule, what=what, change=change, path=path, **WEB)
    twice = trust(lambda statements: statements.append(copy.deepcopy(statements[0])))
    yield Case(rule=rule, what="two statements", change=twice, path="assumeRolePolicy", **WEB)


def _named() -> Iterator[Case]:
    rule = "rules/tagged"
    for key in ("ladder:environment", "ladder:owner", "ladder:data-class"):
        for type_, name in {BUCKET: "uploads", KEY: "data", ROLE: "web"}.items():
            where: Any = {"type": type_, "name": name, "path": f"tags.{key}"}
            yield Case(rule=rule, what=f"no {key} on a {type_}", change=drop(f"tags.{key}"), **where)
    where = {"type": BUCKET, "name": "uploads"}
    for key, value in {"ladder:environment": "prod", "ladder:data-class": "secret"}.items():
        path = f"tags.{key}"
        yield Case(rule=rule, what=f"another {key}", change=put(path, value), path=path, **where)
    yield Case(rule=rule, what="no tags", change=drop("tags"), path="tags.ladder:owner", **where)

    rule = "rules/labelled"

    def unlabelled(resource: Resource) -> Resource:
        metadata = {key: value for key, value in resource.inputs["metadata"].items() if key != "labels"}
        return given(resource, {**resource.inputs, "metadata": metadata})

    path = "metadata.labels.ladder.internal/owner"
    for type_, name in {QUOTA: "data-quota", APP_PROJECT: "delivery", BINDING: "hosts-binding"}.items():
        yield Case(rule=rule, what=type_, type=type_, name=name, change=unlabelled, path=path)

    rule = "rules/guarded-providers"
    aws: Any = {"type": AWS_PROVIDER, "name": "aws", "path": "allowedAccountIds"}
    for what, change in {
        "any account": drop("allowedAccountIds"),
        "no account": put("allowedAccountIds", "[]"),
        "a secret": put("allowedAccountIds", "[secret]"),
        "two accounts": put("allowedAccountIds", '["210987654321", "998877665544"]'),
    }.items():
        yield Case(rule=rule, what=what, change=change, **aws)
    for field in ("clusterIdentifier", "context"):
        cluster: Any = {"type": CLUSTER_PROVIDER, "name": "cluster", "path": field}
        yield Case(rule=rule, what=f"no {field}", change=drop(field), **cluster)
    default = options(provider="urn:pulumi:dev::ladder::pulumi:providers:aws::default::x")
    yield Case(rule=rule, what="a default provider", change=default, path="provider", **WEB)
    yield Case(rule=rule, what="no provider", change=options(provider=None), path="provider", **WEB)

    grant: Any = {"type": ALIAS, "name": "data", "at": ("aws:kms/grant:Grant", "data")}
    yield Case(rule="rules/seen-types", what="a grant", change=options(type="aws:kms/grant:Grant"), **grant)


CLOUD_CASES = tuple(_cases())
