"""What the running servers promise: admission, identities, who may talk to them, and the AWS stand-in's memory."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from sandbox.cloud import Entry, Journal
from sandbox.connection import Sandbox, status
from sandbox.credentials import AwsCredentials, account_of, derive
from sandbox.paths import StateDir, write_private
from sandbox.servers import PORTS, Plan, choose_ports, client_context, get, is_free, server_context

REGION = "eu-north-1"
ACCOUNT = "135791357913"
running = pytest.mark.servers


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def admin(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    context = server_context(sandbox.ca.parent)
    with httpx.Client(base_url=sandbox.api_server, verify=context, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def namespace(admin: httpx.Client) -> Iterator[str]:
    """A namespace that enforces the restricted Pod Security Standard."""
    name = f"test-{uuid4().hex[:12]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    admin.post("/api/v1/namespaces", json={"metadata": {"name": name, "labels": labels}}).raise_for_status()
    yield name
    admin.delete(f"/api/v1/namespaces/{name}").raise_for_status()


def pod(image: str = "registry.example.com/app", *, privileged: bool = False, **resources: Any) -> dict[str, Any]:
    security: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if privileged:
        security = {"privileged": True}
    container = {"name": "app", "image": image, "securityContext": security, "resources": resources}
    return {"metadata": {"name": f"pod-{uuid4().hex[:8]}"}, "spec": {"containers": [container]}}


def client_of(sandbox: Sandbox, service: str, pair: AwsCredentials | None = None) -> Any:
    pair = pair or sandbox.credentials(ACCOUNT)
    return boto3.client(
        service,
        endpoint_url=sandbox.aws_endpoint,
        region_name=REGION,
        aws_access_key_id=pair.access_key_id,
        aws_secret_access_key=pair.secret_access_key,
    )


@running
def test_pod_gets_its_service_account_and_a_privileged_one_is_refused(admin: httpx.Client, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    until(lambda: admin.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
    admitted = admin.post(pods, json=pod())
    assert admitted.status_code == 201, admitted.text
    assert admitted.json()["spec"]["serviceAccountName"] == "default"
    refused = admin.post(pods, json=pod(privileged=True))
    assert refused.status_code == 403
    assert 'violates PodSecurity "restricted' in refused.json()["message"]


@running
def test_quota_is_enforced_and_accounted(admin: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    until(lambda: admin.get(f"{base}/serviceaccounts/default").is_success)
    quota = {"metadata": {"name": "quota"}, "spec": {"hard": {"pods": "1"}}}
    admin.post(f"{base}/resourcequotas", json=quota).raise_for_status()
    limits = {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}
    admin.post(f"{base}/limitranges", json=limits).raise_for_status()
    until(lambda: admin.get(f"{base}/resourcequotas/quota").json().get("status", {}).get("used") == {"pods": "0"})
    greedy = admin.post(f"{base}/pods", json=pod(limits={"cpu": "2"}))
    assert (greedy.status_code, "maximum cpu usage per Container is 1" in greedy.text) == (403, True)
    assert admin.post(f"{base}/pods", json=pod(limits={"cpu": "1"})).status_code == 201
    second = admin.post(f"{base}/pods", json=pod(limits={"cpu": "1"}))
    assert (second.status_code, "exceeded quota: quota" in second.text) == (403, True)


@running
def test_validating_admission_policy_is_enforced(admin: httpx.Client, namespace: str) -> None:
    base = "/apis/admissionregistration.k8s.io/v1"
    policies, bindings = f"{base}/validatingadmissionpolicies", f"{base}/validatingadmissionpolicybindings"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.metadata.name != 'forbidden'", "message": "not this one"}],
    }
    chosen = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": chosen}
    admin.post(policies, json={"metadata": {"name": namespace}, "spec": spec}).raise_for_status()
    try:
        admin.post(bindings, json={"metadata": {"name": namespace}, "spec": binding}).raise_for_status()
        path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"
        answers: list[str] = []

        def refused() -> bool:
            answers.append(admin.post(path, json={"metadata": {"name": "forbidden"}}).text)
            return "not this one" in answers[-1]

        until(refused)
        assert admin.post(path, json={"metadata": {"name": "welcome"}}).status_code == 201
    finally:
        admin.delete(f"{policies}/{namespace}")
        admin.delete(f"{bindings}/{namespace}")


@running
def test_service_account_token_works_and_may_nothing_by_itself(
    sandbox: Sandbox, admin: httpx.Client, namespace: str
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    until(lambda: admin.get(f"{accounts}/default").is_success)
    request = {"spec": {"audiences": [], "expirationSeconds": 600}}
    token = admin.post(f"{accounts}/default/token", json=request).raise_for_status().json()["status"]["token"]
    context = server_context(sandbox.ca.parent)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=sandbox.api_server, verify=context, headers=headers, trust_env=False) as account:
        review = account.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}).raise_for_status().json()
        assert review["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:default"
        assert account.get(f"/api/v1/namespaces/{namespace}/secrets").status_code == 403


@running
def test_deleted_namespace_goes_away_with_what_is_in_it(admin: httpx.Client) -> None:
    name = f"test-{uuid4().hex[:12]}"
    admin.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    admin.post(f"/api/v1/namespaces/{name}/configmaps", json={"metadata": {"name": "content"}}).raise_for_status()
    admin.delete(f"/api/v1/namespaces/{name}").raise_for_status()
    until(lambda: admin.get(f"/api/v1/namespaces/{name}").status_code == 404)


@running
@pytest.mark.parametrize(
    ("group", "kinds"),
    [
        ("argoproj.io/v1alpha1", {"Application", "ApplicationSet", "AppProject", "Rollout", "AnalysisTemplate"}),
        ("argoproj.io/v1alpha1", {"AnalysisRun", "ClusterAnalysisTemplate", "Experiment"}),
        ("external-secrets.io/v1", {"SecretStore", "ClusterSecretStore", "ExternalSecret"}),
    ],
)
def test_custom_kinds_are_served(admin: httpx.Client, group: str, kinds: set[str]) -> None:
    served = admin.get(f"/apis/{group}").raise_for_status().json()["resources"]
    assert kinds <= {resource["kind"] for resource in served}


@running
def test_custom_resource_is_validated_by_its_real_schema(admin: httpx.Client, namespace: str) -> None:
    store = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "store"},
        "spec": {"provider": {"aws": {"service": "SecretsManager", "region": REGION}}},
    }
    path = f"/apis/external-secrets.io/v1/namespaces/{namespace}/secretstores?dryRun=All"
    assert admin.post(path, json=store).status_code == 201
    store["spec"] = {"provider": {"aws": {"service": "Wrong", "region": REGION}}}
    assert admin.post(path, json=store).status_code == 422


@running
def test_strangers_are_turned_away(sandbox: Sandbox) -> None:
    plan = Plan.of_json(StateDir(sandbox.state).plan.read_text())
    pki = sandbox.ca.parent
    api, etcd = plan.ports["kube-apiserver"], plan.ports["etcd"]
    assert get(api, "/version", server_context(pki))[0] == http.client.UNAUTHORIZED
    assert get(api, "/version", server_context(pki), {"Authorization": "Bearer wrong"})[0] == http.client.UNAUTHORIZED
    assert get(api, "/readyz", ssl.create_default_context(), {"Authorization": f"Bearer {sandbox.token}"})[0] == 0
    assert get(etcd, "/health", client_context(pki, "etcd-client"))[0] == http.client.OK
    assert get(etcd, "/health", server_context(pki))[0] == 0
    assert get(etcd, "/health", None)[0] != http.client.OK


@running
def test_versions_are_the_pinned_ones(sandbox: Sandbox) -> None:
    versions = {server.name: server.version for server in status(sandbox.state).servers}
    assert versions["kube-apiserver"].startswith("1.")
    assert versions["etcd"].startswith("3.")
    assert versions["kube-controller-manager"] == versions["kube-apiserver"]
    assert versions["moto"]


@running
@pytest.mark.parametrize(
    ("service", "call"),
    [("sts", "get_caller_identity"), ("s3", "list_buckets"), ("kms", "list_keys"), ("iam", "list_roles")],
)
@pytest.mark.parametrize(
    ("access_key", "secret_key", "reason"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "was not issued by this sandbox"),
        (None, "not-the-secret", "the signature does not match"),
    ],
)
def test_foreign_aws_keys_are_refused(
    sandbox: Sandbox, service: str, call: str, access_key: str | None, secret_key: str, reason: str
) -> None:
    pair = AwsCredentials(access_key or sandbox.credentials(ACCOUNT).access_key_id, secret_key)
    with pytest.raises(ClientError, match=reason) as refused:
        getattr(client_of(sandbox, service, pair), call)()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@running
@pytest.mark.parametrize("path", ["/", "/bucket/key", "/moto-api/data.json", "/latest/meta-data/iam/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unsigned_requests_are_refused(sandbox: Sandbox, method: str, path: str) -> None:
    with httpx.Client(base_url=sandbox.aws_endpoint, trust_env=False) as anybody:
        assert anybody.request(method, path).status_code == 403


@running
def test_what_moto_has_beyond_the_four_services_is_closed(sandbox: Sandbox) -> None:
    with pytest.raises(ClientError, match="the sandbox has no dynamodb, only iam, kms, s3, sts"):
        client_of(sandbox, "dynamodb").list_tables()
    with pytest.raises(ClientError, match="symmetric KMS keys only"):
        client_of(sandbox, "kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")


@running
def test_each_account_is_its_own(sandbox: Sandbox) -> None:
    other = sandbox.credentials("246802468024")
    assert client_of(sandbox, "sts").get_caller_identity()["Account"] == ACCOUNT
    assert client_of(sandbox, "sts", other).get_caller_identity()["Account"] == "246802468024"
    name = f"test-{uuid4().hex[:12]}"
    client_of(sandbox, "iam").create_user(UserName=name)
    with pytest.raises(ClientError, match="NoSuchEntity"):
        client_of(sandbox, "iam", other).get_user(UserName=name)
    with httpx.Client(trust_env=False) as anybody:
        forged = anybody.get(sandbox.aws_endpoint, headers={"x-moto-account-id": ACCOUNT})
    assert forged.status_code == 403


@running
def test_keys_issued_by_the_sandbox_itself_work(sandbox: Sandbox) -> None:
    sts = client_of(sandbox, "sts")
    role = "arn:aws:iam::975319753197:role/there"
    issued = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    pair = AwsCredentials(issued["AccessKeyId"], issued["SecretAccessKey"])
    assert client_of(sandbox, "sts", pair).get_caller_identity()["Account"] == "975319753197"
    iam, name = client_of(sandbox, "iam"), f"test-{uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    pair = AwsCredentials(made["AccessKeyId"], made["SecretAccessKey"])
    assert client_of(sandbox, "sts", pair).get_caller_identity()["Arn"].endswith(f"user/{name}")
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="not issued by this sandbox"):
        client_of(sandbox, "sts", pair).get_caller_identity()


@running
@pytest.mark.parametrize("key", ["plain", "a//b", "with space/ünï+c&d=e?.txt", "~_.-!*'()", "100%25"])
def test_objects_of_any_name_and_size_come_back(sandbox: Sandbox, key: str, tmp_path: Path) -> None:
    s3, bucket = client_of(sandbox, "s3"), f"test-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=key, Body=b"small", Metadata={"under_score": "a  b"}, Tagging="a=b%20c&d=e")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"small"
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"under_score": "a  b"}
    (tmp_path / "large").write_bytes(bytes(9 << 20))
    s3.upload_file(str(tmp_path / "large"), bucket, key)
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 9 << 20
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=key[:3])["Contents"]] == [key]


def test_torn_last_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    entries = [Entry(datetime.now(UTC).isoformat(), str(each), {"PATH_INFO": "/"}, bytes([each])) for each in range(3)]
    journal = Journal(path)
    for entry in entries:
        journal.append(entry)
    whole = path.read_bytes()
    path.write_bytes(whole + entries[0].as_line()[:20])
    again = Journal(path)
    assert list(again.entries()) == entries
    assert path.read_bytes() == whole
    again.append(entries[0])
    assert list(Journal(path).entries()) == [*entries, entries[0]]


def test_credentials_belong_to_one_secret_and_one_account() -> None:
    pair = derive("secret", ACCOUNT)
    assert account_of("secret", pair.access_key_id) == ACCOUNT
    assert account_of("another", pair.access_key_id) is None
    assert account_of("secret", pair.access_key_id.replace(ACCOUNT, "246802468024")) is None
    assert derive("another", ACCOUNT).secret_access_key != pair.secret_access_key
    assert pair.secret_access_key not in repr(pair)


def test_ports_are_kept_while_free_and_never_given_twice() -> None:
    first = choose_ports({})
    assert set(first) == set(PORTS)
    assert len(set(first.values())) == len(PORTS)
    assert all(map(is_free, first.values()))
    assert choose_ports(first) == first


def test_private_files_are_replaced_whole_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, json.dumps([1]))
    write_private(path, json.dumps([2]))
    assert json.loads(path.read_text()) == [2]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
