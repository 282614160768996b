"""What an environment admits: images by digest from allowed registries, its own hosts, no way around its rails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.admission_policy import CONTAINERS, PolicyArgs, create_bound_policy, refusal, rule, strings
from components.base import Component

__all__ = [
    "DeliveryRails",
    "DeliveryRailsArgs",
    "HostAdmission",
    "HostAdmissionArgs",
    "ImageAdmission",
    "ImageAdmissionArgs",
]


@dataclass(frozen=True, kw_only=True)
class ImageAdmissionArgs:
    """``policy`` is the cluster-scoped name; ``registries`` are the exact ones images may come from.

    It holds for the ``namespaces`` named or, where there are none, for those whose name matches ``namespace_pattern``
    (RE2, anchored): namespaces that do not exist yet.
    """

    policy: str
    namespaces: Sequence[str] = ()
    namespace_pattern: str = ""
    registries: Sequence[str]
    labels: Mapping[str, str]
    real_data: bool


class ImageAdmission(Component):
    """A ValidatingAdmissionPolicy over pods and their ephemeral containers, bound to namespaces by name.

    It fails closed. Workloads of any kind end in pods, so a Rollout's image is checked like a Deployment's.
    """

    def __init__(self, name: str, args: ImageAdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        registries = sorted(set(args.registries))
        create_bound_policy(
            self,
            name,
            PolicyArgs(
                policy=args.policy,
                namespaces=args.namespaces,
                namespace_pattern=args.namespace_pattern,
                labels=args.labels,
                real_data=args.real_data,
                rules=[rule("", ["pods", "pods/ephemeralcontainers"], ["CREATE", "UPDATE"])],
                variables=[{"name": "images", "expression": _images()}],
                validations=[
                    refusal(
                        "variables.images.all(i, i.matches('@sha256:[a-f0-9]{64}$'))",
                        "every image must be named by digest: <image>@sha256:<64 hexadecimal digits>",
                    ),
                    refusal(
                        f"variables.images.all(i, {_from_any(registries)})",
                        "every image must come from " + " or ".join(registries),
                    ),
                ],
            ),
        )
        self.register_outputs({"policy": args.policy})


def _images() -> str:
    """Every image reference of a pod, OCI image volumes included."""
    lists = [
        f"(has(object.spec.{kind}) ? object.spec.{kind}.map(c, has(c.image) ? c.image : '') : [])"
        for kind in CONTAINERS
    ]
    volumes = (
        "(has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.image))"
        ".map(v, has(v.image.reference) ? v.image.reference : '') : [])"
    )
    return " + ".join([*lists, volumes])


def _from_any(registries: Sequence[str]) -> str:
    return " || ".join(f"i.startsWith('{registry}/')" for registry in registries)


@dataclass(frozen=True, kw_only=True)
class HostAdmissionArgs:
    """``policy`` is the cluster-scoped name; hosts must be ``domain`` or below it.

    It holds for the ``namespaces`` named or, where there are none, for those whose name matches ``namespace_pattern``:
    there hosts must be below the namespace's own part of the domain, ``<namespace>.<domain>``.
    """

    policy: str
    namespaces: Sequence[str] = ()
    namespace_pattern: str = ""
    domain: str
    labels: Mapping[str, str]
    real_data: bool


class HostAdmission(Component):
    """A ValidatingAdmissionPolicy over Ingresses and HTTPRoutes: an environment answers at no other one's hosts."""

    def __init__(self, name: str, args: HostAdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        domain = f"'{args.domain}'" if args.namespaces else f"request.namespace + '.{args.domain}'"
        message = f"every host must be given, and be {args.domain} or below it"
        if not args.namespaces:
            message = f"every host must be given, and be <namespace>.{args.domain} or below it"
        create_bound_policy(
            self,
            name,
            PolicyArgs(
                policy=args.policy,
                namespaces=args.namespaces,
                namespace_pattern=args.namespace_pattern,
                labels=args.labels,
                real_data=args.real_data,
                rules=[
                    rule("networking.k8s.io", ["ingresses"], ["CREATE", "UPDATE"]),
                    rule("gateway.networking.k8s.io", ["httproutes"], ["CREATE", "UPDATE"]),
                ],
                variables=[
                    {"name": "domain", "expression": domain},
                    {"name": "hosts", "expression": _hosts()},
                ],
                validations=[
                    refusal(
                        "variables.hosts.all(h, h == variables.domain || h.endsWith('.' + variables.domain))", message
                    )
                ],
            ),
        )
        self.register_outputs({"policy": args.policy})


def _hosts() -> str:
    """Every host an object answers at; '' stands for any host, which no domain holds."""
    ingress = "(has(object.spec.rules) ? object.spec.rules.map(r, has(r.host) ? r.host : '') : [])"
    fallback = "(has(object.spec.defaultBackend) ? [''] : [])"
    route = "(has(object.spec.hostnames) && size(object.spec.hostnames) > 0 ? object.spec.hostnames : [''])"
    return f"request.resource.resource == 'ingresses' ? {ingress} + {fallback} : {route}"


@dataclass(frozen=True, kw_only=True)
class DeliveryRailsArgs:
    """``reserved`` are ServiceAccounts no pod may run as; ``deliverers`` are users, ``rails`` what they may not touch.

    A user is ``system:serviceaccount:<namespace>:<name>``; ``rails`` are names of NetworkPolicies and ServiceAccounts.
    """

    policy: str
    namespaces: Sequence[str]
    reserved: Sequence[str]
    deliverers: Sequence[str]
    rails: Sequence[str]
    labels: Mapping[str, str]
    real_data: bool


class DeliveryRails(Component):
    """What RBAC cannot say: delivery writes NetworkPolicies and ServiceAccounts, but not the environment's own.

    And no pod runs as the ServiceAccount that reads secrets, or the one that delivers.
    """

    def __init__(self, name: str, args: DeliveryRailsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        account = "has(object.spec.serviceAccountName) ? object.spec.serviceAccountName : ''"
        identities = PolicyArgs(
            policy=f"{args.policy}-identities",
            namespaces=args.namespaces,
            labels=args.labels,
            real_data=args.real_data,
            rules=[rule("", ["pods"], ["CREATE", "UPDATE"])],
            variables=[{"name": "account", "expression": account}],
            validations=[
                refusal(
                    f"!(variables.account in {strings(args.reserved)})",
                    "no pod may run as " + " or ".join(sorted(args.reserved)),
                )
            ],
        )
        rails = PolicyArgs(
            policy=f"{args.policy}-rails",
            namespaces=args.namespaces,
            labels=args.labels,
            real_data=args.real_data,
            rules=[
                rule("", ["serviceaccounts"], ["UPDATE", "DELETE"]),
                rule("networking.k8s.io", ["networkpolicies"], ["UPDATE", "DELETE"]),
            ],
            conditions=[{"name": "delivery", "expression": f"request.userInfo.username in {strings(args.deliverers)}"}],
            validations=[
                refusal(
                    f"!(oldObject.metadata.name in {strings(args.rails)})",
                    "delivery may not change what guards the environment",
                )
            ],
        )
        create_bound_policy(self, f"{name}-identities", identities)
        create_bound_policy(self, f"{name}-guards", rails)
        self.register_outputs({"policy": args.policy})
