"""What keeps previews to themselves: who writes them writes nothing else, and what runs in them is nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import ValidationArgsDict, VariableArgsDict

from components.admission_policy import (
    CONTAINERS,
    PolicyArgs,
    create_bound_policy,
    everything,
    refusal,
    rule,
    strings,
)
from components.base import Component

__all__ = ["PreviewRails", "PreviewRailsArgs"]


@dataclass(frozen=True, kw_only=True)
class PreviewRailsArgs:
    """``pattern`` (RE2, anchored) is what previews' namespaces and Applications are named like.

    ``writers`` are the users, ``system:serviceaccount:<namespace>:<name>``, whose rights RBAC can only give for the
    whole cluster; ``applications`` is Argo CD's namespace, ``namespace_labels`` what a preview's must have.
    """

    policy: str
    pattern: str
    namespace_labels: Mapping[str, str]
    writers: Sequence[str]
    applications: str
    labels: Mapping[str, str]


class PreviewRails(Component):
    """What RBAC cannot say of namespaces that do not exist yet.

    Who makes and who removes previews touches nothing else, a preview's namespace takes restricted pods only, and
    nothing that runs in one has a token of the cluster's or a role of the cloud's.
    """

    def __init__(self, name: str, args: PreviewRailsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        named = f"(has(request.name) && request.name.matches('{args.pattern}'))"
        inside = f"(has(request.namespace) && request.namespace.matches('{args.pattern}'))"
        namespace = "request.resource.group == '' && request.resource.resource == 'namespaces'"
        application = (
            "request.resource.group == 'argoproj.io' && request.resource.resource == 'applications'"
            f" && has(request.namespace) && request.namespace == '{args.applications}'"
        )
        marked = " && ".join(
            f"'{key}' in object.metadata.labels && object.metadata.labels['{key}'] == '{value}'"
            for key, value in sorted(args.namespace_labels.items())
        )
        writers = PolicyArgs(
            policy=f"{args.policy}-writers",
            labels=args.labels,
            real_data=False,
            rules=[everything()],
            conditions=[{"name": "writers", "expression": f"request.userInfo.username in {strings(args.writers)}"}],
            validations=[
                refusal(
                    f"(({namespace}) || ({application})) ? {named} : {inside}",
                    f"only what is named like a preview may be written: {args.pattern}",
                ),
                refusal(
                    f"!({namespace}) || request.operation == 'DELETE' || has(request.subResource)"
                    f" || (has(object.metadata.labels) && {marked})",
                    "a preview's namespace must be marked as one, and take restricted pods only",
                ),
            ],
        )
        identities = PolicyArgs(
            policy=f"{args.policy}-identities",
            labels=args.labels,
            real_data=False,
            namespace_pattern=args.pattern,
            rules=[
                rule("", ["pods", "serviceaccounts", "secrets"], ["CREATE", "UPDATE"]),
                rule("external-secrets.io", ["externalsecrets"], ["CREATE", "UPDATE"]),
            ],
            variables=_of_pods(),
            validations=_nobody(),
        )
        create_bound_policy(self, f"{name}-writers", writers)
        create_bound_policy(self, f"{name}-identities", identities)
        self.register_outputs({"policy": args.policy})


def _of_pods() -> list[VariableArgsDict]:
    """Parts of a pod, empty for whatever else is asked about."""
    pod = "request.resource.resource == 'pods'"
    containers = " + ".join(f"(has(object.spec.{kind}) ? object.spec.{kind} : [])" for kind in CONTAINERS[:2])
    volumes = "has(object.spec.volumes) ? object.spec.volumes : []"
    return [
        {"name": "pod", "expression": pod},
        {"name": "containers", "expression": f"{pod} ? {containers} : []"},
        {"name": "volumes", "expression": f"{pod} ? ({volumes}) : []"},
    ]


def _nobody() -> list[ValidationArgsDict]:
    """A preview has no token, no role and no secret, and is given none."""
    role = "eks.amazonaws.com/role-arn"
    automount = "has(object.spec.automountServiceAccountToken) && !object.spec.automountServiceAccountToken"
    sources = "(has(v.projected) && has(v.projected.sources) ? v.projected.sources : [])"
    return [
        refusal(
            f"!variables.pod || ({automount}"
            f" && !variables.volumes.exists(v, {sources}.exists(s, has(s.serviceAccountToken))))",
            "no pod of a preview may have a ServiceAccount's token",
        ),
        refusal(
            f"!variables.volumes.exists(v, has(v.secret) || has(v.csi) || {sources}.exists(s, has(s.secret)))"
            " && !variables.containers.exists(c, (has(c.envFrom) ? c.envFrom : []).exists(e, has(e.secretRef))"
            " || (has(c.env) ? c.env : []).exists(e, has(e.valueFrom) && has(e.valueFrom.secretKeyRef)))",
            "no pod of a preview may have a secret",
        ),
        refusal(
            "request.resource.resource != 'serviceaccounts' || !has(object.metadata.annotations)"
            f" || !('{role}' in object.metadata.annotations)",
            "no ServiceAccount of a preview may have a cloud role",
        ),
        refusal(
            "!(request.resource.resource in ['externalsecrets', 'secrets'])", "no secret may be put into a preview"
        ),
    ]
