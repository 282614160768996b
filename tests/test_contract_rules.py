"""Every joined rule of the contract: one case in which it speaks, at the right path, and one in which it is silent."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ladder.contract import StackSettings, across, rules
from ladder.contract.across import across_stacks, equal_everywhere
from ladder.contract.rules import within_stack
from ladder.contract.stack import RESERVED_SERVICE_ACCOUNTS
from ladder.contract.violations import Violation
from tests.support import STACKS, put, settings_sections

LONG = "a" * 63


@dataclass(frozen=True)
class Case:
    """What is changed in a stack's settings, where the rule speaks, and a change of the same kind it accepts."""

    stack: str
    broken: Mapping[str, Any]
    at: str
    says: str
    kept: Mapping[str, Any] = field(default_factory=dict)


def _role(account: str, name: str = "role", partition: str = "aws") -> str:
    return f"arn:{partition}:iam::{account}:role/{name}"


DEV, STAGING, PROD, OUTSIDE = "210987654321", "321098765432", "432109876543", "765432109876"
LOCK = {"enabled": True, "mode": "governance", "days": 30}
PROCEDURE = {"name": "k-2031", "report": f"sha256:{'0' * 64}", "owner": "team-data", "expires": "2031-12-31"}
PREVIEWS = settings_sections("dev")["previews"]

WITHIN = {
    "an environment must stand in accounts": Case(
        "dev", {"accounts": {"staging": STAGING}}, "accounts", "lacks the environment 'dev'", {"accounts": {"dev": DEV}}
    ),
    "the account must be the environment's": Case(
        "dev",
        {
            "cloud.account": OUTSIDE,
            "cloud.deployerRole": None,
            "cloud.keyAdministratorRole": _role(OUTSIDE),
            "cloud.anchorRole": None,
        },
        "cloud.account",
        "is not this environment's account",
    ),
    "no two environments share an account": Case(
        "dev",
        {"accounts": {"dev": DEV, "staging": DEV}},
        "accounts.staging",
        "is also the account of 'dev'",
        {"accounts": {"dev": DEV, "staging": OUTSIDE}},
    ),
    "prod is not deployed by a lower rung's role": Case(
        "prod",
        {"cloud.deployerRole": _role(STAGING)},
        "cloud.deployerRole",
        "is a role of 'staging'",
        {"cloud.deployerRole": None},
    ),
    "prod's keys are not administered by a lower rung's role": Case(
        "prod",
        {"cloud.keyAdministratorRole": _role(DEV)},
        "cloud.keyAdministratorRole",
        "is a role of 'dev'",
        {"cloud.keyAdministratorRole": _role(PROD, "security/team")},
    ),
    "prod's keys are not administered from outside": Case(
        "prod",
        {"cloud.keyAdministratorRole": _role(OUTSIDE)},
        "cloud.keyAdministratorRole",
        "is a role of another account",
    ),
    "prod's evidence is not anchored by a lower rung's role": Case(
        "prod",
        {"cloud.anchorRole": _role(DEV)},
        "cloud.anchorRole",
        "is a role of 'dev'",
        {"cloud.anchorRole": None},
    ),
    "who deploys does not anchor": Case(
        "prod",
        {"cloud.anchorRole": _role(PROD, "ladder-deployer")},
        "cloud.anchorRole",
        "deploys or administers keys too",
        {"cloud.anchorRole": _role(PROD, "ladder-observer")},
    ),
    "no lower rung replicates into prod": Case(
        "prod",
        {"cloud.replicationRoles": {"archive": _role(DEV)}},
        "cloud.replicationRoles.archive",
        "is a role of 'dev'",
        {"cloud.replicationRoles": {"archive": _role(OUTSIDE), "own": _role(PROD)}},
    ),
    "prod replicates into no lower rung": Case(
        "dev",
        {"cloud.replicationRoles": {"archive": _role(PROD)}},
        "cloud.replicationRoles.archive",
        "is a role of 'prod'",
        {"cloud.replicationRoles": {"archive": _role(OUTSIDE)}},
    ),
    "a role is of the stack's partition": Case(
        "prod",
        {"cloud.replicationRoles": {"archive": _role(OUTSIDE, partition="aws-cn")}},
        "cloud.replicationRoles.archive",
        "is of another partition",
    ),
    "a region is of the stack's partition": Case(
        "dev",
        {"cloud.region": "cn-north-1"},
        "cloud.region",
        "is not in the partition aws",
        {"cloud.region": "us-east-1"},
    ),
    "a bucket names a key": Case(
        "dev",
        {"buckets.uploads.key": "nothing"},
        "buckets.uploads.key",
        "names no key",
        {"buckets.uploads.key": "logs"},
    ),
    "a bucket's key may be used through S3": Case(
        "dev", {"buckets.uploads.key": "secrets"}, "buckets.uploads.key", "may not be used through S3"
    ),
    "a log bucket's key is open to log delivery": Case(
        "dev",
        {"buckets.logs.key": "data"},
        "buckets.logs.key",
        "log delivery may not use",
        {"buckets.logs.key": "data", "buckets.logs.logDelivery": False},
    ),
    "a service names buckets there are": Case(
        "dev",
        {"services.web.buckets": {"nothing": "read"}},
        "services.web.buckets.nothing",
        "names no bucket",
        {"services.web.buckets": {}},
    ),
    "secrets name a key": Case("dev", {"secrets.key": "nothing"}, "secrets.key", "names no key"),
    "the secrets' key may be used through Secrets Manager": Case(
        "dev",
        {"secrets.key": "data"},
        "secrets.key",
        "names no key that may be used through Secrets Manager",
        {"secrets.key": "data", "keys.data.via": {"s3": True, "secretsmanager": True}},
    ),
    "no two buckets share a name": Case(
        "dev",
        {"buckets.exports.name": "acme-shop-dev-uploads"},
        "buckets.exports.name",
        "is also the name of 'uploads'",
        {"buckets.exports.name": "acme-shop-dev-downloads"},
    ),
    "one bucket holds evidence": Case(
        "dev", {"buckets.evidence.objectLock": {"enabled": False}}, "buckets", "must have one bucket with Object Lock"
    ),
    "only one bucket holds evidence": Case(
        "dev",
        {"buckets.logs.objectLock": LOCK},
        "buckets",
        "must have one bucket with Object Lock",
        {"buckets.logs.objectLock": LOCK | {"days": 14}, "buckets.evidence.objectLock": {"enabled": False}},
    ),
    "nothing expires while it is locked": Case(
        "dev",
        {"buckets.evidence.objectLock": LOCK, "buckets.evidence.expireDays": 29},
        "buckets.evidence.expireDays",
        "before their lock ends",
        {"buckets.evidence.objectLock": LOCK, "buckets.evidence.expireDays": 30},
    ),
    "a service's role has a name IAM accepts": Case(
        "dev",
        {"environment.name": "a" * 20, "accounts": {"a" * 20: DEV}, "services": {"b" * 37: {"buckets": {}}}},
        f"services.{'b' * 37}",
        "makes the name of its IAM role too long",
        {"environment.name": "a" * 20, "accounts": {"a" * 20: DEV}, "services": {"b" * 36: {"buckets": {}}}},
    ),
    "a service's release has a name Helm accepts": Case(
        "dev",
        {"environment.name": "d", "accounts": {"d": DEV}, "services": {"b" * 54: {"buckets": {}}}},
        f"services.{'b' * 54}",
        "makes the name of its Helm release too long",
        {"environment.name": "d", "accounts": {"d": DEV}, "services": {"b" * 53: {"buckets": {}}}},
    ),
    **{
        f"no service is called {name}": Case(
            "dev",
            {"services": {name: {"buckets": {}}}},
            f"services.{name}",
            "is the name of a ServiceAccount that is not a service's",
            {"services": {f"{name}-service": {"buckets": {}}}},
        )
        for name in sorted(RESERVED_SERVICE_ACCOUNTS)
    },
    "no environment is named like a preview": Case(
        "dev",
        {"environment.name": "pr-12", "accounts": {"pr-12": DEV}},
        "environment.name",
        "reads like a preview's",
        {"environment.name": "pre", "accounts": {"pre": DEV}},
    ),
    "no environment is named like dev's previews": Case(
        "dev",
        {"environment.name": "dev-previews", "accounts": {"dev-previews": DEV}},
        "environment.name",
        "reads like a preview's",
        {"environment.name": "dev-two", "accounts": {"dev-two": DEV}},
    ),
    "a stand-in for AWS stands only in the sandbox's settings": Case(
        "dev",
        {"cloud.standIn": "http://127.0.0.1:4566"},
        "cloud.standIn",
        "may stand only in the sandbox's settings",
        {"cloud.standIn": None},
    ),
    "no service's role administers keys": Case(
        "dev",
        {"cloud.keyAdministratorRole": _role(DEV, "ladder-dev-api")},
        "cloud.keyAdministratorRole",
        "is the role of a workload",
        {"cloud.keyAdministratorRole": _role(DEV, "ladder-dev-other")},
    ),
    "a container's request is within its limit": Case(
        "dev",
        {"namespaces.services.containers.request.cpu": "501m"},
        "namespaces.services.containers.request.cpu",
        "is more than containers.limit.cpu",
        {"namespaces.services.containers.request.cpu": "0.5"},
    ),
    "a container's limit is within the most it may ask for": Case(
        "dev",
        {"namespaces.data.containers.limit.memory": "4097Mi"},
        "namespaces.data.containers.limit.memory",
        "is more than containers.max.memory",
        {"namespaces.data.containers.limit.memory": "4096Mi"},
    ),
    "one container fits into its namespace": Case(
        "dev",
        {"namespaces.services.containers.max.cpu": "13"},
        "namespaces.services.containers.max.cpu",
        "is more than quota.limits.cpu",
        {"namespaces.services.containers.max.cpu": "12"},
    ),
    "a namespace's requests are within its limits": Case(
        "dev",
        {"namespaces.services.quota.requests.memory": "25Gi"},
        "namespaces.services.quota.requests.memory",
        "is more than quota.limits.memory",
        {"namespaces.services.quota.requests.memory": "24576Mi"},
    ),
    "real data is in no dev": Case(
        "dev",
        {"data.class": "real"},
        "data.class",
        "this is dev",
        {"data.class": "anonymized", "data.procedure": PROCEDURE},
    ),
    "real data is in no staging": Case(
        "staging", {"data.class": "real"}, "data.class", "this is staging", {"data.class": "throwaway"}
    ),
    "anonymized data is so by a procedure": Case(
        "dev",
        {"data.class": "anonymized"},
        "data.procedure",
        "the word of somebody that nobody is in it",
        {"data.class": "anonymized", "data.procedure": PROCEDURE},
    ),
    "a procedure is of anonymized data": Case(
        "staging",
        {"data.procedure": PROCEDURE},
        "data.procedure",
        "makes nothing anonymous where data is synthetic",
        {"data.class": "anonymized", "data.procedure": PROCEDURE},
    ),
    "real data has no procedure": Case(
        "prod", {"data.procedure": PROCEDURE}, "data.procedure", "where data is real", {"data.procedure": None}
    ),
    "real data has full dependencies": Case(
        "prod",
        {"tier.level": "standard"},
        "tier.level",
        "needs dependencies that are kept outside the cluster",
        {"tier.level": "standard", "data.class": "synthetic"},
    ),
    "a key of real data can be saved for a month": Case(
        "prod",
        {"keys.logs.deletionWindowDays": 29},
        "keys.logs.deletionWindowDays",
        "is too short",
        {"keys.logs.deletionWindowDays": 29, "data.class": "synthetic"},
    ),
    "prod never syncs by itself": Case(
        "prod",
        {"delivery.sync.automated": True},
        "delivery.sync.automated",
        "prod never syncs by itself",
    ),
    "prod's workloads outlive a removed folder": Case(
        "prod", {"delivery.keepWhenRemoved": False}, "delivery.keepWhenRemoved", "must outlive"
    ),
    "self-heal needs automated sync": Case(
        "dev",
        {"delivery.sync": {"automated": False, "selfHeal": True}},
        "delivery.sync.selfHeal",
        "has no effect",
        {"delivery.sync": {"automated": False, "selfHeal": False}},
    ),
    "prod runs no previews": Case("prod", {"previews": PREVIEWS}, "previews.enabled", "in the dev cluster only"),
    "staging runs no previews": Case("staging", {"previews": PREVIEWS}, "previews.enabled", "in the dev cluster only"),
    "a preview ends about when its time is over": Case(
        "dev",
        {"previews.requeue": "37h", "previews.reaper.grace": "72h"},
        "previews.requeue",
        "would outlive it",
        {"previews.requeue": "36h", "previews.reaper.grace": "72h"},
    ),
    "the reaper comes before a preview has lived twice as long": Case(
        "dev",
        {"previews.reaper.every": "12h", "previews.ttl": "23h"},
        "previews.reaper.every",
        "would outlive its TTL",
        {"previews.reaper.every": "12h", "previews.ttl": "24h"},
    ),
    "the reaper leaves Argo CD its time": Case(
        "dev", {"previews.reaper.grace": "9m"}, "previews.reaper.grace", "race", {"previews.reaper.grace": "10m"}
    ),
    "the reaper comes before a preview has lived twice": Case(
        "dev",
        {"previews.reaper.grace": "73h"},
        "previews.reaper.grace",
        "longer than ttl",
        {"previews.reaper.grace": "72h"},
    ),
    "what is repeated ends before previews do": Case(
        "dev", {"previews.stale": "37h"}, "previews.stale", "outlast", {"previews.stale": "36h"}
    ),
    "facts are fresh no longer than they serve": Case(
        "dev", {"previews.fresh": "31m"}, "previews.fresh", "longer than stale", {"previews.fresh": "30m"}
    ),
    "no push lets a preview live longer than its pull request may": Case(
        "dev", {"previews.maxAge": "71h"}, "previews.ttl", "longer than maxAge", {"previews.maxAge": "72h"}
    ),
    "the budget holds one preview": Case(
        "dev", {"previews.budget.cpu": "71"}, "previews.budget.cpu", "does not hold one", {"previews.budget.cpu": "72"}
    ),
    "no rung runs what a pull request built": Case(
        "dev",
        {"previews.images": "ghcr.io/acme/shop/previews"},
        "previews.images",
        "overlaps images.registries.services",
        {"previews.images": "ghcr.io/acme/shop-previews"},
    ),
    "nor what is built above": Case(
        "dev", {"previews.images": "ghcr.io/acme"}, "previews.images", "overlaps images.registries.services"
    ),
    "what admits pull requests is not built by them": Case(
        "dev",
        {"previews.program": f"ghcr.io/acme/previews/web@sha256:{'0' * 64}"},
        "previews.program",
        "no image may come from",
    ),
    "a preview's limits are not less than one container's": Case(
        "dev",
        {"previews.tiers.lite.containers.max.memory": "6Gi"},
        "previews.tiers.lite.containers.max.memory",
        "is more than quota.limits.memory",
    ),
}


def changed(stack: str, changes: Mapping[str, Any]) -> StackSettings:
    """The stack's settings with the changes, valid field by field."""
    sections = settings_sections(stack)
    for path, value in changes.items():
        put(sections, path, value)
    return StackSettings.model_validate_json(json.dumps(sections))


def found(violations: Iterator[Violation]) -> list[tuple[str, str]]:
    return [(".".join(map(str, violation.path)), violation.message) for violation in violations]


@pytest.mark.parametrize("name", WITHIN)
def test_the_rule_speaks(name: str) -> None:
    case = WITHIN[name]
    violations = list(within_stack(changed(case.stack, case.broken)))
    spoken = [violation for violation in violations if case.says in violation.message]
    assert [".".join(map(str, violation.path)) for violation in spoken] == [case.at]
    assert spoken[0].found
    assert spoken[0].accepted


@pytest.mark.parametrize("name", WITHIN)
def test_the_rule_is_silent(name: str) -> None:
    case = WITHIN[name]
    settings = changed(case.stack, case.kept)
    assert not [message for at, message in found(within_stack(settings)) if at == case.at and case.says in message]


@pytest.mark.parametrize("stack", STACKS)
def test_the_stacks_keep_every_rule(stack: str) -> None:
    assert found(within_stack(changed(stack, {}))) == []


def _ladder(**changes: Mapping[str, Any]) -> dict[str, StackSettings]:
    return {stack: changed(stack, changes.get(stack, {})) for stack in STACKS}


SHARED = {"dev": DEV, "staging": STAGING, "prod": PROD}
UNEXPLAINED = ", and the contract gives no reason for it to vary"
ACROSS = {
    "two stacks are not one environment": (
        {"staging": {"environment.name": "dev", "accounts": {"dev": STAGING}}},
        ("staging", "environment.name", "is also that of the stack 'dev'"),
    ),
    "two stacks are not in one account": (
        {"staging": {"cloud.account": PROD}},
        ("staging", "cloud.account", "is also that of the stack 'prod'"),
    ),
    "two stacks do not share a bucket": (
        {"staging": {"buckets.uploads.name": "acme-shop-prod-uploads"}},
        ("staging", "buckets.uploads.name", "is also that of the stack 'prod'"),
    ),
    "every stack knows the same accounts": (
        {"staging": {"accounts": SHARED | {"qa": OUTSIDE}}},
        ("staging", "accounts", f"differs from the stack 'dev'{UNEXPLAINED}"),
    ),
    "two stacks are not on one rung": (
        {"prod": {"environment.rung": "staging"}},
        ("staging", "environment.rung", "is also that of the stack 'prod'"),
    ),
    "two stacks are not in one cluster": (
        {"prod": {"cluster.identifier": "one"}, "dev": {"cluster.identifier": "one"}},
        ("prod", "cluster.identifier", "is also that of the stack 'dev'"),
    ),
    "two stacks do not trust one issuer": (
        {"prod": {"cluster.oidcIssuer": "a.example"}, "dev": {"cluster.oidcIssuer": "a.example"}},
        ("prod", "cluster.oidcIssuer", "is also that of the stack 'dev'"),
    ),
    "a stack is named as its file": (
        {"dev": {"environment.name": "development", "accounts": {"development": DEV}}},
        (
            "dev",
            "environment.name",
            "is not the stack's: the file would bring up another environment than its name says",
        ),
    ),
    "no environment's hosts are below another's": (
        {"prod": {"hosts.domain": "acme.dev"}},
        ("prod", "hosts.domain", "is not apart from hosts.domain of dev, dev.acme.dev"),
    ),
    "previews' hosts are apart from every environment's": (
        {"dev": {"previews.host": "previews.acme.com"}},
        ("dev", "previews.host", "is not apart from hosts.domain of prod, acme.com"),
    ),
    "images come from the same registries everywhere": (
        {"prod": {"images.registries.services": "ghcr.io/other"}},
        ("prod", "images.registries.services", f"differs from the stack 'dev'{UNEXPLAINED}"),
    ),
    "one branch is delivered everywhere": (
        {"prod": {"delivery.branch": "release"}},
        ("prod", "delivery.branch", f"differs from the stack 'dev'{UNEXPLAINED}"),
    ),
    "no stack's role stands in another's policies, listed or not": (
        {
            "dev": {"cloud.account": "999999999999", "accounts": SHARED | {"dev": "999999999999"}},
            "prod": {"accounts": {"prod": PROD}, "cloud.replicationRoles": {"archive": _role("999999999999")}},
        },
        ("prod", "cloud.replicationRoles.archive", "is a role of the stack 'dev'"),
    ),
}


def _joined(stacks: Mapping[str, StackSettings]) -> list[tuple[str, Violation]]:
    return [*across_stacks(stacks), *equal_everywhere(stacks)]


@pytest.mark.parametrize("name", ACROSS)
def test_the_rule_across_stacks_speaks(name: str) -> None:
    changes, expected = ACROSS[name]
    spoken = [(stack, ".".join(map(str, one.path)), one.message) for stack, one in _joined(_ladder(**changes))]
    assert expected in spoken


def test_the_rules_across_stacks_are_silent() -> None:
    assert list(_joined(_ladder())) == []
    other_buckets = {"staging": {"buckets.uploads.name": "acme-shop-staging-other"}}
    assert list(_joined(_ladder(**other_buckets))) == []
    everywhere = {stack: {"accounts": SHARED | {"qa": "888888888888"}} for stack in STACKS}
    assert list(_joined(_ladder(**everywhere))) == []


def test_every_rule_has_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place in the module that reports a violation is reached by a case above."""
    places = {
        (module.__name__, node.lineno)
        for module in (rules, across)
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Violation"
    }
    reached: set[tuple[str, int]] = set()

    def noted(**fields: Any) -> Violation:
        caller = sys._getframe(1)
        reached.add((caller.f_globals["__name__"], caller.f_lineno))
        return Violation(**fields)

    monkeypatch.setattr(rules, "Violation", noted)
    monkeypatch.setattr(across, "Violation", noted)
    for case in WITHIN.values():
        list(within_stack(changed(case.stack, case.broken)))
    for changes, _ in ACROSS.values():
        list(_joined(_ladder(**changes)))
    assert places - reached == set()


def test_every_name_the_program_derives_fits_for_the_longest_environment() -> None:
    settings = changed("dev", {"environment.name": LONG[:20], "accounts": {LONG[:20]: DEV}})
    assert found(within_stack(settings)) == []
    assert all(len(settings.namespace(key)) <= 63 for key in settings.namespaces)
    assert all(len(settings.physical(name)) <= 64 for name in (*settings.services, *RESERVED_SERVICE_ACCOUNTS))
