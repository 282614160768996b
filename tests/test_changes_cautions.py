"""What a change is warned about: data, keys, protection and policies, each planted in a recording and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ladder.contract import StackSettings
from ladder.recording import Recording, Resource
from tests.changed import report, said, stack, with_change
from tests.conftest import (
    ADMISSION,
    ALIAS,
    APPLICATION_SET,
    BINDING,
    BUCKET,
    KEY,
    LIMITS,
    NAMESPACE,
    NETWORK_POLICY,
    PROJECT,
    QUOTA,
    ROLE,
    ROLE_POLICY,
    Recordings,
)
from tests.rule_changes import Change, added, by_sid, edit, gone, options, put, stated, trust, without

POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
RBAC = "kubernetes:rbac.authorization.k8s.io/v1:Role"
RBAC_BINDING = f"{RBAC}Binding"


@dataclass(frozen=True)
class Case:
    """A change of one resource, and the beginning of what must be said: the danger, the subject and the message."""

    type: str
    name: str
    change: Change
    says: str
    stack: str = "dev"


def listed(path: str, *entries: Any) -> Change:
    """Add entries to a list."""

    def change(resource: Resource) -> Resource | None:
        place: Any = resource.inputs
        for key in path.split("."):
            place = place[key]
        return put(path, [*place, *entries])(resource)

    return change


CASES = {
    "a bucket is gone": Case(BUCKET, "uploads", gone, "data dev Bucket uploads: is no longer declared; it is deleted"),
    "a retained bucket is gone": Case(
        BUCKET,
        "uploads",
        gone,
        "data prod Bucket uploads: is no longer declared; the update stops, for it is protected",
        "prod",
    ),
    "a bucket is renamed": Case(
        BUCKET, "uploads", put("bucket", "other"), "data dev Bucket uploads: is replaced by an empty one; it is deleted"
    ),
    "a bucket may be emptied": Case(
        BUCKET, "uploads", put("forceDestroy", True), "protection dev Bucket uploads: may from now on be deleted"
    ),
    "a namespace is gone": Case(
        NAMESPACE, "data", gone, "data dev Namespace data: is no longer declared; it is deleted"
    ),
    "a namespace is renamed": Case(
        NAMESPACE, "data", put("metadata.name", "other"), "data dev Namespace data: is replaced by an empty one"
    ),
    "a key is gone": Case(KEY, "data", gone, "key dev Key data: is no longer declared; it is deleted when its"),
    "a key is replaced": Case(KEY, "data", put("multiRegion", True), "key dev Key data: is replaced by an empty one"),
    "a key is disabled": Case(KEY, "data", put("isEnabled", False), "key dev Key data: is disabled"),
    "an alias names another key": Case(
        ALIAS, "data", put("targetKeyId", "other"), "key dev Alias data: names another key"
    ),
    "a bucket's key is another": Case(
        ENCRYPTION,
        "uploads",
        put("rules.0.applyServerSideEncryptionByDefault.kmsMasterKeyId", "other"),
        "key dev BucketServerSideEncryptionConfiguration uploads: encrypts new objects with another key",
    ),
    "a key is not rotated": Case(
        KEY, "data", put("enableKeyRotation", False), "protection dev Key data: is no longer rotated"
    ),
    "a key goes sooner": Case(
        KEY, "data", put("deletionWindowInDays", 7), "protection prod Key data: can be gone sooner", "prod"
    ),
    "protection is lost": Case(
        BUCKET, "uploads", options(protect=False), "protection prod Bucket uploads: loses its", "prod"
    ),
    "retention is lost": Case(
        BUCKET,
        "uploads",
        options(retain_on_delete=False),
        "protection prod Bucket uploads: is no longer retained",
        "prod",
    ),
    "a lock is shorter": Case(
        LOCK,
        "evidence",
        put("rule.defaultRetention.days", 1),
        "protection prod BucketObjectLockConfiguration evidence: locks new objects for a shorter",
        "prod",
    ),
    "a lock is weaker": Case(
        LOCK,
        "evidence",
        put("rule.defaultRetention.mode", "GOVERNANCE"),
        "protection prod BucketObjectLockConfiguration evidence: locks new objects in a weaker mode",
        "prod",
    ),
    "a lock is gone": Case(
        LOCK, "evidence", gone, "protection dev BucketObjectLockConfiguration evidence: is no longer declared"
    ),
    "versions are not kept": Case(
        VERSIONING,
        "uploads",
        put("versioningConfiguration.status", "Suspended"),
        "protection dev BucketVersioning uploads: keeps",
    ),
    "objects end sooner": Case(
        LIFECYCLE,
        "uploads",
        put("rules.0.noncurrentVersionExpiration.noncurrentDays", 1),
        "data dev BucketLifecycleConfiguration uploads: deletes objects sooner",
    ),
    "a quota is gone": Case(
        QUOTA, "data-quota", gone, "protection dev ResourceQuota data-quota: is no longer declared"
    ),
    "limits are gone": Case(
        LIMITS, "data-limits", gone, "protection dev LimitRange data-limits: is no longer declared"
    ),
    "a Deny is gone": Case(
        POLICY,
        "uploads",
        without("DenyPlainHttp"),
        "policy dev BucketPolicy uploads: loosens: a statement is a Deny that is gone",
    ),
    "a bucket's policy is gone": Case(
        POLICY, "uploads", gone, "policy dev BucketPolicy uploads: loosens: a statement is a Deny that is gone"
    ),
    "a Deny denies less": Case(
        POLICY,
        "uploads",
        stated("DenyPlainHttp", Action=["s3:GetObject"]),
        "policy dev BucketPolicy uploads: loosens: a statement denies less",
    ),
    "a Deny has another condition": Case(
        POLICY,
        "uploads",
        stated("DenyPlainHttp", Condition={"Bool": {"aws:SecureTransport": "true"}}),
        "policy dev BucketPolicy uploads: may loosen: a statement denies something else",
    ),
    "an Allow is new": Case(
        ROLE_POLICY,
        "api",
        added(Action=["s3:DeleteObject"], Resource=["*"]),
        "policy dev RolePolicy api: loosens: a statement is a new Allow ['Added']",
    ),
    "an Allow allows more": Case(
        ROLE_POLICY,
        "api",
        edit(lambda statements: by_sid(statements, "ReadObjects")["Action"].append("s3:DeleteObject")),
        "policy dev RolePolicy api: loosens: a statement allows more ['ReadObjects']",
    ),
    "an Allow loses its condition": Case(
        ROLE_POLICY,
        "api",
        edit(lambda statements: by_sid(statements, "ReadObjects").pop("Condition")),
        "policy dev RolePolicy api: loosens: a statement allows more ['ReadObjects']",
    ),
    "a key has another user": Case(
        KEY,
        "data",
        edit(
            lambda statements: by_sid(statements, "AllowUseThroughServices")["Principal"]["AWS"].append(
                "arn:aws:iam::1:root"
            )
        ),
        "policy dev Key data: loosens: a statement allows more",
    ),
    "a role trusts others": Case(
        ROLE,
        "api",
        trust(lambda statements: statements[0].pop("Condition")),
        "policy dev Role api: loosens: a statement allows more",
    ),
    "public access is let in": Case(
        BLOCK,
        "uploads",
        put("blockPublicAcls", False),
        "policy dev BucketPublicAccessBlock uploads: loosens: public access",
    ),
    "the block is gone": Case(
        BLOCK, "uploads", gone, "policy dev BucketPublicAccessBlock uploads: loosens: public access"
    ),
    "access lists count": Case(
        OWNERSHIP,
        "uploads",
        put("rule.objectOwnership", "ObjectWriter"),
        "policy dev BucketOwnershipControls uploads: loosens: the access lists",
    ),
    "admission fails open": Case(
        ADMISSION,
        "images",
        put("spec.failurePolicy", "Ignore"),
        "policy dev ValidatingAdmissionPolicy images: loosens: where it",
    ),
    "a validation is gone": Case(
        ADMISSION,
        "images",
        put("spec.validations", []),
        "policy dev ValidatingAdmissionPolicy images: loosens: a validation is",
    ),
    "a validation is another": Case(
        ADMISSION,
        "images",
        put("spec.validations.0.expression", "true"),
        "policy dev ValidatingAdmissionPolicy images: may loosen: a validation is written otherwise",
    ),
    "admission has a condition": Case(
        ADMISSION,
        "images",
        put("spec.matchConditions", [{"name": "never", "expression": "false"}]),
        "policy dev ValidatingAdmissionPolicy images: may loosen: it speaks of other requests",
    ),
    "admission is gone": Case(
        ADMISSION, "images", gone, "policy dev ValidatingAdmissionPolicy images: loosens: what it refuses"
    ),
    "a binding only warns": Case(
        BINDING,
        "images-binding",
        put("spec.validationActions", ["Warn"]),
        "policy dev ValidatingAdmissionPolicyBinding images-binding: loosens: it no longer denies",
    ),
    "a binding is gone": Case(
        BINDING,
        "images-binding",
        gone,
        "policy dev ValidatingAdmissionPolicyBinding images-binding: loosens: the policy",
    ),
    "the default deny is gone": Case(
        NETWORK_POLICY, "data-default-deny", gone, "policy dev NetworkPolicy data-default-deny: loosens: pods that"
    ),
    "a network rule is added": Case(
        NETWORK_POLICY,
        "data-allow-dns",
        listed("spec.egress", {}),
        "policy dev NetworkPolicy data-allow-dns: loosens: a rule for egress",
    ),
    "a network policy chooses others": Case(
        NETWORK_POLICY,
        "data-default-deny",
        put("spec.policyTypes", ["Ingress"]),
        "policy dev NetworkPolicy data-default-deny: may loosen: it chooses",
    ),
    "Pod Security falls": Case(
        NAMESPACE,
        "data",
        lambda resource: put("metadata.labels", {"pod-security.kubernetes.io/enforce": "baseline"})(resource),
        "policy dev Namespace data: loosens: a lower Pod Security level is enforced ['restricted → baseline']",
    ),
    "RBAC has a verb more": Case(
        RBAC,
        "delivery-data",
        listed("rules", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
        "policy dev Role delivery-data: loosens: RBAC allows more ['get secrets']",
    ),
    "another gets the role": Case(
        RBAC_BINDING,
        "delivery-data",
        listed("subjects", {"kind": "Group", "name": "everybody"}),
        "policy dev RoleBinding delivery-data: loosens: others get the role",
    ),
    "another role is bound": Case(
        RBAC_BINDING,
        "delivery-data",
        put("roleRef.name", "admin"),
        "policy dev RoleBinding delivery-data: may loosen: it binds",
    ),
    "a repository more": Case(
        PROJECT,
        "delivery",
        listed("spec.sourceRepos", "*"),
        "policy dev AppProject delivery: loosens: delivery is allowed more sourceRepos ['*']",
    ),
    "a window is gone": Case(
        PROJECT,
        "delivery",
        put("spec.syncWindows", []),
        "policy prod AppProject delivery: may loosen: what holds",
        "prod",
    ),
    "prod syncs by itself": Case(
        APPLICATION_SET,
        "delivery",
        put("spec.template.spec.syncPolicy.automated", {"prune": True}),
        "policy prod ApplicationSet delivery: loosens: delivery acts by itself",
        "prod",
    ),
}


def cautions(before: Recording, after: Recording, ladder: dict[str, StackSettings]) -> list[str]:
    own = {name: settings for name, settings in ladder.items() if name == before.stack}
    return said(stack(report({before.stack: before}, {before.stack: after}, own), before.stack).cautions)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_danger_is_named(case: Case, recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    before = recordings[case.stack]
    found = cautions(before, with_change(before, case.type, case.name, case.change), ladder)
    assert [each for each in found if each.startswith(case.says)], found


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_way_back_is_not_that_danger(case: Case, recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    """What may loosen is said of either direction: it is for a person to judge."""
    after = recordings[case.stack]
    found = cautions(with_change(after, case.type, case.name, case.change), after, ladder)
    either = ("may loosen", "replaced by an empty one", "names another key", "encrypts new objects with another")
    if not any(words in case.says for words in either):
        assert [each for each in found if each.startswith(case.says)] == []


SILENT = {
    "a quota is raised": (QUOTA, "services-quota", put("spec.hard.pods", "1000")),
    "a tag is another": (BUCKET, "uploads", put("tags.owner", "others")),
    "a role may less": (ROLE_POLICY, "api", without("WriteObjects")),
    "a role's policy is gone": (ROLE_POLICY, "api", gone),
    "a Deny denies more": (POLICY, "uploads", stated("DenyCustomerKeys", Action=["s3:*"])),
    "an Allow has a condition more": (
        ROLE_POLICY,
        "api",
        edit(lambda statements: by_sid(statements, "ReadObjects")["Condition"].update({"Bool": {"a": "true"}})),
    ),
    "a lock is longer": (LOCK, "evidence", put("rule.defaultRetention.days", 3000)),
    "objects end later": (LIFECYCLE, "uploads", put("rules.0.noncurrentVersionExpiration.noncurrentDays", 3000)),
    "a binding warns too": (BINDING, "images-binding", put("spec.validationActions", ["Deny", "Warn"])),
    "dns is closed": (NETWORK_POLICY, "data-allow-dns", put("spec.egress", [])),
    "a description is another": (KEY, "data", put("description", "the key")),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_danger_is_not_warned_about(
    name: str, recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    type_, resource, change = SILENT[name]
    assert cautions(recordings["dev"], with_change(recordings["dev"], type_, resource, change), ladder) == []


def test_a_new_bucket_with_all_its_parts_is_no_danger(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    own = ladder["dev"].model_dump(mode="json", by_alias=True)
    more = {**own["buckets"], "more": {**own["buckets"]["uploads"], "name": "acme-shop-dev-more"}}
    found = cautions(recordings["dev"], recordings.altered("dev", buckets=more), ladder)
    assert found == []


def test_a_renamed_bucket_loses_data_and_nothing_else_is_said(
    recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    """That every policy now speaks of the new name loosens nothing."""
    own = ladder["dev"].model_dump(mode="json", by_alias=True)
    renamed = {**own["buckets"], "uploads": {**own["buckets"]["uploads"], "name": "acme-shop-dev-incoming"}}
    (found,) = cautions(recordings["dev"], recordings.altered("dev", buckets=renamed), ladder)
    assert found.startswith("data dev Bucket uploads: is replaced by an empty one")


def test_a_name_without_an_alias_says_where_the_bucket_went(
    recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    def called(resource: Resource) -> Resource:
        return options(urn=resource.urn.removesuffix("uploads") + "incoming", name="incoming")(resource) or resource

    after = with_change(recordings["dev"], BUCKET, "uploads", called)
    (found,) = [each for each in cautions(recordings["dev"], after, ladder) if each.startswith("data")]
    assert "is declared under another name without an alias, and so made anew; it is deleted" in found
    assert found.endswith("['acme-shop-dev-uploads', 'uploads → incoming']")
