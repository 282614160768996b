"""What an auditor asks of every stack, and of all together: rules over recordings that know no stack's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from ladder.check.findings import Finding
from ladder.recording import Recording
from ladder.rules import buckets, delivery, durability, keys, namespaces, naming, principals, rails, reach, rights
from ladder.rules.admission import digest_and_registry
from ladder.rules.rule import LadderRule, Rule, StackRule

__all__ = ["RULES", "LadderRule", "Result", "Rule", "StackRule", "across", "results", "within"]

RULES: tuple[Rule, ...] = (
    StackRule(
        id="rules/private-buckets",
        title="Every bucket is private",
        protects="objects that anyone on the internet can read or write",
        breaches=buckets.private,
    ),
    StackRule(
        id="rules/own-key",
        title="Every bucket is encrypted with a key of its stack",
        protects="objects that whoever reaches the bucket can read, because AWS's own key opens to the whole account",
        breaches=buckets.own_key,
    ),
    StackRule(
        id="rules/versioned",
        title="Every bucket keeps versions",
        protects="data lost for good by one overwrite or delete",
        breaches=buckets.versioned,
    ),
    StackRule(
        id="rules/tls-only",
        title="Every bucket refuses plain HTTP",
        protects="data and signatures read on the wire",
        breaches=buckets.tls_only,
    ),
    StackRule(
        id="rules/other-accounts-denied",
        title="Every bucket denies other accounts",
        protects="a later Allow, or a grant elsewhere, that lets another account in",
        breaches=buckets.other_accounts_denied,
    ),
    StackRule(
        id="rules/not-emptied",
        title="No bucket is deleted with its objects",
        protects="a destroy that takes the data along",
        breaches=buckets.not_emptied,
        alone=True,
    ),
    StackRule(
        id="rules/evidence-locked",
        title="One bucket is locked, for evidence",
        protects="evidence altered or deleted by those it is about",
        breaches=buckets.evidence_locked,
    ),
    StackRule(
        id="rules/key-rotation",
        title="Every key rotates",
        protects="one leaked key that opens the data of all years",
        breaches=keys.rotation,
        alone=True,
    ),
    StackRule(
        id="rules/key-deletion-window",
        title="No key is gone before it is noticed",
        protects="data made unreadable for ever by a deletion nobody saw in time",
        breaches=keys.deletion_window,
        alone=True,
    ),
    StackRule(
        id="rules/key-separation",
        title="Who administers a key does not use it",
        protects="an administrator who reads the data, or a workload that changes who may",
        breaches=keys.separation,
        alone=True,
    ),
    StackRule(
        id="rules/readable-policies",
        title="Every policy can be read",
        protects="a right that no rule sees, because its document stands elsewhere or is not of the grammar",
        breaches=principals.readable,
        alone=True,
    ),
    StackRule(
        id="rules/named-principals",
        title="Policies let in by name",
        protects="a wildcard that lets in everyone of an account, or of AWS",
        breaches=principals.named_principals,
        alone=True,
    ),
    StackRule(
        id="rules/named-grants",
        title="Roles may do exactly what is named",
        protects="a stolen workload that reaches more than its own data",
        breaches=principals.named_grants,
        alone=True,
    ),
    StackRule(
        id="rules/one-subject",
        title="A role is assumed by one ServiceAccount",
        protects="any other pod of the cluster that takes on the role",
        breaches=principals.one_subject,
    ),
    StackRule(
        id="rules/deputies-bound",
        title="AWS services are let in for this account only",
        protects="another customer who has an AWS service read or write here",
        breaches=principals.deputies_bound,
    ),
    StackRule(
        id="rules/guarded-namespaces",
        title="Every namespace has its guardrails",
        protects="a pod that takes the cluster's room, its network or its node",
        breaches=namespaces.guarded,
    ),
    StackRule(
        id="rules/exact-rights",
        title="Kubernetes roles name what they grant",
        protects="a deliverer that changes what guards the environment, or raises its own rights",
        breaches=rights.exact_rights,
    ),
    StackRule(
        id="rules/image-admission",
        title="Images run by digest, from named registries",
        protects="an image that nobody built, reviewed or promoted",
        breaches=digest_and_registry,
    ),
    StackRule(
        id="rules/host-admission",
        title="An environment answers at its own hosts only",
        protects="a service that takes another environment's host, and its calls",
        breaches=rails.own_hosts,
    ),
    StackRule(
        id="rules/delivery-rails",
        title="Delivery touches nothing that guards the environment",
        protects="a change of the tree that opens the network, or runs as who reads secrets or delivers",
        breaches=rails.untouched_rails,
    ),
    StackRule(
        id="rules/no-identity",
        title="What a pull request runs is nobody",
        protects="a pull request that uses a cloud role, reads a secret, or asks the API server",
        breaches=rails.no_identity,
    ),
    StackRule(
        id="rules/exact-projects",
        title="Argo CD's projects name what they permit",
        protects="an Application of any repository, in any namespace, of any kind",
        breaches=delivery.exact_project,
        alone=True,
    ),
    StackRule(
        id="rules/own-destinations",
        title="Delivery goes to the stack's own namespaces",
        protects="a service delivered into the cluster's, or another's, namespace",
        breaches=delivery.own_destinations,
    ),
    StackRule(
        id="rules/kept-applications",
        title="Where data is real, delivery deletes nothing and waits for a person",
        protects="production that goes down with a removed folder or ApplicationSet, or moves on a commit",
        breaches=delivery.kept_applications,
    ),
    StackRule(
        id="rules/real-data-protected",
        title="What holds or guards real data is protected",
        protects="a destroy, or a replacement, that deletes it",
        breaches=durability.protected,
    ),
    StackRule(
        id="rules/real-data-retained",
        title="What holds or guards real data is retained",
        protects="a line removed from the program that deletes it",
        breaches=durability.retained,
    ),
    StackRule(
        id="rules/tagged",
        title="Every AWS resource says whose it is, and its class of data",
        protects="data that nobody owns, or that is handled as less than it is",
        breaches=naming.tagged,
    ),
    StackRule(
        id="rules/labelled",
        title="Every Kubernetes object says whose it is",
        protects="an object that nobody knows whether to keep",
        breaches=naming.labelled,
    ),
    StackRule(
        id="rules/guarded-providers",
        title="Every provider is bound to one account or cluster",
        protects="a deployment with the wrong credentials into the wrong environment",
        breaches=naming.guarded_providers,
    ),
    StackRule(
        id="rules/seen-types",
        title="Every AWS resource is of a type that these rules read",
        protects="a way in that is none of policies, keys, buckets and roles",
        breaches=naming.seen,
        alone=True,
    ),
    LadderRule(
        id="rules/unreached",
        title="No stack reaches another's keys, buckets or roles",
        protects="a lower rung's principal that reads real data, and the reverse",
        breaches=reach.unreached,
    ),
    LadderRule(
        id="rules/apart",
        title="Every stack has its own account and cluster",
        protects="environments without a wall between them",
        breaches=reach.apart,
    ),
    LadderRule(
        id="rules/unshared-names",
        title="No two stacks declare one thing",
        protects="one environment's change, or destroy, that takes what is another's",
        breaches=reach.unshared_names,
    ),
)
"""Every rule, in the order of a report."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one stack stands to one rule. A rule over all stacks is broken by those whose resources break it."""

    rule: Rule
    stack: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


def within(recording: Recording, rules: Iterable[Rule] = RULES) -> Iterator[Finding]:
    """What one stack breaks of the rules over one stack."""
    for rule in rules:
        if isinstance(rule, StackRule):
            yield from rule.findings(recording)


def across(recordings: Mapping[str, Recording], rules: Iterable[Rule] = RULES) -> Iterator[Finding]:
    """What the stacks break of the rules over all of them together."""
    for rule in rules:
        if isinstance(rule, LadderRule):
            yield from (finding for _, finding in rule.findings(recordings))


def results(recordings: Mapping[str, Recording], rules: Iterable[Rule] = RULES) -> Iterator[Result]:
    """Every rule for every stack, rule by rule."""
    for rule in rules:
        match rule:
            case StackRule():
                broken = [(name, each) for name, one in recordings.items() for each in rule.findings(one)]
            case LadderRule():
                broken = list(rule.findings(recordings))
            case _:
                assert_never(rule)
        for stack in recordings:
            yield Result(rule, stack, tuple(finding for name, finding in broken if name == stack))
