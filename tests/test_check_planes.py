"""Joined planes: what an overlay names and its environment does not give is found, with whose it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ladder.check.findings import Finding
from ladder.check.planes import names
from ladder.check.stacks import environments, unmatched
from tests.checked import Checked, rules, shipped
from tests.conftest import ADMISSION, ALIAS, KEY, ROLE, ROLE_POLICY
from tests.support import ROOT

PROVIDER = "pulumi:providers:aws"


def found(checked: Checked) -> list[Finding]:
    """Everything found of names, in every environment."""
    every = environments(checked.tree, checked.stacks)
    return [finding for each in every for finding in names(checked.tree, each, checked.stacks)]


def test_nothing_is_found_in_the_shipped_project() -> None:
    assert found(shipped()) == []
    assert list(unmatched(shipped().tree, shipped().stacks)) == []


@dataclass(frozen=True)
class Wrong:
    """Values of an overlay, the rule they break, and what must be told."""

    changes: Mapping[str, Any]
    rule: str
    path: str
    found: str
    accepted: str
    says: str = ""
    service: str = "api"
    environment: str = "dev"
    mend: str = field(default="")


OTHERS_ROLE = "arn:aws:iam::432109876543:role/ladder-prod-api"
ANALYSIS = {"enabled": True, "threshold": 0.98, "interval": "30s", "count": 4, "failures": 1}
WRONG = {
    "another tier": Wrong({"tier": "full"}, "planes/tier", "tier", "full", "standard", mend="Pulumi.dev.yaml"),
    "a preview at tier full": Wrong({"tier": "full"}, "planes/tier", "tier", "full", "lite", environment="preview"),
    "data filled in beside real data": Wrong(
        {
            "seed": {
                "enabled": True,
                "image": f"ghcr.io/acme/shop/seed@sha256:{'0' * 64}",
                "environment": "prod",
                "number": 1,
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            }
        },
        "planes/seed",
        "seed.enabled",
        "true",
        "enabled: false",
        says="whose data is real",
        environment="prod",
    ),
    "data filled in by a foreign image": Wrong(
        {"seed.image": f"docker.io/library/seed@sha256:{'0' * 64}"},
        "planes/image",
        "seed.image",
        "docker.io",
        "ghcr.io/acme/shop/",
    ),
    "a rollout judged by what previews serve": Wrong(
        {"rollout": {"canary": [{"weight": 50, "pause": "1m"}], "analysis": ANALYSIS}},
        "planes/analysis",
        "service.metrics.successRate",
        'job="api"',
        'namespace="dev-services"',
        says="previews in the same cluster",
    ),
    "another region": Wrong(
        {"endpoints.region": "eu-central-1"}, "planes/region", "endpoints.region", "eu-central-1", "eu-west-1"
    ),
    "a role of prod": Wrong(
        {"endpoints.role.arn": OTHERS_ROLE},
        "planes/role",
        "endpoints.role.arn",
        OTHERS_ROLE,
        "arn:aws:iam::210987654321:role/ladder-dev-api",
        "but of prod",
    ),
    "a role of another service": Wrong(
        {"endpoints.role.arn": "arn:aws:iam::210987654321:role/ladder-dev-web"},
        "planes/role",
        "endpoints.role.arn",
        "ladder-dev-web",
        "ladder-dev-api",
    ),
    "a role for pull requests": Wrong(
        {"endpoints.role": {"enabled": True, "arn": "arn:aws:iam::210987654321:role/ladder-dev-api"}},
        "planes/role",
        "endpoints.role.enabled",
        "ladder-dev-api",
        "enabled: false",
        environment="preview",
    ),
    "a secret for pull requests": Wrong(
        {"secrets": {"TOKEN": "ladder/dev/api/token"}},
        "planes/secret",
        "secrets.TOKEN",
        "ladder/dev/api/token",
        "{}",
        environment="preview",
    ),
    "a bucket of staging": Wrong(
        {"endpoints.buckets.uploads": "acme-shop-staging-uploads"},
        "planes/bucket",
        "endpoints.buckets.uploads",
        "acme-shop-staging-uploads",
        "acme-shop-dev-uploads",
        "but of staging",
    ),
    "a bucket of another key": Wrong(
        {"endpoints.buckets.uploads": "acme-shop-dev-exports"},
        "planes/bucket",
        "endpoints.buckets.uploads",
        "acme-shop-dev-exports",
        "acme-shop-dev-uploads",
    ),
    "more access than the role has": Wrong(
        {"dependencies.objects.buckets": {"uploads": "read-write", "exports": "read-write"}},
        "planes/access",
        "dependencies.objects.buckets",
        "exports: read-write, uploads: read-write",
        "exports: read, uploads: read-write",
        mend="ladder:services.api.buckets in Pulumi.dev.yaml",
    ),
    "less access than the role has": Wrong(
        {"dependencies.objects": {"enabled": False}},
        "planes/access",
        "dependencies.objects.buckets",
        "no bucket",
        "exports: read, uploads: read-write",
    ),
    "a key of prod": Wrong(
        {"endpoints.keys.data": "alias/ladder-prod-data"},
        "planes/key",
        "endpoints.keys.data",
        "alias/ladder-prod-data",
        "alias/ladder-dev-data",
        "but of prod",
    ),
    "a key that the role may not use": Wrong(
        {"endpoints.keys": {"secrets": "alias/ladder-dev-secrets"}},
        "planes/key",
        "endpoints.keys",
        "alias/ladder-dev-secrets",
        "ladder-dev-secret-reader",
        "may not use",
    ),
    "a secret of prod": Wrong(
        {"secrets.DATABASE_PASSWORD": "ladder/prod/api/database-password"},
        "planes/secret",
        "secrets.DATABASE_PASSWORD",
        "ladder/prod/api/database-password",
        "ladder/dev/…",
        "but of prod",
    ),
    "a secret whose prefix only begins alike": Wrong(
        {"secrets.DATABASE_PASSWORD": "ladder/development/api"},
        "planes/secret",
        "secrets.DATABASE_PASSWORD",
        "ladder/development/api",
        "ladder/dev/*",
    ),
    "a host of staging": Wrong(
        {"endpoints.hosts": {"public": "shop.staging.acme.dev"}},
        "planes/host",
        "endpoints.hosts",
        "shop.staging.acme.dev",
        "dev.acme.dev and below",
        "but staging answers at it",
        service="web",
    ),
    "a host that only ends alike": Wrong(
        {"endpoints.hosts": {"public": "shop-dev.acme.dev"}},
        "planes/host",
        "endpoints.hosts",
        "shop-dev.acme.dev",
        "dev.acme.dev and below",
        service="web",
    ),
    "a preview's host without the preview's name": Wrong(
        {"endpoints.hosts": {"public": "shop.acme-previews.dev"}},
        "planes/host",
        "endpoints.hosts",
        "shop.acme-previews.dev",
        "pr-0.acme-previews.dev and below",
        service="web",
        environment="preview",
    ),
    "a service of prod called from outside": Wrong(
        {"endpoints.external.payments": "https://payments.acme.com"},
        "planes/host",
        "endpoints.external.payments",
        "payments.acme.com",
        "no other environment",
        "but prod answers at it",
    ),
    "a store of staging": Wrong(
        {"endpoints.stores": {"database": {"host": "db.staging.acme.dev", "port": 5432, "cidr": "10.30.0.0/16"}}},
        "planes/host",
        "endpoints.stores.database.host",
        "db.staging.acme.dev",
        "no other environment",
        "but staging answers at it",
        environment="prod",
    ),
    "an image from elsewhere": Wrong(
        {"service.image": "docker.io/library/api"},
        "planes/image",
        "service.image",
        "docker.io/library/api",
        "ghcr.io/acme/shop/…",
        "refused",
    ),
    "a service's image from the mirror": Wrong(
        {"service.image": "ghcr.io/acme/mirror/api"}, "planes/image", "service.image", "mirror", "ghcr.io/acme/shop/…"
    ),
    "a registry that only begins alike": Wrong(
        {"service.image": "ghcr.io/acme/shopping/api"},
        "planes/image",
        "service.image",
        "shopping",
        "ghcr.io/acme/shop/…",
    ),
    "a store's image from elsewhere": Wrong(
        {"dependencies.stores.cache.image": "docker.io/library/redis@sha256:" + "0a" * 32},
        "planes/image",
        "dependencies.stores.cache.image",
        "docker.io/library/redis",
        "ghcr.io/acme/mirror/…",
    ),
    "an object store's image from elsewhere": Wrong(
        {"dependencies.objects.image": "docker.io/library/weed@sha256:" + "0a" * 32},
        "planes/image",
        "dependencies.objects.image",
        "docker.io/library/weed",
        "ghcr.io/acme/mirror/…",
        environment="preview",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_environment_does_not_give_is_found(what: str) -> None:
    case = WRONG[what]
    broken = shipped().with_overlay(case.environment, case.service, case.changes)
    told = [finding for finding in found(broken) if finding.rule == case.rule and finding.path.startswith(case.path)]
    assert told, f"{case.rule} at {case.path} is not among {found(broken)}"
    finding = told[0]
    file, _, line = finding.where.rpartition(":")
    assert file == f"gitops/envs/{case.environment}/{case.service}/values.yaml"
    text = (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert any(f"{part}:" in text for part in case.path.split(".")), f"line {line} is {text!r}"
    assert case.found in finding.found
    assert case.accepted in finding.accepted
    assert case.says in finding.message
    assert case.mend in finding.mend


def test_a_role_without_settings_for_the_service_says_where_to_declare_one() -> None:
    sections = shipped().stacks["dev"].settings.model_dump(mode="json", by_alias=True)["services"]
    sections.pop("worker")
    broken = shipped().with_settings("dev", {"services": sections})
    assert rules(found(broken)) == {"planes/role", "planes/access"}
    role = next(finding for finding in found(broken) if finding.rule == "planes/role")
    assert "name worker in ladder:services of Pulumi.dev.yaml" in role.mend


Statements = Callable[[list[dict[str, Any]]], object]


def policy(field_: str, change: Statements) -> Callable[[dict[str, Any]], None]:
    """A change of a recorded policy document's statements."""

    def alter(inputs: dict[str, Any]) -> None:
        document = json.loads(inputs[field_])
        change(document["Statement"])
        inputs[field_] = json.dumps(document)

    return alter


def others_assume(statements: list[dict[str, Any]]) -> None:
    conditions = statements[0]["Condition"]["StringEquals"]
    subject = next(name for name in conditions if name.endswith(":sub"))
    conditions[subject] = "system:serviceaccount:dev-services:web"


def read_all(statements: list[dict[str, Any]]) -> None:
    for statement in statements:
        if statement["Sid"] == "WriteObjects":
            statement["Resource"].append("arn:aws:s3:::acme-shop-dev-exports/*")


def read_prod(statements: list[dict[str, Any]]) -> None:
    statements.append(
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::acme-shop-prod-uploads/*"}
    )


def no_user(statements: list[dict[str, Any]]) -> None:
    statements[:] = [each for each in statements if each["Sid"] != "AllowUseThroughServices"]


def other_secrets(statements: list[dict[str, Any]]) -> None:
    statements[0]["Resource"] = ["arn:aws:secretsmanager:eu-west-1:210987654321:secret:ladder/other/*"]


def other_domain(inputs: dict[str, Any]) -> None:
    inputs["spec"]["variables"][0]["expression"] = "'other.example.com'"


MISTAKES: dict[str, tuple[str, str, Callable[[dict[str, Any]], object], str]] = {
    "a role that another ServiceAccount assumes": (
        ROLE,
        "api",
        policy("assumeRolePolicy", others_assume),
        "planes/role",
    ),
    "a policy that gives more than the settings": (ROLE_POLICY, "api", policy("policy", read_all), "planes/access"),
    "a policy that reaches another environment": (
        ROLE_POLICY,
        "api",
        policy("policy", read_prod),
        "planes/access",
    ),
    "a key whose policy forgets the service": (KEY, "data", policy("policy", no_user), "planes/key"),
    "an alias of another name": (ALIAS, "data", lambda inputs: inputs.update(name="alias/x"), "planes/key"),
    "a reader of other secrets": (ROLE_POLICY, "secrets", policy("policy", other_secrets), "planes/secret"),
    "admission of another domain": (ADMISSION, "hosts", other_domain, "planes/host"),
    "a provider of another region": (
        PROVIDER,
        "aws",
        lambda inputs: inputs.update(region="us-east-1"),
        "planes/region",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_components_mistake_shows_in_the_recording(what: str) -> None:
    type_, name, change, rule = MISTAKES[what]
    broken = shipped().with_resource("dev", type_, name, change)
    assert rules(found(broken)) == {rule}


def test_a_folder_of_no_stack_is_found_unless_it_is_previews() -> None:
    two = shipped().with_environments(qa="staging")
    assert [finding.where for finding in unmatched(two.tree, two.stacks)] == ["gitops/envs/preview", "gitops/envs/qa"]
    off = shipped().with_settings("dev", {"previews": {"enabled": False}})
    (finding,) = unmatched(off.tree, off.stacks)
    assert (finding.rule, finding.where) == ("planes/folder-without-stack", "gitops/envs/preview")
    assert "previews in no stack" in finding.found


def test_a_stack_or_previews_without_a_folder_are_found() -> None:
    bare = shipped().with_environments(staging=None, preview=None)
    told = {(finding.where, finding.path) for finding in unmatched(bare.tree, bare.stacks)}
    assert told == {
        (f"Pulumi.staging.yaml:{line('staging', 'name: staging')}", "config.ladder:environment.name"),
        (f"Pulumi.dev.yaml:{line('dev', 'enabled: true', last=True)}", "config.ladder:previews.enabled"),
    }


def line(stack: str, text: str, *, last: bool = False) -> int:
    lines = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8").splitlines()
    places = [number for number, each in enumerate(lines, start=1) if text in each]
    return places[-1 if last else 0]
