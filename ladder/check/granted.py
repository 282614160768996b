"""What a recording grants: the names, rights and room that an environment's infrastructure has for its services."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ladder.contract.stack import Access
from ladder.recording import Recording, Resource

__all__ = ["Granted", "Role", "granted"]

_ROLE = "aws:iam/role:Role"
_ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
_BUCKET = "aws:s3/bucket:Bucket"
_KEY = "aws:kms/key:Key"
_ALIAS = "aws:kms/alias:Alias"
_PROVIDER = "pulumi:providers:aws"
_QUOTA = "kubernetes:core/v1:ResourceQuota"
_LIMITS = "kubernetes:core/v1:LimitRange"
_ADMISSION = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"

_READS, _WRITES = "s3:GetObject", "s3:PutObject"
_USES = "kms:Decrypt"
_READS_SECRETS = "secretsmanager:GetSecretValue"
_DOMAIN = re.compile(r"'([^']+)'")
_NAMESPACE_DOMAIN = re.compile(r"request\.namespace \+ '\.([^']+)'")


@dataclass(frozen=True, slots=True)
class Role:
    """A role, who may assume it (``system:serviceaccount:<namespace>:<name>``), and its access to objects.

    ``access`` is by a bucket's name, and by ARN for what is no bucket of the stack.
    """

    urn: str
    subjects: frozenset[str]
    access: Mapping[str, Access]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What one stack's recording grants its services.

    ``secrets`` are names that may be read, ``*`` at their end; ``domains`` are hosts that admission lets in, themselves
    and below; ``quota`` is of the services' namespace, ``largest`` the most one container of it may be limited to.
    """

    namespace: str
    region: str
    roles: Mapping[str, Role]
    """By ARN."""
    own_roles: Mapping[str, str]
    """ARN by service."""
    buckets: Mapping[str, str]
    """Name by key."""
    keys: Mapping[str, str]
    """ARN by name."""
    aliases: Mapping[str, str]
    """The key's ARN by alias."""
    users: Mapping[str, frozenset[str]]
    """ARNs of the roles that a key's policy lets use it, by the key's."""
    secrets: tuple[str, ...]
    domains: tuple[str, ...]
    preview_domains: tuple[str, ...]
    """A preview answers at ``<namespace>.<domain>`` and below."""
    quota: Mapping[str, str]
    largest: Mapping[str, str]

    def has(self, name: str) -> bool:
        """Whether a role, a bucket or an alias of this name, or a secret that may be read, is of this stack."""
        named = name in self.roles or name in self.buckets.values() or name in self.aliases
        return named or self.reads(name)

    def reads(self, secret: str) -> bool:
        """Whether a secret's name is among those that may be read."""
        return any(secret == each or (each[-1] == "*" and secret.startswith(each[:-1])) for each in self.secrets)

    def answers(self, host: str) -> bool:
        """Whether the host is one of the environment's, or of its previews."""
        return any(host == each or host.endswith(f".{each}") for each in (*self.domains, *self.preview_domains))


def granted(recording: Recording) -> Granted:
    """Read the recording's roles, policies, buckets, keys, admission, quota and limits."""
    outputs = recording.outputs
    namespace = str(outputs.get("namespaces", {}).get("services", ""))
    buckets = {str(each.outputs["bucket"]): str(each.outputs["arn"]) for each in recording.of_type(_BUCKET)}
    keys = {each.id: each for each in recording.of_type(_KEY)}
    own = {str(key): str(name) for key, name in outputs.get("buckets", {}).items() if name in buckets}
    return Granted(
        namespace=namespace,
        region=next((str(each.inputs.get("region", "")) for each in recording.of_type(_PROVIDER)), ""),
        roles={str(each.outputs["arn"]): _role(each, recording, buckets) for each in recording.of_type(_ROLE)},
        own_roles=dict(outputs.get("roles", {})),
        buckets=own,
        keys=dict(outputs.get("keys", {})),
        aliases={
            str(each.inputs["name"]): str(keys[each.inputs["targetKeyId"]].outputs["arn"])
            for each in recording.of_type(_ALIAS)
            if each.inputs["targetKeyId"] in keys
        },
        users={str(key.outputs["arn"]): frozenset(_users(key)) for key in keys.values()},
        secrets=tuple(_secrets(recording)),
        domains=tuple(_domains(recording, _DOMAIN)),
        preview_domains=tuple(_domains(recording, _NAMESPACE_DOMAIN)),
        quota=_inside(recording, _QUOTA, namespace).get("hard", {}),
        largest=_largest(_inside(recording, _LIMITS, namespace)),
    )


def _statements(resource: Resource, key: str, action: str) -> Iterator[Mapping[str, Any]]:
    """The statements that allow the action by its name."""
    for statement in json.loads(resource.inputs[key])["Statement"]:
        if statement["Effect"] == "Allow" and action in _listed(statement["Action"]):
            yield statement


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _role(role: Resource, recording: Recording, buckets: Mapping[str, str]) -> Role:
    subjects = [
        subject
        for statement in _statements(role, "assumeRolePolicy", "sts:AssumeRoleWithWebIdentity")
        for name, subject in statement.get("Condition", {}).get("StringEquals", {}).items()
        if name.endswith(":sub")
    ]
    policies = [each for each in recording.of_type(_ROLE_POLICY) if each.inputs["role"] == role.inputs["name"]]
    read, written = (
        {
            arn
            for policy in policies
            for statement in _statements(policy, "policy", action)
            for arn in _listed(statement["Resource"])
        }
        for action in (_READS, _WRITES)
    )
    names = {f"{arn}/*": name for name, arn in buckets.items()}
    access = {names.get(arn, arn): _access(arn in read, arn in written) for arn in read | written}
    return Role(role.urn, frozenset(subjects), access)


def _access(read: bool, written: bool) -> Access:
    if read and written:
        return Access.READ_WRITE
    return Access.READ if read else Access.WRITE


def _users(key: Resource) -> Iterator[str]:
    for statement in _statements(key, "policy", _USES):
        yield from _listed(statement.get("Principal", {}).get("AWS", []))


def _secrets(recording: Recording) -> Iterator[str]:
    for policy in recording.of_type(_ROLE_POLICY):
        for statement in _statements(policy, "policy", _READS_SECRETS):
            yield from (arn.partition(":secret:")[2] for arn in _listed(statement["Resource"]))


def _domains(recording: Recording, form: re.Pattern[str]) -> Iterator[str]:
    """The domains of the policies that admit Ingresses, in one of the forms that a policy's expression has."""
    for policy in recording.of_type(_ADMISSION):
        spec = policy.inputs["spec"]
        rules = spec["matchConstraints"]["resourceRules"]
        if any("ingresses" in rule["resources"] for rule in rules):
            expressions = [variable["expression"] for variable in spec.get("variables", [])]
            yield from (match[1] for expression in expressions if (match := form.fullmatch(expression)))


def _inside(recording: Recording, type_: str, namespace: str) -> Mapping[str, Any]:
    """The spec of the one object of its kind in the namespace; empty where there is none."""
    found = [each for each in recording.of_type(type_) if each.inputs["metadata"].get("namespace") == namespace]
    return found[0].inputs["spec"] if found else {}


def _largest(limits: Mapping[str, Any]) -> Mapping[str, str]:
    found = [item.get("max", {}) for item in limits.get("limits", []) if item.get("type") == "Container"]
    return found[0] if found else {}
