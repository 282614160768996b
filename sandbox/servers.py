"""What every sandbox runs: each server's command line, and how to tell that it is ready."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sandbox
from sandbox.paths import StateDir

__all__ = [
    "DELIVERY_PORTS",
    "HOST",
    "PORTS",
    "PROBE_TIMEOUT",
    "Plan",
    "Server",
    "basic_environment",
    "choose_ports",
    "get",
    "is_free",
    "servers",
]

HOST = "127.0.0.1"
PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "moto")
DELIVERY_PORTS = (
    "redis",
    "registry",
    "kube-scheduler",
    "kwok",
    "argo-rollouts",
    "argo-rollouts-metrics",
    "argocd-repo-server",
    "argocd-repo-server-metrics",
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-applicationset-webhook",
    "argocd-notifications-controller",
)
_NEVER_HANDED_OUT = range(16384, 32768)
"""Linux hands out ports from 32768 on, macOS from 49152 on."""
PROBE_TIMEOUT = 2.0
# Controllers of nodes, routes and volumes have nothing to control here.
IDLE_CONTROLLERS = (
    "cloud-node-lifecycle-controller",
    "node-ipam-controller",
    "node-route-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-expander-controller",
    "service-lb-controller",
)
# With Argo CD there is a node, which must lose the taint it begins with.
IDLE_WITHOUT_NODES = ("node-lifecycle-controller",)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which ports and binaries a sandbox runs with; ``files`` is where those are that only Argo CD needs, or empty."""

    ports: Mapping[str, int]
    binaries: Mapping[str, str]
    files: str = ""

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def of_json(cls, text: str) -> Plan:
        data = json.loads(text)
        return cls(data["ports"], data["binaries"], data.get("files", ""))

    @property
    def delivers(self) -> bool:
        """Whether Argo CD is among the servers."""
        return bool(self.files)

    def url(self, server: str, scheme: str = "https") -> str:
        return f"{scheme}://{HOST}:{self.ports[server]}"


@dataclass(frozen=True, slots=True)
class Server:
    """One process: its name, command line, environment, and a probe that is true once it is ready.

    It starts as soon as the servers it ``needs`` are ready. ``grace`` is how many seconds it gets to end by itself.
    """

    name: str
    needs: frozenset[str]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    grace: float


def servers(state: StateDir, plan: Plan) -> tuple[Server, ...]:
    """The servers that are always there, in the order they start."""
    return (_etcd(state, plan), _moto(state, plan), _api_server(state, plan), _controller_manager(state, plan))


def _etcd(state: StateDir, plan: Plan) -> Server:
    url, peer, pki = plan.url("etcd"), plan.url("etcd-peer"), state.pki
    command = [
        plan.binaries["etcd"],
        "--name=sandbox",
        f"--data-dir={state.etcd}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=sandbox={peer}",
        "--log-level=warn",
        # The only member has nobody to wait for: this is how long it takes to elect itself.
        "--heartbeat-interval=20",
        "--election-timeout=100",
        # A crash of the machine may cost the last writes; a crash of the process may not.
        "--unsafe-no-fsync",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=30m",
        "--max-request-bytes=8388608",
    ]
    for prefix in ("", "peer-"):
        command += [
            f"--{prefix}cert-file={pki / 'server.crt'}",
            f"--{prefix}key-file={pki / 'server.key'}",
            f"--{prefix}trusted-ca-file={pki / 'ca.crt'}",
            f"--{prefix}client-cert-auth",
        ]

    def is_ready() -> bool:
        status, body = get(plan.ports["etcd"], "/health", client_context(pki, "etcd-client"))
        return status == http.client.OK and b'"true"' in body

    return Server("etcd", frozenset(), tuple(command), basic_environment(), is_ready, grace=5)


def _moto(state: StateDir, plan: Plan) -> Server:
    command = (
        sys.executable,
        "-P",
        "-m",
        "sandbox.cloud",
        f"--port={plan.ports['moto']}",
        f"--journal={state.journal}",
        f"--secrets={state.secrets}",
    )
    environment = {**basic_environment(), "PYTHONPATH": str(Path(sandbox.__file__).parent.parent)}

    def is_ready() -> bool:
        return get(plan.ports["moto"], "/", None)[0] == http.client.FORBIDDEN

    return Server("moto", frozenset(), command, environment, is_ready, grace=3)


def _api_server(state: StateDir, plan: Plan) -> Server:
    pki = state.pki
    command = (
        plan.binaries["kube-apiserver"],
        f"--etcd-servers={plan.url('etcd')}",
        f"--etcd-cafile={pki / 'ca.crt'}",
        f"--etcd-certfile={pki / 'etcd-client.crt'}",
        f"--etcd-keyfile={pki / 'etcd-client.key'}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={plan.ports['kube-apiserver']}",
        f"--cert-dir={pki}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        f"--token-auth-file={state.tokens}",
        "--authorization-mode=RBAC",
        # As clusters in a cloud have it: refusing privileged containers is up to Pod Security.
        "--allow-privileged=true",
        "--anonymous-auth=false",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        # There is no network the endpoint could be reached from, and a loopback address is not accepted for it.
        "--endpoint-reconciler-type=none",
        "--event-ttl=1h",
        "--profiling=false",
        "--v=0",
    )
    context = server_context(pki)
    headers = {"Authorization": f"Bearer {_token(state)}"}

    def is_ready() -> bool:
        return get(plan.ports["kube-apiserver"], "/readyz", context, headers)[0] == http.client.OK

    # Loading the built-in schemas and a dozen large definitions is half garbage collection otherwise.
    environment = {**basic_environment(), "GOGC": "400", "GOMEMLIMIT": "800MiB"}
    return Server("kube-apiserver", frozenset({"etcd"}), command, environment, is_ready, grace=4)


def _controller_manager(state: StateDir, plan: Plan) -> Server:
    pki, kubeconfig = state.pki, state.user_kubeconfig("controller")
    idle = IDLE_CONTROLLERS if plan.delivers else (*IDLE_CONTROLLERS, *IDLE_WITHOUT_NODES)
    command = (
        plan.binaries["kube-controller-manager"],
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={HOST}",
        f"--secure-port={plan.ports['kube-controller-manager']}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--controllers={','.join(('*', *(f'-{name}' for name in idle)))}",
        "--leader-elect=false",
        "--profiling=false",
        "--v=0",
    )
    context = server_context(pki)
    headers = {"Authorization": f"Bearer {_token(state)}"}
    account = "/api/v1/namespaces/default/serviceaccounts/default"

    def is_ready() -> bool:
        healthy = get(plan.ports["kube-controller-manager"], "/healthz", context)[0] == http.client.OK
        return healthy and get(plan.ports["kube-apiserver"], account, context, headers)[0] == http.client.OK

    return Server(
        "kube-controller-manager", frozenset({"kube-apiserver"}), command, basic_environment(), is_ready, grace=3
    )


def choose_ports(wanted: Mapping[str, int], names: Sequence[str] = PORTS) -> dict[str, int]:
    """A free loopback port for each name: the wanted one where it is still free.

    Of those that no system hands out to whoever connects: such a one could be gone before the server listens.
    """
    chosen = {name: port for name, port in wanted.items() if name in names and is_free(port)}
    candidates = iter(secrets.SystemRandom().sample(_NEVER_HANDED_OUT, len(_NEVER_HANDED_OUT)))
    for name in names:
        if name not in chosen:
            chosen[name] = next(port for port in candidates if port not in chosen.values() and is_free(port))
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def server_context(pki: Path) -> ssl.SSLContext:
    """Verifies servers against the sandbox's own authority, and nothing else."""
    return ssl.create_default_context(cafile=str(pki / "ca.crt"))


def client_context(pki: Path, name: str) -> ssl.SSLContext:
    """As ``server_context``, and shows a client certificate."""
    context = server_context(pki)
    context.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
    return context


def get(
    port: int, path: str, context: ssl.SSLContext | None, headers: Mapping[str, str] | None = None, host: str = HOST
) -> tuple[int, bytes]:
    """One GET, with no proxy and no redirect; status 0 when nothing that can be trusted answers within two seconds."""
    if context is None:
        connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=PROBE_TIMEOUT, context=context)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _token(state: StateDir) -> str:
    return str(json.loads(state.secrets.read_text())["admin"])


def basic_environment() -> dict[str, str]:
    """Nothing of the user's environment but what a process needs to run at all."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
