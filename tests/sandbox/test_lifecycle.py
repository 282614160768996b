"""What starting, stopping, killing and losing a sandbox leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from ladder.errors import CheckFailed
from sandbox.connection import NotRunningError, Sandbox, connect, start, status, stop
from sandbox.paths import StateDir
from sandbox.progress import Silent
from sandbox.servers import Plan, server_context
from tests.sandbox.processes import listening, on_linux, processes_of, until

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
ACCOUNT = "210987654321"
REGION = "eu-central-1"
SERVERS = ("etcd", "moto", "kube-apiserver", "kube-controller-manager")


def api(sandbox: Sandbox) -> httpx.Client:
    context = server_context(sandbox.ca.parent)
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    return httpx.Client(base_url=sandbox.api_server, verify=context, headers=headers, trust_env=False)


def aws(sandbox: Sandbox, service: str, account: str = ACCOUNT) -> Any:
    pair = sandbox.credentials(account)
    return boto3.client(
        service,
        endpoint_url=sandbox.aws_endpoint,
        region_name=REGION,
        aws_access_key_id=pair.access_key_id,
        aws_secret_access_key=pair.secret_access_key,
    )


def starter(state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from ladder.cli import main; main()", "sandbox", "start"]
    environment = {**os.environ, "LADDER_SANDBOX_DIR": str(state)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state that was never started; whatever the test does to it, it is stopped at the end."""
    yield tmp_path / "state"
    stop(tmp_path / "state")


@pytest.fixture(scope="module")
def kept_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("own") / "state"
    yield path
    stop(path)


@pytest.fixture
def own(kept_state: Path) -> Sandbox:
    """A running sandbox that a test may break: the next one starts it again."""
    return start(kept_state, progress=Silent())


@pytest.fixture
def contents(own: Sandbox) -> Callable[[Sandbox], dict[str, Any]]:
    """Puts a namespace, a key and a versioned object into the sandbox; answers what of them a sandbox has."""
    name = f"test-{uuid4().hex[:12]}"
    with api(own) as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    kms, s3 = aws(own, "kms"), aws(own, "s3")
    key = kms.create_key(Description=name)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    sealed = kms.encrypt(KeyId=key, Plaintext=b"opened again")["CiphertextBlob"]
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        s3.put_object(Bucket=name, Key="a key/with ünusual+signs", Body=body, Metadata={"under_score": "x"})
    user = aws(own, "iam").create_user(UserName=name)["User"]["UserId"]

    def found(sandbox: Sandbox) -> dict[str, Any]:
        kms, s3 = aws(sandbox, "kms"), aws(sandbox, "s3")
        versions = s3.list_object_versions(Bucket=name)["Versions"]
        with api(sandbox) as client:
            namespace = client.get(f"/api/v1/namespaces/{name}").raise_for_status().json()["metadata"]["uid"]
        return {
            "namespace": namespace,
            "key": kms.describe_key(KeyId=f"alias/{name}")["KeyMetadata"],
            "decrypted": kms.decrypt(CiphertextBlob=sealed)["Plaintext"],
            "bucket": [each for each in s3.list_buckets()["Buckets"] if each["Name"] == name],
            "versions": [(each["VersionId"], each["ETag"], each["LastModified"]) for each in versions],
            "object": s3.get_object(Bucket=name, Key="a key/with ünusual+signs")["Body"].read(),
            "user": aws(sandbox, "iam").get_user(UserName=name)["User"]["UserId"],
        }

    assert found(own)["key"]["KeyId"] == key
    assert found(own)["user"] == user
    return found


def test_stop_then_start_finds_the_same_cluster_and_cloud(
    own: Sandbox, contents: Callable[[Sandbox], dict[str, Any]]
) -> None:
    before = contents(own)
    assert stop(own.state)
    assert processes_of(own.state) == []
    again = start(own.state, progress=Silent())
    assert again == own
    assert contents(again) == before


@on_linux
def test_killed_supervisor_leaves_no_process_and_loses_nothing(
    own: Sandbox, contents: Callable[[Sandbox], dict[str, Any]]
) -> None:
    before = contents(own)
    os.kill(status(own.state).supervisor, signal.SIGKILL)
    until(lambda: processes_of(own.state) == [] and not status(own.state).running)
    assert status(own.state).reason == "its supervisor was killed"
    assert contents(start(own.state, progress=Silent())) == before


@pytest.mark.parametrize("server", SERVERS)
def test_dead_server_ends_the_others_and_is_reported(own: Sandbox, server: str) -> None:
    victim = next(each for each in status(own.state).servers if each.name == server)
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not status(own.state).running and processes_of(own.state) == [])
    assert f"{server} was killed by signal 9" in status(own.state).reason
    with pytest.raises(NotRunningError, match=f"(?s)ladder sandbox start.*{server} was killed"):
        connect(own.state)


def test_stop_says_whether_there_was_anything_to_stop(own: Sandbox, tmp_path: Path) -> None:
    assert stop(own.state)
    assert not stop(own.state)
    assert not stop(tmp_path / "never-started")
    assert not (tmp_path / "never-started").exists()
    with pytest.raises(NotRunningError, match="ladder sandbox start"):
        connect(own.state)


@pytest.mark.parametrize("step", ["starting etcd", "starting kube-apiserver", "installing"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_start_that_ends_early_leaves_no_process(state: Path, step: str, how: signal.Signals) -> None:
    process = starter(state)
    assert process.stderr is not None
    assert any(step in line for line in process.stderr), "the step was never reached"
    assert processes_of(state)
    process.send_signal(how)
    _, errors = process.communicate(timeout=40)
    if how == signal.SIGINT:
        assert process.returncode == 128 + signal.SIGINT
        assert "Traceback" not in errors
        assert processes_of(state) == []
    until(lambda: processes_of(state) == [] and not status(state).running)


def test_concurrent_starts_give_one_sandbox(state: Path) -> None:
    starters = [starter(state) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in starters]
    assert [process.returncode for process in starters] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    running = processes_of(state)
    assert len(running) == 1 + len(SERVERS)
    assert len([each for each in running if "sandbox.supervisor" in each.cmdline()]) == 1


def test_taken_port_is_replaced_and_the_kubeconfig_rewritten(own: Sandbox) -> None:
    stop(own.state)
    ports = Plan.of_json(StateDir(own.state).plan.read_text()).ports
    with socket.create_server(("127.0.0.1", ports["kube-apiserver"])):
        moved = start(own.state, progress=Silent())
        assert moved.api_server != own.api_server
        assert moved.api_server in moved.kubeconfig.read_text()
        assert moved.cluster_uid == own.cluster_uid
        assert moved.aws_endpoint == own.aws_endpoint


def test_kubeconfig_of_another_cluster_is_refused(own: Sandbox, sandbox: Sandbox) -> None:
    kept = own.kubeconfig.read_text()
    try:
        shutil.copy(sandbox.kubeconfig, own.kubeconfig)
        with pytest.raises(CheckFailed, match="another cluster than the one this sandbox started"):
            connect(own.state)
        own.kubeconfig.write_text(kept.replace(own.api_server, sandbox.api_server))
        with pytest.raises(CheckFailed, match="does not answer as the sandbox's API server"):
            connect(own.state)
    finally:
        own.kubeconfig.write_text(kept)
    assert connect(own.state) == own


@pytest.mark.parametrize("server", ["https://192.0.2.1:6443", "https://cluster.example.com:6443", "https://0.0.0.0:1"])
def test_kubeconfig_that_leads_off_this_machine_is_refused(own: Sandbox, server: str) -> None:
    kept = own.kubeconfig.read_text()
    try:
        own.kubeconfig.write_text(kept.replace(own.api_server, server))
        with pytest.raises(CheckFailed, match="only ever reached on loopback"):
            connect(own.state)
    finally:
        own.kubeconfig.write_text(kept)


@pytest.mark.parametrize("content", ["", "{", "[]", "clusters: 3", "\x00"])
def test_broken_kubeconfig_is_told_without_a_traceback(own: Sandbox, content: str) -> None:
    kept = own.kubeconfig.read_text()
    try:
        own.kubeconfig.write_text(content)
        with pytest.raises(CheckFailed, match="not the kubeconfig that the sandbox wrote"):
            connect(own.state)
    finally:
        own.kubeconfig.write_text(kept)


def test_only_loopback_is_listened_on(own: Sandbox) -> None:
    addresses = listening(own.state)
    assert len(addresses) == len(Plan.of_json(StateDir(own.state).plan.read_text()).ports)
    assert set(addresses) == {"127.0.0.1"}


def test_nobody_else_can_read_the_state(own: Sandbox) -> None:
    assert own.state.stat().st_mode & 0o077 == 0
    top = [path for path in own.state.iterdir() if path.is_file()]
    assert [path.name for path in top if path.stat().st_mode & 0o077] == []
    assert own.token not in repr(own)


def test_environment_of_children_is_sealed(own: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ambient = (
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_S3",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PULUMI_STACK",
        "KUBERNETES_SERVICE_HOST",
        "KUBE_CONFIG_PATH",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_CLIENT_SECRET",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "PYTHONPATH",
    )
    for name in (*ambient, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "PULUMI_BACKEND_URL"):
        monkeypatch.setenv(name, "ambient")
    sealed = own.environment(ACCOUNT)
    assert set(ambient) & set(sealed) == set()
    assert "ambient" not in sealed.values()
    assert sealed["PATH"] == os.environ["PATH"]
    assert sealed["KUBECONFIG"] == str(own.kubeconfig)
    assert sealed["AWS_EC2_METADATA_DISABLED"] == "true"
    assert Path(sealed["AWS_CONFIG_FILE"]).read_bytes() == b""
    assert sealed["PULUMI_BACKEND_URL"].startswith(f"file://{own.state}")
    assert sealed["AWS_ACCESS_KEY_ID"] != own.environment("210987654322")["AWS_ACCESS_KEY_ID"]
    with pytest.raises(ValueError, match="12-digit"):
        own.environment("prod")
