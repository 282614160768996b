"""Rules over all stacks together: no stack reaches another, in either direction, nor declares what another declares."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings

from ladder import rules
from ladder.contract import StackSettings
from ladder.contract.across import across_stacks
from ladder.recorder import record
from ladder.recording import Recording
from ladder.rules import RULES, LadderRule
from ladder.rules.reading import (
    ALIAS,
    APP_PROJECT,
    APPLICATION_SET,
    AWS_PROVIDER,
    BINDING,
    BUCKET,
    BUCKET_POLICY,
    CLUSTER_PROVIDER,
    KEY,
    NAMESPACE,
    QUOTA,
    ROLE,
    ROLE_POLICY,
)
from tests.conftest import ROOT, Recordings, one
from tests.rule_changes import Case, Change, added, by_sid, compared, edit, put, stated, trust
from tests.strategies import stack_settings

BY_ID = {rule.id: rule for rule in RULES if isinstance(rule, LadderRule)}
DEV, PROD = "210987654321", "432109876543"
DEV_WEB, PROD_WEB = f"arn:aws:iam::{DEV}:role/ladder-dev-web", f"arn:aws:iam::{PROD}:role/ladder-prod-web"
PROD_KEY = f"arn:aws:kms:eu-central-1:{PROD}:key/x"
OUTSIDE = "arn:aws:iam::765432109876:role/archive-replication"
DEV_ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/D4E5F60718293A4B5C6D7E8F90A1B2C3"

LADDER = ("dev", "staging", "prod")


def stacks(recordings: Recordings, **changed: Recording) -> dict[str, Recording]:
    return {stack: changed.get(stack, recordings[stack]) for stack in LADDER}


def reach(stack: str, type_: str, name: str, path: str, change: Change) -> Case:
    return Case(rule="rules/unreached", what="", stack=stack, type=type_, name=name, change=change, path=path)


def trusting(provider: str) -> Change:
    return trust(lambda statements: statements[0]["Principal"].update({"Federated": provider}))


TRUST = "assumeRolePolicy.Statement.0"
REACHES = {
    "dev's role uses prod's key": reach(
        "prod", KEY, "data", "policy.Statement.1", stated("AllowUseThroughServices", Principal={"AWS": [DEV_WEB]})
    ),
    "dev's account administers prod's key": reach(
        "prod", KEY, "data", "policy.Statement.0", stated("AllowAdministration", Principal={"AWS": DEV})
    ),
    "prod's role uses dev's key": reach(
        "dev", KEY, "data", "policy.Statement.1", stated("AllowUseThroughServices", Principal={"AWS": [PROD_WEB]})
    ),
    "dev's role reads prod's bucket": reach(
        "prod",
        BUCKET_POLICY,
        "exports",
        "policy.Statement.8",
        added(Principal={"AWS": DEV_WEB}, Action="s3:GetObject", Resource="arn:aws:s3:::acme-shop-prod-exports/*"),
    ),
    "everyone uses prod's key": reach(
        "prod", KEY, "data", "policy.Statement.1", stated("AllowUseThroughServices", Principal="*")
    ),
    "dev's role is exempt from prod's Deny": reach(
        "prod",
        BUCKET_POLICY,
        "uploads",
        "policy.Statement.1",
        compared(
            "DenyOtherAccounts",
            {"StringNotEquals": {"aws:PrincipalAccount": PROD}, "ArnNotEquals": {"aws:PrincipalArn": [DEV_WEB]}},
        ),
    ),
    "dev's account is exempt from prod's Deny": reach(
        "prod",
        BUCKET_POLICY,
        "uploads",
        "policy.Statement.1",
        compared("DenyOtherAccounts", {"StringNotEquals": {"aws:PrincipalAccount": [PROD, DEV]}}),
    ),
    "all but dev's role are denied": reach(
        "prod",
        BUCKET_POLICY,
        "uploads",
        "policy.Statement.0",
        edit(
            lambda statements: (
                by_sid(statements, "DenyPlainHttp").pop("Principal"),
                by_sid(statements, "DenyPlainHttp").update({"NotPrincipal": {"AWS": DEV_WEB}}),
            )
        ),
    ),
    "log delivery writes dev's logs to prod": reach(
        "prod",
        BUCKET_POLICY,
        "logs",
        "policy.Statement.8",
        compared("AllowLogDelivery", {"StringEquals": {"aws:SourceAccount": DEV}}),
    ),
    "prod's role trusts a provider of dev's account": reach(
        "prod", ROLE, "web", TRUST, trusting(f"arn:aws:iam::{DEV}:oidc-provider/{DEV_ISSUER}")
    ),
    "prod's role trusts dev's cluster": reach(
        "prod", ROLE, "web", TRUST, trusting(f"arn:aws:iam::{PROD}:oidc-provider/{DEV_ISSUER}")
    ),
    "dev's role is assumed by prod's": reach(
        "dev", ROLE, "web", TRUST, trust(lambda statements: statements[0].update({"Principal": {"AWS": PROD_WEB}}))
    ),
    "dev's role may read prod's bucket": reach(
        "dev",
        ROLE_POLICY,
        "web",
        "policy.Statement.1",
        stated("ReadObjects", Resource=["arn:aws:s3:::acme-shop-prod-uploads/*"]),
    ),
    "dev's role may read buckets by prefix": reach(
        "dev", ROLE_POLICY, "web", "policy.Statement.1", stated("ReadObjects", Resource="arn:aws:s3:::acme-shop-*")
    ),
    "dev's role may use prod's key": reach(
        "dev", ROLE_POLICY, "web", "policy.Statement.2", stated("UseKeys", Resource=[PROD_KEY])
    ),
    "dev's role may use keys of accounts by prefix": reach(
        "dev", ROLE_POLICY, "web", "policy.Statement.2", stated("UseKeys", Resource="arn:aws:kms:*:4321*:key/x")
    ),
    "dev's role may assume prod's": reach(
        "dev", ROLE_POLICY, "web", "policy.Statement.3", added(Action="sts:AssumeRole", Resource=PROD_WEB)
    ),
    "dev's role reads what is owned by prod": reach(
        "dev",
        ROLE_POLICY,
        "web",
        "policy.Statement.0",
        compared("ListBuckets", {"StringEquals": {"aws:ResourceAccount": PROD}}),
    ),
}


@pytest.mark.parametrize("what", REACHES)
def test_no_stack_reaches_another(what: str, recordings: Recordings) -> None:
    case = REACHES[what]
    broken = case.broken(recordings[case.stack])
    found = list(BY_ID[case.rule].findings(stacks(recordings, **{case.stack: broken})))
    assert (case.stack, case.where(broken), case.path) in {(stack, each.where, each.path) for stack, each in found}


def test_a_role_of_no_stack_may_replicate(recordings: Recordings) -> None:
    """Prod's buckets already let one in from outside the ladder; a second one changes nothing."""
    more = added(Principal={"AWS": OUTSIDE}, Action="s3:ReplicateObject", Resource="arn:aws:s3:::x/*")
    broken = reach("prod", BUCKET_POLICY, "uploads", "", more).broken(recordings["prod"])
    assert OUTSIDE in json.dumps([resource.inputs.get("policy") for resource in recordings["prod"].resources])
    assert list(rules.across(stacks(recordings, prod=broken))) == []


def test_naming_another_in_a_deny_lets_nobody_in(recordings: Recordings) -> None:
    denied = added(Effect="Deny", Principal={"AWS": DEV_WEB}, Action="s3:*", Resource="arn:aws:s3:::x")
    broken = reach("prod", BUCKET_POLICY, "uploads", "", denied).broken(recordings["prod"])
    assert list(rules.across(stacks(recordings, prod=broken))) == []


def test_a_reach_is_found_whichever_way_the_stacks_are_called(recordings: Recordings) -> None:
    """Rung and name decide nothing: the same recordings under other names give the same findings."""
    case = REACHES["dev's role uses prod's key"]
    named = {"dev": "x", "staging": "prod", "prod": "dev"}
    broken = stacks(recordings, prod=case.broken(recordings["prod"]))
    found = list(BY_ID[case.rule].findings({named[stack]: each for stack, each in broken.items()}))
    assert [(stack, each.found) for stack, each in found] == [("dev", DEV_WEB)]


def test_each_stack_has_an_account_of_its_own(recordings: Recordings) -> None:
    shared = Case(
        rule="rules/apart", what="", type=AWS_PROVIDER, name="aws", change=put("allowedAccountIds", json.dumps([PROD]))
    ).broken(recordings["dev"])
    found = list(BY_ID["rules/apart"].findings(stacks(recordings, dev=shared)))
    assert [(stack, each.path, each.found) for stack, each in found] == [("prod", "allowedAccountIds", PROD)]


@pytest.mark.parametrize("field", ["clusterIdentifier", "context"])
def test_each_stack_has_a_cluster_of_its_own(field: str, recordings: Recordings) -> None:
    taken = one(recordings["prod"], CLUSTER_PROVIDER, "cluster").inputs[field]
    change = put(field, taken)
    shared = Case(rule="", what="", type=CLUSTER_PROVIDER, name="cluster", change=change).broken(recordings["dev"])
    found = list(BY_ID["rules/apart"].findings(stacks(recordings, dev=shared)))
    assert [(stack, each.path, each.found) for stack, each in found] == [("prod", field, taken)]


NAMES = {
    BUCKET: ("uploads", "bucket"),
    NAMESPACE: ("services", "metadata.name"),
    BINDING: ("images-binding", "metadata.name"),
    APP_PROJECT: ("delivery", "metadata.name"),
    APPLICATION_SET: ("delivery", "metadata.name"),
}


@pytest.mark.parametrize("type_", NAMES)
def test_no_two_stacks_declare_one_thing(type_: str, recordings: Recordings) -> None:
    name, path = NAMES[type_]
    taken: Any = one(recordings["dev"], type_, name).inputs
    for key in path.split("."):
        taken = taken[key]
    case = Case(rule="", what="", type=type_, name=name, change=put(path, taken))
    shared = case.broken(recordings["prod"])
    found = list(BY_ID["rules/unshared-names"].findings(stacks(recordings, prod=shared)))
    assert [(stack, each.where, each.found) for stack, each in found] == [("prod", case.where(shared), taken)]


@pytest.mark.parametrize(("type_", "name"), [(ROLE, "web"), (ALIAS, "data")])
def test_a_role_and_an_alias_are_an_accounts_own(type_: str, name: str, recordings: Recordings) -> None:
    taken = one(recordings["dev"], type_, name).inputs["name"]
    same = Case(rule="", what="", type=type_, name=name, change=put("name", taken)).broken(recordings["prod"])
    rule = BY_ID["rules/unshared-names"]
    assert list(rule.findings(stacks(recordings, prod=same))) == []
    into_dev = Case(
        rule="", what="", type=AWS_PROVIDER, name="aws", change=put("allowedAccountIds", json.dumps([DEV]))
    ).broken(same)
    assert [each.found for _, each in rule.findings(stacks(recordings, prod=into_dev))] == [taken]


def test_the_same_name_in_another_namespace_is_another_thing(recordings: Recordings) -> None:
    quotas = {one(recording, QUOTA, "services-quota").inputs["metadata"]["name"] for recording in recordings}
    assert quotas == {"quota"}
    assert list(BY_ID["rules/unshared-names"].findings(stacks(recordings))) == []


def test_one_stack_by_itself_breaks_no_rule_over_all(recordings: Recordings) -> None:
    for stack in LADDER:
        assert list(rules.across({stack: recordings[stack]})) == []


def test_a_stack_beside_itself_breaks_every_rule_over_all(recordings: Recordings) -> None:
    twins = {"one": recordings["dev"], "other": replace(recordings["dev"], stack="other")}
    assert {finding.rule for finding in rules.across(twins)} == set(BY_ID)


@pytest.mark.exhaustive
@settings(max_examples=10)
@given(one_stack=stack_settings(), other=stack_settings())
def test_stacks_that_the_contract_takes_together_do_not_reach_each_other(
    one_stack: StackSettings, other: StackSettings
) -> None:
    both = {"one": one_stack, "other": other}
    own = {("environment", "name"), ("cloud", "account"), ("cluster", "oidcIssuer"), ("cluster", "context")}
    own |= {("cluster", "identifier")}
    shared = [each for _, each in across_stacks(both) if "is also that of" in each.message]
    assume(not [each for each in shared if each.path in own or each.path[0] == "buckets"])
    found = {stack: record(chosen, stack=stack, root=ROOT) for stack, chosen in both.items()}
    assert list(rules.across(found)) == []
