"""Each rule over one stack: it fires where the stack is broken, names the place, and is silent on sound stacks."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings

from ladder import rules
from ladder.contract import StackSettings
from ladder.recorder import record
from ladder.recording import Resource
from ladder.rules import RULES, LadderRule, StackRule
from ladder.rules.reading import BUCKET, ROLE
from tests.conftest import ROOT, Recordings
from tests.rule_cases_cloud import CLOUD_CASES
from tests.rule_cases_cluster import CLUSTER_CASES
from tests.rule_changes import Case
from tests.strategies import stack_settings

CASES = (*CLOUD_CASES, *CLUSTER_CASES)
BY_ID = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule.removeprefix('rules/')}: {case.what}")
def test_a_rule_fires_where_its_stack_is_broken(case: Case, recordings: Recordings) -> None:
    broken = case.broken(recordings[case.stack])
    found = list(rules.within(broken, [BY_ID[case.rule]]))
    assert (case.where(broken), case.path) in {(finding.where, finding.path) for finding in found}
    assert all(finding.rule == case.rule and finding.message and finding.accepted for finding in found)


def test_every_rule_has_a_case_that_fires() -> None:
    assert {case.rule for case in CASES} == {rule.id for rule in RULES if isinstance(rule, StackRule)}


def test_every_case_has_a_name_of_its_own() -> None:
    assert [named for named, times in Counter((case.rule, case.what) for case in CASES).items() if times > 1] == []


def test_the_real_stacks_keep_every_rule(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    found = list(rules.results({stack: recordings[stack] for stack in ladder}))
    assert [(result.rule.id, result.stack, result.findings) for result in found if not result.passed] == []
    assert len(found) == len(RULES) * len(ladder)


def test_a_result_is_of_the_stack_that_breaks_the_rule(recordings: Recordings) -> None:
    (case,) = [case for case in CASES if (case.rule, case.what) == ("rules/versioned", "suspended")]
    stacks = {"dev": case.broken(recordings["dev"]), "staging": recordings["staging"]}
    found = [result for result in rules.results(stacks) if not result.passed]
    assert [(result.rule.id, result.stack) for result in found] == [("rules/versioned", "dev")]


def test_a_rule_that_judges_resources_alone_says_the_same_of_each_by_itself(recordings: Recordings) -> None:
    for case in CASES:
        rule = BY_ID[case.rule]
        if isinstance(rule, StackRule) and rule.alone:
            broken = case.broken(recordings[case.stack])
            alone = [replace(broken, resources=(resource,)) for resource in broken.resources]
            together = set(rules.within(broken, [rule]))
            assert {finding for one in alone for finding in rules.within(one, [rule])} == together


def test_rules_know_no_stack_by_its_name(recordings: Recordings) -> None:
    """The same resources under another stack's name break the same rules in the same places."""

    def under(name: str, urn: str | None) -> str:
        return re.sub("^urn:pulumi:[^:]*:", f"urn:pulumi:{name}:", urn or "")

    for case in CASES[::60]:
        broken = case.broken(recordings[case.stack])
        renamed = [
            replace(each, urn=under("prod-2", each.urn), provider=under("prod-2", each.provider) or None)
            for each in broken.resources
        ]
        expected = [replace(each, where=under("prod-2", each.where)) for each in rules.within(broken)]
        assert expected
        assert list(rules.within(replace(broken, stack="prod-2", resources=tuple(renamed)))) == expected


def test_every_rule_says_what_it_protects_from() -> None:
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert all(rule.id.startswith("rules/") and rule.title and rule.protects for rule in RULES)
    assert {type(rule) for rule in RULES} == {StackRule, LadderRule}


def as_made(resource: Resource) -> Resource:
    """As providers give back what they made: with what they compute, and with policies as AWS spells them."""
    inputs = {"region": "eu-central-1", "tagsAll": resource.inputs.get("tags", {}), **resource.inputs}
    for key in {"policy", "assumeRolePolicy"} & set(resource.inputs):
        document = json.loads(resource.inputs[key])
        document["Statement"] = [
            {part: value[0] if isinstance(value, list) and len(value) == 1 else value for part, value in each.items()}
            for each in document["Statement"]
        ]
        inputs[key] = json.dumps(document, indent=2)
    if resource.type == ROLE:
        inputs |= {"inlinePolicies": [], "managedPolicyArns": []}
    if resource.type == BUCKET:
        inputs |= {"policy": "", "serverSideEncryptionConfigurations": [{"rules": []}]}
    if "metadata" in resource.inputs:
        inputs["metadata"] = {**resource.inputs["metadata"], "uid": "0", "managedFields": [{"manager": "pulumi"}]}
    return replace(resource, inputs=inputs)


def test_what_providers_add_to_what_they_made_changes_nothing(recordings: Recordings) -> None:
    for recording in recordings:
        made = tuple(as_made(resource) for resource in recording.resources)
        assert list(rules.within(replace(recording, resources=made))) == []


@pytest.mark.exhaustive
@settings(max_examples=15)
@given(chosen=stack_settings())
def test_whatever_the_contract_accepts_keeps_every_rule(chosen: StackSettings) -> None:
    recording = record(chosen, stack="any", root=ROOT)
    assert list(rules.within(recording)) == []
