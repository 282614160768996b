"""What the deployer's tests share: small recordings, a proxy that counts, fails and kills, and looks at live state."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ladder.recording import Recording, Resource
from sandbox.deployer import Change, Target
from sandbox.deployer.aws_api import AwsApi
from sandbox.deployer.kube_api import KubeApi

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass
class Program:
    """Registers resources as a program would; everything registered depends on what came before it."""

    stack: str
    resources: dict[str, Resource] = field(default_factory=dict)

    def add(self, type_: str, name: str, inputs: Mapping[str, Any], **more: Any) -> Resource:
        urn = f"urn:pulumi:{self.stack}::ladder::{type_}::{name}"
        more.setdefault("outputs", inputs)
        more.setdefault("dependencies", ())
        self.resources[name] = Resource(urn=urn, type=type_, name=name, custom=True, inputs=inputs, **more)
        return self.resources[name]

    def object(self, api_version: str, kind: str, name: str, *, namespace: str = "", **body: Any) -> Resource:
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | body.pop("metadata", {})
        needed = self.resources.get(namespace)
        version = api_version if "/" in api_version else f"core/{api_version}"
        options = {key: body.pop(key) for key in ("protect", "retain_on_delete") if key in body}
        inputs = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
        return self.add(
            f"kubernetes:{version}:{kind}", name, inputs, dependencies=(needed.urn,) if needed else (), **options
        )

    def namespace(self, name: str, **more: Any) -> Resource:
        return self.object("v1", "Namespace", name, **more)

    def config(self, name: str, namespace: str, data: Mapping[str, str], **more: Any) -> Resource:
        return self.object("v1", "ConfigMap", name, namespace=namespace, data=data, **more)

    def key(self, name: str, **more: Any) -> Resource:
        options = {one: more.pop(one) for one in ("protect", "retain_on_delete") if one in more}
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*"}]}
        inputs = {"description": name, "policy": json.dumps(policy), "enableKeyRotation": True, "tags": {"env": "t"}}
        ids = {"keyId": f"key-id-of-{name}", "arn": f"arn:aws:kms:eu-west-1:111122223333:key/key-id-of-{name}"}
        return self.add("aws:kms/key:Key", name, inputs | more, id=ids["keyId"], outputs={**inputs, **ids}, **options)

    def bucket(self, name: str, **more: Any) -> Resource:
        options = {one: more.pop(one) for one in ("protect", "retain_on_delete") if one in more}
        return self.add("aws:s3/bucket:Bucket", name, {"bucket": name, "tags": {"env": "t"}} | more, id=name, **options)

    def part(self, kind: str, bucket: Resource, inputs: Mapping[str, Any], **more: Any) -> Resource:
        token = f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}"
        name = bucket.inputs["bucket"]
        return self.add(
            token, f"{name}-{kind}", {"bucket": name, **inputs}, id=name, dependencies=(bucket.urn,), **more
        )

    def recording(self) -> Recording:
        rows = sorted(self.resources.values(), key=lambda one: one.urn)
        return Recording(project="ladder", stack=self.stack, resources=tuple(rows))

    def change(self, name: str, **inputs: Any) -> None:
        resource = self.resources[name]
        self.resources[name] = replace(resource, inputs={**resource.inputs, **inputs})


def every_type(stack: str) -> Program:
    """One resource of each kind that the deployer treats in its own way."""
    program = Program(stack)
    space = f"{stack}-services"
    program.namespace(space, metadata={"labels": {"pod-security.kubernetes.io/enforce": "restricted"}})
    program.object("v1", "ResourceQuota", "quota", namespace=space, spec={"hard": {"pods": "5", "limits.cpu": "4"}})
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    program.object("networking.k8s.io/v1", "NetworkPolicy", "default-deny", namespace=space, spec=deny)
    program.object("v1", "Service", "web", namespace=space, spec={"ports": [{"port": 80}], "selector": {"app": "web"}})
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    program.object("rbac.authorization.k8s.io/v1", "ClusterRole", f"{stack}-reader", rules=rules)
    project = {"sourceRepos": ["https://example.com/repo"], "destinations": [{"server": "*", "namespace": space}]}
    program.object("argoproj.io/v1alpha1", "AppProject", f"{stack}-project", namespace=space, spec=project)
    issuer = program.add(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "issuer",
        {
            "url": f"https://{stack}.example.com/id",
            "clientIdLists": ["sts.amazonaws.com"],
            "thumbprintLists": ["a" * 40],
        },
    )
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity"}]}
    name = f"{stack}-web"
    role = program.add(
        "aws:iam/role:Role",
        "role",
        {"name": name, "assumeRolePolicy": json.dumps(trust), "description": "web", "tags": {"env": "t"}},
        id=name,
        dependencies=(issuer.urn,),
    )
    key = program.key("data-key")
    grant = {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": key.outputs["arn"]}
    program.add(
        "aws:iam/rolePolicy:RolePolicy",
        "grant",
        {"name": "data", "role": name, "policy": json.dumps({"Version": "2012-10-17", "Statement": [grant]})},
        dependencies=(role.urn, key.urn),
    )
    alias = {"name": f"alias/{stack}-data", "targetKeyId": key.outputs["keyId"]}
    program.add("aws:kms/alias:Alias", "alias", alias, dependencies=(key.urn,))
    bucket = program.bucket(f"{stack}-data")
    program.part("BucketVersioning", bucket, {"versioningConfiguration": {"status": "Enabled"}})
    sse = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key.outputs["arn"]}
    program.part(
        "BucketServerSideEncryptionConfiguration",
        bucket,
        {"rules": [{"applyServerSideEncryptionByDefault": sse, "bucketKeyEnabled": True}]},
        property_dependencies={"rules": (key.urn,)},
    )
    program.part("BucketPublicAccessBlock", bucket, {"blockPublicAcls": True, "restrictPublicBuckets": True})
    program.part("BucketOwnershipControls", bucket, {"rule": {"objectOwnership": "BucketOwnerEnforced"}})
    lifecycle = {"id": "old", "status": "Enabled", "noncurrentVersionExpiration": {"noncurrentDays": 30}}
    program.part("BucketLifecycleConfiguration", bucket, {"rules": [lifecycle]})
    arns = [f"arn:aws:s3:::{stack}-data", f"arn:aws:s3:::{stack}-data/*"]
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    deny_http = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns, "Condition": plain}
    program.part("BucketPolicy", bucket, {"policy": json.dumps({"Version": "2012-10-17", "Statement": [deny_http]})})
    evidence = program.bucket(f"{stack}-evidence", objectLockEnabled=True)
    retention = {"defaultRetention": {"mode": "GOVERNANCE", "days": 30}}
    program.part("BucketObjectLockConfiguration", evidence, {"objectLockEnabled": "Enabled", "rule": retention})
    return program


@dataclass(frozen=True)
class Request:
    server: str
    method: str
    operation: str
    writes: bool


@dataclass(frozen=True)
class Answer:
    """Given instead of the server's: a status of 0 drops the connection; ``hang`` never answers."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    hang: bool = False


class Proxy:
    """Stands before both servers: records every request, and may answer, drop or follow up on each."""

    def __init__(self, target: Target) -> None:
        self.requests: list[Request] = []
        self.instead: Callable[[Request], Answer | None] = lambda request: None
        self.afterwards: Callable[[Request], Answer | None] = lambda request: None
        self.released = threading.Event()
        self._target = target
        self._servers = {"kubernetes": self._listen("kubernetes"), "aws": self._listen("aws")}

    @property
    def target(self) -> Target:
        kubernetes, aws = (f"http://127.0.0.1:{self._servers[one].server_port}" for one in ("kubernetes", "aws"))
        return replace(self._target, api_server=kubernetes, aws_endpoint=aws)

    @property
    def writes(self) -> list[str]:
        return [request.operation for request in self.requests if request.writes]

    def close(self) -> None:
        self.released.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def upstream(self, server: str) -> http.client.HTTPConnection:
        if server == "aws":
            return http.client.HTTPConnection(urlsplit(self._target.aws_endpoint).netloc)
        context = ssl.create_default_context(cafile=str(self._target.ca))
        return http.client.HTTPSConnection(urlsplit(self._target.api_server).netloc, context=context)

    def _listen(self, server: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"proxy": self, "name": server})
        listening = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return listening


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news here."""


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    name: str
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.connection_to: http.client.HTTPConnection | None = None

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = _described(self.name, self.command, self.path, self.headers, body)
        self.proxy.requests.append(request)
        answer = self.proxy.instead(request)
        if answer is not None:
            self._answer(answer)
            return
        upstream = self.connection_to = self.connection_to or self.proxy.upstream(self.name)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.endheaders(body)
        response = upstream.getresponse()
        content = response.read()
        answer = self.proxy.afterwards(request)
        if answer is not None:
            self._answer(answer)
            return
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.command != "HEAD" else b"")

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815 -- http.server's names

    def _answer(self, answer: Answer) -> None:
        if answer.hang:
            self.proxy.released.wait(60)
        if not answer.status:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's name
        pass


def _described(server: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Request:
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if server == "kubernetes":
        return Request(server, method, f"{method} {urlsplit(path).path}", method != "GET" and "dryRun" not in query)
    action = (
        headers.get("X-Amz-Target", "").rpartition(".")[2]
        or parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    )
    if action:
        return Request(server, method, action, not action.startswith(("Get", "List", "Describe")))
    return Request(server, method, f"{method} {path}", method not in ("GET", "HEAD"))


def kube(target: Target, method: str, path: str, **options: Any) -> dict[str, Any]:
    """One request to the API server as somebody else would make it."""
    api = KubeApi(target)
    try:
        return api.request(method, path, missing_ok=True, **options)
    finally:
        api.close()


def edit(target: Target, path: str, body: Mapping[str, Any]) -> None:
    """An out-of-band edit, as kubectl makes them."""
    kube(target, "PATCH", path, json=body, headers={"Content-Type": "application/merge-patch+json"})


def aws(target: Target, service: str, operation: str, **request: Any) -> dict[str, Any]:
    api = AwsApi(target)
    try:
        return api.call(service, operation, **request)
    finally:
        api.close()


def keys_of(target: Target, stack: str) -> list[str]:
    """The ids of every key tagged as the stack's, whatever its state."""
    api = AwsApi(target)
    try:
        ids = [key["KeyId"] for key in api.list("kms", "list_keys", "Keys")]
        tag = {"TagKey": "ladder:stack", "TagValue": stack}
        return [one for one in ids if tag in api.list("kms", "list_resource_tags", "Tags", KeyId=one)]
    finally:
        api.close()


def names(changes: Iterable[Change], *actions: str) -> list[str]:
    return [change.name for change in changes if change.action in actions]


def actions(changes: Iterable[Change]) -> set[str]:
    return {change.action for change in changes}


@contextmanager
def proxied(target: Target) -> Generator[Proxy]:
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
