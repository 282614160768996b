"""A recording against real state: quiet where only a provider knows better, exact where anything else differs."""

from __future__ import annotations

import copy
import functools
import io
import json
import random
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ladder.compare import Finding, Kind, compare, read_export
from ladder.recorder import record_stack
from ladder.recording import Recording, Resource
from ladder.recording_formats import as_deployment
from tests.support import ROOT, STACKS, Outcome, run_ladder

ENVELOPE = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:AAAA:c2VjcmV0"}
PLAINTEXT = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"hunter2"'}
SECRET = "hunter2"

State = dict[str, Any]


@functools.cache
def recording(stack: str) -> Recording:
    return record_stack(ROOT, stack)


def exported(stack: str) -> State:
    """The state as the recording predicts it."""
    return json.loads(json.dumps(as_deployment(recording(stack))))


def resources(state: State) -> list[State]:
    return state["deployment"]["resources"]


def one(state: State, type_: str, name: str) -> State:
    (found,) = [item for item in resources(state) if item["type"] == type_ and item["urn"].endswith(f"::{name}")]
    return found


def realistic(stack: str) -> State:
    """What a first ``pulumi up`` leaves: ids and ARNs of AWS, defaults, sealed secrets, answers in canonical form."""
    state = exported(stack)
    names = {item["id"]: str(uuid.uuid4()) for item in resources(state) if _is_unpredictable(item["type"])}
    state = replaced(state, names)
    state["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": "v1:AAAA"}}
    shuffle = random.Random(0)  # noqa: S311 - an order, not a secret
    for item in resources(state):
        item["created"] = item["modified"] = "2026-01-01T00:00:00Z"
        if not item["custom"]:
            continue
        if item["type"].startswith("pulumi:providers:"):
            item["inputs"] |= {"version": "7.0.0", "pluginDownloadURL": "", "__internal": {"x": "y"}}
            item["outputs"] = copy.deepcopy(item["inputs"])
            continue
        item["outputs"] = mangled(item["outputs"], item["type"].startswith("kubernetes:"), shuffle)
        item["outputs"] |= {"__meta": "{}", "computedByTheProvider": ENVELOPE, "region": "somewhere"}
        item["inputs"] = with_defaults(mangled(item["inputs"], False, shuffle))
    return state


def _is_unpredictable(type_: str) -> bool:
    return type_ == "aws:kms/key:Key" or type_.startswith("pulumi:providers:")


def replaced(value: Any, names: Mapping[str, str]) -> Any:
    """Every placeholder replaced, inside JSON strings too."""
    text = json.dumps(value)
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    return json.loads(text)


def with_defaults(value: Any) -> Any:
    if isinstance(value, list):
        return [with_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    below = {key: with_defaults(item) for key, item in value.items()}
    return {"__defaults": ["filledIn"], "filledIn": "by the provider", **below}


def mangled(value: Any, canonical: bool, shuffle: random.Random) -> Any:
    """Maps with keys of the server's own, policies reordered, quantities as the API server writes them."""
    if isinstance(value, list):
        return [mangled(item, canonical, shuffle) for item in value]
    if isinstance(value, dict):
        below = {key: mangled(item, canonical, shuffle) for key, item in value.items()}
        return below | ({"addedByTheServer": "x"} if canonical else {})
    if isinstance(value, str) and value.startswith('{"'):
        return json.dumps(reordered(json.loads(value), shuffle))
    if canonical:
        return {"1024Mi": "1Gi", "1": "1000m", "2": "2000m", "1Gi": "1024Mi", "12Gi": "12288Mi"}.get(value, value)
    return value


def reordered(policy: Any, shuffle: random.Random) -> Any:
    if isinstance(policy, dict):
        keys = list(policy)
        shuffle.shuffle(keys)
        return {key: reordered(policy[key], shuffle) for key in keys}
    if isinstance(policy, list):
        items = [reordered(item, shuffle) for item in policy]
        shuffle.shuffle(items)
        return items[0] if len(items) == 1 else items
    return policy


def findings(stack: str, state: State) -> list[Finding]:
    return compare(recording(stack), read_export(json.dumps(state), stack))


def told(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.kind.value, finding.urn.split("::")[-1], finding.path) for finding in found]


def piped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str | bytes, *arguments: str
) -> Outcome:
    """``… | ladder compare``"""
    content = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))
    return run_ladder(capsys, "compare", *arguments)


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_recording_says_is_what_it_says(stack: str) -> None:
    assert findings(stack, exported(stack)) == []


@pytest.mark.parametrize("stack", STACKS)
def test_what_only_a_provider_knows_is_no_difference(stack: str) -> None:
    state = realistic(stack)
    keys = [item for item in resources(state) if item["type"] == "aws:kms/key:Key"]
    assert keys
    assert not {item["id"] for item in keys} & {item.get("id") for item in resources(exported(stack))}
    assert told(findings(stack, state)) == []


def test_a_state_after_the_first_export_of_a_newer_cli_is_read() -> None:
    assert findings("dev", realistic("dev") | {"version": 4, "features": ["hooks"]}) == []


def _remove(state: State) -> None:
    item = one(state, "aws:s3/bucketPolicy:BucketPolicy", "uploads")
    resources(state).remove(item)


def _awaits_replacement(state: State) -> None:
    one(state, "aws:s3/bucketPolicy:BucketPolicy", "uploads")["pendingReplacement"] = True


def _add(state: State) -> None:
    extra = copy.deepcopy(one(state, "aws:iam/role:Role", "web"))
    extra["urn"] = extra["urn"].removesuffix("web") + "forgotten"
    resources(state).append(extra)


def _pending_delete(state: State) -> None:
    old = copy.deepcopy(one(state, "aws:iam/role:Role", "web"))
    resources(state).append({**old, "delete": True})


def _input(state: State) -> None:
    role = one(state, "aws:iam/role:Role", "web")
    role["inputs"]["maxSessionDuration"] = role["outputs"]["maxSessionDuration"] = 43200


def _input_removed(state: State) -> None:
    del one(state, "aws:iam/role:Role", "web")["inputs"]["description"]


def _input_added(state: State) -> None:
    one(state, "aws:iam/role:Role", "web")["inputs"]["permissionsBoundary"] = "arn:aws:iam::aws:policy/ReadOnly"


def _policy(state: State) -> None:
    item = one(state, "aws:kms/key:Key", "data")
    for properties in (item["inputs"], item["outputs"]):
        policy = json.loads(properties["policy"])
        policy["Statement"].remove(min(policy["Statement"], key=lambda statement: str(statement["Sid"])))
        properties["policy"] = json.dumps(policy)


def _output(state: State) -> None:
    one(state, "aws:iam/role:Role", "web")["outputs"]["tags"]["ladder:owner"] = "somebody"


def _output_of_a_policy(state: State) -> None:
    item = one(state, "aws:s3/bucketPolicy:BucketPolicy", "uploads")
    policy = json.loads(item["outputs"]["policy"])
    policy["Statement"].append({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"})
    item["outputs"]["policy"] = json.dumps(policy)


def _output_of_the_cluster(state: State) -> None:
    one(state, "kubernetes:core/v1:ResourceQuota", "services-quota")["outputs"]["spec"]["hard"]["pods"] = "999"


def _unprotected(state: State) -> None:
    one(state, "aws:s3/bucket:Bucket", "uploads")["protect"] = False


def _not_retained(state: State) -> None:
    del one(state, "aws:s3/bucket:Bucket", "uploads")["retainOnDelete"]


def _moved(state: State) -> None:
    one(state, "aws:iam/role:Role", "web")["parent"] = one(state, "aws:iam/role:Role", "api")["parent"]


def _other_provider(state: State) -> None:
    item = one(state, "aws:iam/role:Role", "web")
    item["provider"] = "urn:pulumi:prod::ladder::pulumi:providers:aws::default::" + str(uuid.uuid4())


def _role_arn(state: State) -> None:
    item = one(state, "aws:iam/role:Role", "web")
    item["outputs"]["arn"] = "arn:aws:iam::999999999999:role/other/ladder-prod-web"


def _bucket_id(state: State) -> None:
    one(state, "aws:s3/bucket:Bucket", "uploads")["id"] = "another-bucket"


def _key_account(state: State) -> None:
    """A key in another account: everything that names it agrees, and yet the account is not the recorded one."""
    item = one(state, "aws:kms/key:Key", "data")
    arn = item["outputs"]["arn"]
    other = replaced(state, {arn: arn.replace(arn.split(":")[4], "999999999999")})
    state.clear()
    state.update(other)


def _stack_output(state: State) -> None:
    (stack,) = [item for item in resources(state) if item["type"] == "pulumi:pulumi:Stack"]
    stack["outputs"]["environment"] = "another"


def _provider_account(state: State) -> None:
    one(state, "pulumi:providers:aws", "aws")["inputs"]["allowedAccountIds"] = '["999999999999"]'


PLANTED: dict[str, tuple[Callable[[State], None], tuple[str, str, str]]] = {
    "a resource that is not deployed": (_remove, ("undeployed", "uploads", "")),
    "a resource that awaits its replacement": (_awaits_replacement, ("undeployed", "uploads", "")),
    "a resource that is not declared": (_add, ("undeclared", "forgotten", "")),
    "a resource that waits for deletion": (_pending_delete, ("undeclared", "web", "delete")),
    "an input that was deployed otherwise": (_input, ("changed", "web", "inputs.maxSessionDuration")),
    "an input that was not deployed": (_input_removed, ("changed", "web", "inputs.description")),
    "an input that is not declared": (_input_added, ("changed", "web", "inputs.permissionsBoundary")),
    "a policy without a statement": (_policy, ("changed", "data", "inputs.policy")),
    "a tag changed by hand": (_output, ("out-of-band", "web", "tags.ladder:owner")),
    "a policy widened by hand": (_output_of_a_policy, ("out-of-band", "uploads", "policy")),
    "a quota raised by hand": (_output_of_the_cluster, ("out-of-band", "services-quota", "spec.hard.pods")),
    "a bucket that lost its protection": (_unprotected, ("changed", "uploads", "protect")),
    "a bucket that would be deleted": (_not_retained, ("changed", "uploads", "retainOnDelete")),
    "a resource below another parent": (_moved, ("changed", "web", "parent")),
    "a resource of another provider": (_other_provider, ("changed", "web", "provider")),
    "an ARN the recorder predicts wrongly": (_role_arn, ("mispredicted", "web", "arn")),
    "an id the recorder predicts wrongly": (_bucket_id, ("mispredicted", "uploads", "id")),
    "a key in another account": (_key_account, ("mispredicted", "data", "arn")),
    "a stack output that was not deployed": (_stack_output, ("changed", "ladder-prod", "outputs.environment")),
    "a provider of another account": (_provider_account, ("changed", "aws", "inputs.allowedAccountIds")),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("made", [exported, realistic])
def test_a_difference_is_found_by_its_kind_and_path(name: str, made: Callable[[str], State]) -> None:
    plant, expected = PLANTED[name]
    state = made("prod")
    plant(state)
    assert told(findings("prod", state)) == [expected]


def test_every_difference_is_in_one_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    state = realistic("prod")
    plants = (_add, _pending_delete, _output_of_the_cluster, _unprotected, _bucket_id, _policy)
    for plant in plants:
        plant(state)
    outcome = piped(capsys, monkeypatch, json.dumps(state), "prod", "--format", "json")
    assert outcome.code == 1
    assert {item["kind"] for item in json.loads(outcome.out)["findings"]} == {
        *("undeclared", "out-of-band", "changed", "mispredicted")
    }
    assert json.loads(outcome.err)["error"].startswith(f"{len(plants)} differences")


def test_the_command_says_that_nothing_differs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = piped(capsys, monkeypatch, json.dumps(realistic("dev")), "dev")
    assert (outcome.code, outcome.err) == (0, "")
    assert "is what it declares" in outcome.out
    as_json = piped(capsys, monkeypatch, json.dumps(realistic("dev")), "dev", "--format", "json")
    assert json.loads(as_json.out) == {"findings": []}


def test_the_command_says_what_differs_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = realistic("prod")
    _output_of_the_cluster(state)
    _pending_delete(state)
    outcome = piped(capsys, monkeypatch, json.dumps(state), "prod")
    assert outcome.code == 1
    assert 'spec.hard.pods: declared "240", is "999"' in outcome.out
    assert "delete: declared false, is true" in outcome.out
    assert "2 differences" in outcome.err


def test_an_account_number_is_not_a_quantity() -> None:
    """Numbers that are equal to Kubernetes are different text to AWS."""
    state = realistic("prod")
    one(state, "aws:s3/bucket:Bucket", "uploads")["outputs"]["tags"] |= {"ladder:owner": "1e3"}
    assert told(findings("prod", state)) == [("out-of-band", "uploads", "tags.ladder:owner")]


def test_a_change_deployed_from_elsewhere_is_one_finding_and_not_also_out_of_band() -> None:
    state = realistic("prod")
    quota = one(state, "kubernetes:core/v1:ResourceQuota", "services-quota")
    for properties in (quota["inputs"], quota["outputs"]):
        properties["spec"]["hard"]["pods"] = "241"
    assert told(findings("prod", state)) == [("changed", "services-quota", "inputs.spec.hard.pods")]


SEALED = Recording(
    project="ladder",
    stack="dev",
    resources=(
        Resource(
            urn="urn:pulumi:dev::ladder::x:y:Z::a",
            type="x:y:Z",
            name="a",
            custom=True,
            id="a",
            inputs={"plain": "p", "sealed": "[secret]", "many": ["[secret]", "b"]},
            outputs={"plain": "p", "sealed": "[secret]", "many": ["[secret]", "b"]},
        ),
    ),
)


def _sealed(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[Finding]:
    item = {"urn": SEALED.resources[0].urn, "type": "x:y:Z", "custom": True, "id": "a"}
    state = {"version": 3, "deployment": {"resources": [{**item, "inputs": inputs, "outputs": outputs}]}}
    return compare(SEALED, read_export(json.dumps(state), SEALED.stack))


@pytest.mark.parametrize("envelope", [ENVELOPE, PLAINTEXT])
def test_a_sealed_secret_is_not_opened_and_no_difference(envelope: Mapping[str, str]) -> None:
    values = {"plain": "p", "sealed": envelope, "many": [envelope, "b"]}
    assert _sealed(values, values) == []
    assert _sealed(values, {**values, "sealed": SECRET, "plain": envelope}) == []


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"plain": "p", "sealed": SECRET, "many": [ENVELOPE, "b"]}, {}),
        ({"plain": "p", "sealed": {"a": SECRET}, "many": [SECRET]}, {}),
        ({"plain": PLAINTEXT, "sealed": ENVELOPE, "many": [PLAINTEXT, "b"]}, {}),
        ({"plain": "p", "sealed": ENVELOPE, "many": [ENVELOPE, "b"]}, {"many": [SECRET]}),
        ({"plain": "p", "sealed": ENVELOPE, "many": [ENVELOPE, "b"]}, {"many": SECRET, "plain": "q"}),
    ],
)
def test_a_secret_is_found_to_differ_and_never_shown(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    found = _sealed(inputs, outputs)
    assert found
    assert SECRET not in repr(found)


def test_no_planted_secret_reaches_the_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = realistic("prod")
    for item in resources(state):
        if item["custom"]:
            item["outputs"]["token"] = PLAINTEXT
            item["inputs"]["token"] = PLAINTEXT
    for format_ in ("text", "json"):
        outcome = piped(capsys, monkeypatch, json.dumps(state), "prod", "--format", format_)
        assert outcome.code == 1
        assert "inputs.token" in outcome.out
        assert SECRET not in outcome.out + outcome.err


BAD_INPUT: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "nothing"),
    "blank": (" \n", "nothing"),
    "not JSON": (f"error: {SECRET}", "something else"),
    "half of it": ('{"version": 3, "deployment": {"resources": [{', "something else"),
    "not text": (b"\xff\xfe\x00{", "something else"),
    "a list": (f'["{SECRET}"]', "a list"),
    "a word": ('"version"', "something else"),
    "null": ("null", "something else"),
    "no deployment": (f'{{"version": 3, "password": "{SECRET}"}}', "an object without"),
    "an empty deployment as text": ('{"version": 3, "deployment": "x"}', "an object without"),
    "resources that are none": ('{"version": 3, "deployment": {"resources": {"a": 1}}}', "an object without"),
    "a resource that is none": ('{"version": 3, "deployment": {"resources": [1]}}', "an object without"),
    "a resource without a URN": ('{"version": 3, "deployment": {"resources": [{}]}}', "an object without"),
    "100,000 brackets": ("[" * 100_000, "a list"),
    "version 2": ('{"version": 2, "deployment": {"resources": []}}', "2"),
    "no version": ('{"deployment": {}}', "null"),
    "a URN of no stack": ('{"version": 3, "deployment": {"resources": [{"urn": "x"}]}}', "x"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_standard_input_is_refused_and_not_repeated(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, found = BAD_INPUT[name]
    outcome = piped(capsys, monkeypatch, text, "dev", "--format", "json")
    assert (outcome.code, outcome.out) == (2, "")
    (problem,) = json.loads(outcome.err)["problems"]
    assert problem["file"] == "standard input"
    assert problem["found"].startswith(found)
    assert problem["accepted"]
    assert SECRET not in outcome.err


def test_the_state_of_another_stack_or_project_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other_project = json.dumps(exported("dev")).replace("urn:pulumi:dev::ladder::", "urn:pulumi:dev::other::")
    for text, found in ((json.dumps(exported("prod")), "prod::ladder"), (other_project, "dev::other")):
        outcome = piped(capsys, monkeypatch, text, "dev")
        assert (outcome.code, outcome.out) == (2, "")
        assert f"found: {found}\n    accepted: dev::ladder" in outcome.err


def test_an_empty_state_is_a_stack_of_which_nothing_is_deployed() -> None:
    for deployment in ({}, {"resources": None}, {"resources": []}):
        found = findings("dev", {"version": 3, "deployment": deployment})
        assert {finding.kind for finding in found} == {Kind.UNDEPLOYED}
        assert len(found) == len(recording("dev").resources)
