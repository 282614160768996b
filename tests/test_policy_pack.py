"""The policy pack: through the SDK's own classes, and over gRPC as the engine speaks to it."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy import (
    Policy,
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from ladder.recording import Recording
from ladder.recording_formats import as_deployment
from ladder.rules import RULES, StackRule
from policy.pack import POLICIES
from tests.conftest import ROOT, Recordings
from tests.rule_cases_cloud import CLOUD_CASES
from tests.rule_cases_cluster import CLUSTER_CASES
from tests.rule_changes import Case

pytestmark = pytest.mark.exhaustive

UNTOLD = "real-data-retained"
BY_NAME: dict[str, Policy] = {policy.name: policy for policy in POLICIES}
FIRST = {case.rule: case for case in reversed((*CLOUD_CASES, *CLUSTER_CASES))}
CASES = [case for rule, case in FIRST.items() if rule != f"rules/{UNTOLD}"]
START_SECONDS = 60.0

State = dict[str, Any]
Told = list[tuple[str, str | None]]


def states(recording: Recording) -> list[State]:
    """The resources of what ``ladder record --format deployment`` writes."""
    return json.loads(json.dumps(as_deployment(recording)))["deployment"]["resources"]


def options(state: State) -> PolicyResourceOptions:
    return PolicyResourceOptions(state.get("protect", False), [], None, [], PolicyCustomTimeouts(0, 0, 0), [])


def provider_of(state: State, known: list[State]) -> State | None:
    """The state of the provider that a state names as ``<urn>::<id>``."""
    found = [each for each in known if f"{each['urn']}::{each.get('id')}" == state.get("provider")]
    return found[0] if found else None


def provider(state: State, known: list[State]) -> PolicyProviderResource | None:
    found = provider_of(state, known)
    if found is None:
        return None
    name = found["urn"].rpartition("::")[2]
    return PolicyProviderResource(found["type"], unknown_checking_proxy(found["inputs"]), found["urn"], name)


def told_of(policy: Policy, known: list[State]) -> Told:
    """What a policy reports of a deployment: per resource of its inputs, of the stack of its outputs."""
    told: Told = []

    def report(message: str, urn: str | None = None) -> None:
        told.append((message, urn))

    resources: list[PolicyResource] = []
    for state in known:
        urn, type_, name = state["urn"], state["type"], state["urn"].rpartition("::")[2]
        inputs, outputs = unknown_checking_proxy(state["inputs"]), unknown_checking_proxy(state["outputs"])
        made_by = provider(state, known)
        if isinstance(policy, ResourceValidationPolicy):
            policy.validate(ResourceValidationArgs(type_, inputs, urn, name, options(state), made_by), report)
        resources.append(PolicyResource(type_, outputs, urn, name, options(state), made_by, None, [], {}))
    if isinstance(policy, StackValidationPolicy):
        policy.validate(StackValidationArgs(resources), report)
    return told


def test_every_rule_over_one_stack_is_a_policy_but_what_the_engine_does_not_tell() -> None:
    rules = {rule.id.removeprefix("rules/") for rule in RULES if isinstance(rule, StackRule)}
    assert rules - set(BY_NAME) == {UNTOLD}
    assert set(BY_NAME) < rules


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_policy_reports_what_its_rule_finds(case: Case, recordings: Recordings) -> None:
    broken = case.broken(recordings[case.stack])
    told = told_of(BY_NAME[case.rule.removeprefix("rules/")], states(broken))
    assert case.where(broken) in {urn for _, urn in told}
    assert all(message.strip() for message, _ in told)


def test_policies_are_silent_on_the_real_stacks(recording: Recording) -> None:
    known = states(recording)
    assert {policy.name: told for policy in POLICIES if (told := told_of(policy, known))} == {}


def test_a_provider_that_the_stack_leaves_out_is_known_by_what_it_made(recordings: Recordings) -> None:
    """An update of some resources may leave it out."""
    known = states(recordings["dev"])
    resources = [
        PolicyResource(
            state["type"],
            unknown_checking_proxy(state["outputs"]),
            state["urn"],
            state["urn"].rpartition("::")[2],
            options(state),
            provider(state, known),
            None,
            [],
            {},
        )
        for state in known
        if not state["type"].startswith("pulumi:providers:")
    ]
    told: Told = []
    for policy in POLICIES:
        if isinstance(policy, StackValidationPolicy):
            policy.validate(StackValidationArgs(resources), lambda message, urn=None: told.append((message, urn)))
    assert told == []


def test_what_a_preview_cannot_know_is_left_to_the_sdk(recordings: Recordings) -> None:
    known = states(recordings["dev"])
    for state in known:
        if state["type"] == "aws:kms/key:Key":
            state["outputs"]["arn"] = UNKNOWN_STRING_VALUE
    with pytest.raises(UnknownValueError):
        told_of(BY_NAME["own-key"], known)
    assert told_of(BY_NAME["private-buckets"], known) == []


class Engine:
    """Speaks to a policy pack's process as the engine does."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._analyzer: Any = analyzer_pb2_grpc.AnalyzerStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def policies(self) -> Any:
        return self._analyzer.GetAnalyzerInfo(empty_pb2.Empty())

    def analyze(self, known: list[State]) -> list[Any]:
        """What ``pulumi policy analyze`` would show: of each resource's inputs, then of all outputs."""
        diagnostics: list[Any] = []
        for state in known:
            request = analyzer_pb2.AnalyzeRequest(**_common(state, known, "inputs"))
            diagnostics += self._analyzer.Analyze(request).diagnostics
        resources = [analyzer_pb2.AnalyzerResource(**_common(state, known, "outputs")) for state in known]
        return diagnostics + list(
            self._analyzer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=resources)).diagnostics
        )


def _common(state: State, known: list[State], properties: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": state["type"],
        "urn": state["urn"],
        "name": state["urn"].rpartition("::")[2],
        "properties": _struct(state[properties]),
        "options": analyzer_pb2.AnalyzerResourceOptions(protect=state.get("protect", False)),
    }
    made_by = provider_of(state, known)
    if made_by is not None:
        fields["provider"] = analyzer_pb2.AnalyzerProviderResource(
            type=made_by["type"], urn=made_by["urn"], name="provider", properties=_struct(made_by["inputs"])
        )
    return fields


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The pack's own process, started as the Python language host starts one: by ``pulumi.policy``, in its folder."""
    folder = ROOT / "policy"
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(folder)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_", "KUBE"))
    }
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        client = Engine(int(_first_line(process)))
        yield client
        client.close()
    finally:
        process.kill()
        process.communicate()


def _first_line(process: subprocess.Popen[str]) -> str:
    """The port, which is all the process prints. Fails where it ends, or takes too long."""
    lines: queue.Queue[str] = queue.Queue()
    stdout = process.stdout
    assert stdout is not None
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    return lines.get(timeout=START_SECONDS)


def test_the_packs_process_tells_the_engine_its_policies(engine: Engine) -> None:
    information = engine.policies()
    assert information.name == "environment-ladder"
    assert {policy.name for policy in information.policies} == set(BY_NAME)
    assert {policy.enforcementLevel for policy in information.policies} == {analyzer_pb2.MANDATORY}
    kinds = {policy.name: policy.policy_type for policy in information.policies}
    for policy in POLICIES:
        alone = isinstance(policy, ResourceValidationPolicy)
        assert kinds[policy.name] == (analyzer_pb2.POLICY_TYPE_RESOURCE if alone else analyzer_pb2.POLICY_TYPE_STACK)


def test_the_packs_process_finds_nothing_in_the_real_stacks(engine: Engine, recordings: Recordings) -> None:
    assert {recording.stack: engine.analyze(states(recording)) for recording in recordings} == {
        recording.stack: [] for recording in recordings
    }


@pytest.mark.parametrize("rule", ["key-separation", "tls-only", "image-admission", "real-data-protected"])
def test_the_packs_process_stops_a_broken_stack(rule: str, engine: Engine, recordings: Recordings) -> None:
    case = FIRST[f"rules/{rule}"]
    broken = case.broken(recordings[case.stack])
    found = engine.analyze(states(broken))
    assert {diagnostic.policyName for diagnostic in found} == {rule}
    assert {diagnostic.enforcementLevel for diagnostic in found} == {analyzer_pb2.MANDATORY}
    assert case.where(broken) in {diagnostic.urn for diagnostic in found}
    (title,) = {each.title for each in RULES if each.id == case.rule}
    assert all(title in diagnostic.message for diagnostic in found)


def test_the_packs_process_only_advises_of_what_a_preview_cannot_know(engine: Engine, recordings: Recordings) -> None:
    known = states(recordings["dev"])
    for state in known:
        if state["type"] == "aws:s3/bucketPolicy:BucketPolicy":
            state["inputs"]["policy"] = state["outputs"]["policy"] = UNKNOWN_STRING_VALUE
    found = engine.analyze(known)
    assert {diagnostic.enforcementLevel for diagnostic in found} == {analyzer_pb2.ADVISORY}
    assert all("can't be known during preview" in diagnostic.message for diagnostic in found)
