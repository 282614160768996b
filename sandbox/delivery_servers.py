"""What a sandbox with Argo CD runs besides: its controllers and what these need, and who plays nodes and pods."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.paths import StateDir, make_private_dir, write_private
from sandbox.servers import HOST, PROBE_TIMEOUT, Plan, Server, basic_environment, get, server_context

__all__ = [
    "APPLICATIONS",
    "APPLICATION_SETS",
    "ARGOCD_NAMESPACE",
    "BIN",
    "KWOK",
    "NOTIFICATIONS",
    "ROLLOUTS",
    "SCHEDULER",
    "STAGES",
    "USERS",
    "delivery_servers",
    "prepare",
]

ARGOCD_NAMESPACE = "argocd"
# As whom the API server knows the controllers: none is an administrator.
SCHEDULER = "system:kube-scheduler"
KWOK = "sandbox:kwok"
ROLLOUTS = "sandbox:argo-rollouts"
APPLICATIONS = "sandbox:argocd-application-controller"
APPLICATION_SETS = "sandbox:argocd-applicationset-controller"
NOTIFICATIONS = "sandbox:argocd-notifications-controller"

USERS: Mapping[str, tuple[str, ...]] = {
    "scheduler": (SCHEDULER, "scheduler"),
    "kwok": (KWOK, "kwok"),
    "rollouts": (ROLLOUTS, "rollouts"),
    "applications": (APPLICATIONS, "applications"),
    "applicationsets": (APPLICATION_SETS, "applicationsets"),
    "notifications": (NOTIFICATIONS, "notifications"),
}
"""As ``connection.USERS``; none of them has a group."""

BIN = "bin"
"""The folder, among the plan's files, of programs that the repo-server looks for on its PATH."""

STAGES = "stages.yaml"
"""The file, among the plan's files, by which kwok plays nodes, pods and volumes."""

API = frozenset({"kube-apiserver"})
NOBODY = 9
"""A port that nobody listens on: it is the discard service's."""

PERIOD = 20
"""After how many seconds Argo CD looks again for what nobody told it of."""


def prepare(state: StateDir, plan: Plan) -> None:
    """Write the files that these servers read, and clear what they left in their scratch directory."""
    _clear(state.argocd / "tmp")
    for directory in (state.argocd, *(state.argocd / name for name in ("tmp", "tls", "ssh")), state.registry):
        make_private_dir(directory)
    (state.argocd / "ssh" / "ssh_known_hosts").touch()
    lines = (
        f"bind {HOST}",
        f"port {plan.ports['redis']}",
        f"requirepass {_secret(state, 'redis')}",
        # A cache: what is lost with it is worked out again.
        'save ""',
        "appendonly no",
    )
    write_private(state.redis_configuration, "\n".join(lines) + "\n")


def _clear(directory: Path) -> None:
    """Remove the directory. Argo CD takes from its own what it does not need to do with them: even to list them."""
    for parent, names, _ in os.walk(directory):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def delivery_servers(state: StateDir, plan: Plan) -> tuple[Server, ...]:
    """The servers that are started once the cluster knows Argo CD's kinds and has its settings."""
    return (
        _redis(state, plan),
        _registry(state, plan),
        _scheduler(state, plan),
        _kwok(state, plan),
        _rollouts(state, plan),
        _repo_server(state, plan),
        _applications(state, plan),
        _application_sets(state, plan),
        _notifications(state, plan),
    )


def _redis(state: StateDir, plan: Plan) -> Server:
    command = (plan.binaries["redis-server"], str(state.redis_configuration))
    password = _secret(state, "redis")

    def is_ready() -> bool:
        try:
            with socket.create_connection((HOST, plan.ports["redis"]), PROBE_TIMEOUT) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < len(("AUTH", "PING")) and (more := connection.recv(4096)):
                    answer += more
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")

    return Server("redis", frozenset(), command, basic_environment(), is_ready, grace=3)


def _registry(state: StateDir, plan: Plan) -> Server:
    address = f"{HOST}:{plan.ports['registry']}"
    command = (plan.binaries["crane"], "registry", "serve", f"--address={address}", f"--disk={state.registry}")
    return Server("registry", frozenset(), command, basic_environment(), _answers(plan, "registry", "/v2/"), grace=2)


def _scheduler(state: StateDir, plan: Plan) -> Server:
    pki, kubeconfig = state.pki, state.user_kubeconfig("scheduler")
    command = (
        plan.binaries["kube-scheduler"],
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={HOST}",
        f"--secure-port={plan.ports['kube-scheduler']}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        "--leader-elect=false",
        "--profiling=false",
        "--v=0",
    )
    context = server_context(pki)

    def is_ready() -> bool:
        return get(plan.ports["kube-scheduler"], "/healthz", context)[0] == http.client.OK

    return Server("kube-scheduler", API, command, basic_environment(), is_ready, grace=3)


def _kwok(state: StateDir, plan: Plan) -> Server:
    command = (
        plan.binaries["kwok"],
        f"--kubeconfig={state.user_kubeconfig('kwok')}",
        f"--config={Path(plan.files) / STAGES}",
        f"--server-address={HOST}:{plan.ports['kwok']}",
        "--manage-all-nodes=true",
        "--node-lease-duration-seconds=40",
        "--node-ip=127.0.0.1",
    )
    environment = {**basic_environment(), "HOME": str(state.argocd)}
    return Server("kwok", API, command, environment, _answers(plan, "kwok", "/healthz"), grace=3)


def _rollouts(state: StateDir, plan: Plan) -> Server:
    command = (
        plan.binaries["rollouts"],
        f"--kubeconfig={state.user_kubeconfig('rollouts')}",
        "--leader-elect=false",
        f"--healthzPort={plan.ports['argo-rollouts']}",
        f"--metricsPort={plan.ports['argo-rollouts-metrics']}",
        "--loglevel=warn",
    )
    is_ready = _answers(plan, "argo-rollouts", "/healthz")
    return Server("argo-rollouts", API, command, basic_environment(), is_ready, grace=3)


def _repo_server(state: StateDir, plan: Plan) -> Server:
    """It is given no access to the cluster: it has none to make."""
    metrics = plan.ports["argocd-repo-server-metrics"]
    flags = (
        f"--address={HOST}",
        f"--port={plan.ports['argocd-repo-server']}",
        f"--metrics-address={HOST}",
        f"--metrics-port={metrics}",
        "--disable-tls",
        "--client-ca-path=",
        # Else a branch's head is remembered for minutes.
        "--revision-cache-expiration=1s",
        *_caching(plan),
    )
    tools = os.pathsep.join((f"{plan.files}/{BIN}", str(Path(plan.binaries["helm"]).parent), os.environ["PATH"]))
    is_ready = _answers(plan, "argocd-repo-server-metrics", "/healthz?full=true")
    return _argocd(state, plan, "argocd-repo-server", flags, {"PATH": tools}, frozenset({"redis"}), is_ready)


def _applications(state: StateDir, plan: Plan) -> Server:
    flags = (
        f"--namespace={ARGOCD_NAMESPACE}",
        f"--repo-server={HOST}:{plan.ports['argocd-repo-server']}",
        "--repo-server-plaintext",
        f"--metrics-port={plan.ports['argocd-application-controller']}",
        f"--app-resync={PERIOD}",
        "--app-resync-jitter=0",
        *_caching(plan),
    )
    name = "argocd-application-controller"
    needs = API | {"redis", "argocd-repo-server"}
    environment = _cluster(state, "applications")
    return _argocd(state, plan, name, flags, environment, needs, _answers(plan, name, "/healthz"))


def _application_sets(state: StateDir, plan: Plan) -> Server:
    name = "argocd-applicationset-controller"
    flags = (
        f"--namespace={ARGOCD_NAMESPACE}",
        f"--argocd-repo-server={HOST}:{plan.ports['argocd-repo-server']}",
        "--repo-server-plaintext",
        "--metrics-addr=0",
        f"--probe-addr={HOST}:{plan.ports[name]}",
        f"--webhook-addr={HOST}:{plan.ports['argocd-applicationset-webhook']}",
        "--enable-new-git-file-globbing",
    )
    needs = API | {"argocd-repo-server"}
    environment = _cluster(state, "applicationsets")

    def is_ready() -> bool:
        """It has no checks of its own: whatever it answers, it listens."""
        return get(plan.ports[name], "/readyz", None)[0] != 0

    return _argocd(state, plan, name, flags, environment, needs, is_ready)


def _notifications(state: StateDir, plan: Plan) -> Server:
    """Nothing tells it whom to write to: see `gitops/argocd/notifications.yaml`. It asks the repo-server nothing."""
    name = "argocd-notifications-controller"
    flags = (
        f"--namespace={ARGOCD_NAMESPACE}",
        f"--argocd-repo-server={HOST}:{plan.ports['argocd-repo-server']}",
        "--argocd-repo-server-plaintext",
        f"--metrics-port={plan.ports[name]}",
    )
    environment = {**_cluster(state, "notifications"), "ARGOCD_BINARY_NAME": "argocd-notifications"}
    return _argocd(state, plan, name, flags, environment, API, _answers(plan, name, "/metrics"))


def _argocd(
    state: StateDir,
    plan: Plan,
    name: str,
    flags: tuple[str, ...],
    extra: Mapping[str, str],
    needs: frozenset[str],
    is_ready: Callable[[], bool],
) -> Server:
    """One role of Argo CD's only binary, sealed from the user's git, Helm and registry settings, and from the world."""
    home = state.argocd
    environment = {
        **basic_environment(),
        # What names an address off this machine, as a pull-request generator does, goes nowhere.
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), f"http://{HOST}:{NOBODY}"),
        "NO_PROXY": HOST,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "ARGOCD_BINARY_NAME": name,
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(home / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(home / "ssh"),
        # Relative to the working directory: a socket's path may have hardly more than a hundred bytes.
        "ARGOCD_ASK_PASS_SOCK": f"{home.name}/ask-pass.sock",
        "REDIS_PASSWORD": _secret(state, "redis"),
        **extra,
    }
    command = (plan.binaries["argocd"], *flags, "--logformat=text", "--loglevel=info")
    return Server(name, needs, command, environment, is_ready, grace=3)


def _cluster(state: StateDir, user: str) -> dict[str, str]:
    """What Applications call the cluster they are in stands for the one of the user's kubeconfig."""
    return {"KUBECONFIG": str(state.user_kubeconfig(user)), "ARGOCD_FAKE_IN_CLUSTER": "true"}


def _caching(plan: Plan) -> tuple[str, ...]:
    return (f"--redis={HOST}:{plan.ports['redis']}",)


def _answers(plan: Plan, port: str, path: str) -> Callable[[], bool]:
    return lambda: get(plan.ports[port], path, None)[0] == http.client.OK


def _secret(state: StateDir, name: str) -> str:
    return str(json.loads(state.secrets.read_text())[name])
