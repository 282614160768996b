"""The ways a recording is broken in what the cluster holds, and in what must outlive a mistake."""

import copy
from collections.abc import Iterator
from typing import Any

from ladder.recording import Resource
from ladder.rules.reading import (
    ALIAS,
    APP_PROJECT,
    APPLICATION_SET,
    BINDING,
    BUCKET,
    BUCKET_POLICY,
    KEY,
    LIMITS,
    LOCK,
    NAMESPACE,
    NETWORK_POLICY,
    POLICY,
    PUBLIC_ACCESS,
    QUOTA,
)
from tests.rule_changes import Case, drop, expression, given, gone, options, put

KUBERNETES_ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
CLUSTER_ROLE = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
CLUSTER_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
ROLE_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"


OF_CONFIG_MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
PROJECT = {"type": APP_PROJECT, "name": "delivery"}
IMAGES = {"type": POLICY, "name": "images"}
IMAGES_BOUND = {"type": BINDING, "name": "images-binding"}
OF_SERVICES = {"at": (APP_PROJECT, "delivery"), "path": "spec.destinations.0.namespace"}
SETS = {"type": APPLICATION_SET, "name": "delivery", "stack": "prod"}


def _cases() -> Iterator[Case]:
    yield from _namespaces()
    yield from _admission()
    yield from _rails()
    yield from _identities()
    yield from _projects()
    yield from _kept()


def _namespaces() -> Iterator[Case]:
    rule = "rules/guarded-namespaces"

    services: Any = {"type": NAMESPACE, "name": "services"}
    at = (NAMESPACE, "services")

    def relabelled(resource: Resource) -> Resource:
        metadata = copy.deepcopy(resource.inputs["metadata"])
        metadata["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"
        return given(resource, {**resource.inputs, "metadata": metadata})

    path = "metadata.labels.pod-security.kubernetes.io/enforce"

    yield Case(rule=rule, what="baseline pods", change=relabelled, path=path, **services)
    quota: Any = {"type": QUOTA, "name": "services-quota", "at": at}
    yield Case(rule=rule, what="no quota", change=gone, **quota)
    yield Case(rule=rule, what="a quota of some pods", change=put("spec.scopes", ["BestEffort"]), **quota)
    yield Case(rule=rule, what="a quota of no pods", change=put("spec.hard", {"services": "1"}), **quota)
    limits: Any = {"type": LIMITS, "name": "services-limits", "at": at}
    yield Case(rule=rule, what="no limits", change=gone, **limits)
    yield Case(rule=rule, what="limits of claims", change=put("spec.limits.0.type", "PersistentVolumeClaim"), **limits)
    yield Case(rule=rule, what="no maximum", change=drop("spec.limits.0.max"), **limits)
    deny: Any = {"type": NETWORK_POLICY, "name": "services-default-deny", "at": at}
    yield Case(rule=rule, what="no default", change=gone, **deny)
    yield Case(rule=rule, what="ingress only", change=put("spec.policyTypes", ["Ingress"]), **deny)
    yield Case(rule=rule, what="egress only", change=put("spec.policyTypes", ["Egress"]), **deny)
    yield Case(rule=rule, what="some pods", change=put("spec.podSelector.matchLabels", {"a": "b"}), **deny)
    dns: Any = {"type": NETWORK_POLICY, "name": "services-allow-dns", "path": "spec.egress.0.to"}
    yield Case(rule=rule, what="egress anywhere", change=drop("spec.egress.0.to"), **dns)
    anywhere = put("spec.egress.0.to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}])
    yield Case(rule=rule, what="egress to all addresses", change=anywhere, **dns)
    ingress: Any = {"type": NETWORK_POLICY, "name": "services-allow-dns", "path": "spec.ingress.0.from"}
    yield Case(rule=rule, what="ingress from anyone", change=put("spec.ingress", [{}]), **ingress)

    rule = "rules/exact-rights"
    deployer: Any = {"type": KUBERNETES_ROLE, "name": "delivery-services"}
    for field, values in {"verbs": ["*"], "resources": ["*"], "apiGroups": ["*"]}.items():
        path = f"rules.0.{field}"
        yield Case(rule=rule, what=f"all {field}", change=put(path, values), path=path, **deployer)
    path = "rules.0.verbs"
    yield Case(rule=rule, what="escalation", change=put(path, ["escalate"]), path=path, **deployer)
    path = "rules.0.resources"
    for resource in ("secrets", "roles", "resourcequotas"):
        yield Case(rule=rule, what=f"delivers {resource}", change=put(path, [resource]), path=path, **deployer)
    wide = options(type=CLUSTER_ROLE)
    cluster_role: Any = {"at": (CLUSTER_ROLE, "delivery-services"), "path": "rules.0.resources"}
    yield Case(rule=rule, what="a cluster's role", change=wide, **deployer, **cluster_role)
    bound: Any = {"type": ROLE_BINDING, "name": "delivery-services", "path": "subjects.0"}
    yield Case(rule=rule, what="another's account", change=put("subjects.0.namespace", "default"), **bound)
    yield Case(rule=rule, what="a group", change=put("subjects.0.kind", "Group"), **bound)
    yield from _rights_bound_by_admission(rule)


def _rights_bound_by_admission(rule: str) -> Iterator[Case]:
    """What only admission keeps from reaching everything, where that is loosened."""
    deliverer: Any = {"at": (CLUSTER_ROLE, "previews"), "path": "rules.0.resources"}
    writers: Any = {"type": POLICY, "name": "previews-rails-writers", **deliverer}
    for what, change in {
        "writers unbound": gone,
        "writers bound but not closed": put("spec.failurePolicy", "Ignore"),
        "others bound": expression("matchConditions", "ladder-dev-previews'", "somebody'"),
        "bound to what begins so": expression("validations", "[0-9]*$", ""),
        "bound to what ends so": expression("validations", "^pr-", "pr-"),
        "bound in some groups": put("spec.matchConstraints.resourceRules.0.apiGroups", ["apps"]),
        "bound when they create": put("spec.matchConstraints.resourceRules.0.operations", ["CREATE"]),
    }.items():
        yield Case(rule=rule, what=what, change=change, **writers)
    binding: Any = {"type": BINDING, "name": "previews-rails-writers-binding", **deliverer}
    yield Case(rule=rule, what="writers warned", change=put("spec.validationActions", ["Warn"]), **binding)
    reaper: Any = {"type": POLICY, "name": "previews-rails-writers"}
    for at in ((CLUSTER_ROLE, "previews-reaper"), (KUBERNETES_ROLE, "previews-reaper")):
        freed = expression("matchConditions", "-previews-reaper'", "-previews-other'")
        yield Case(
            rule=rule, what=f"the reaper freed, {at[0]}", change=freed, at=at, path="rules.0.resources", **reaper
        )
    wide: Any = {"type": CLUSTER_BINDING, "name": "previews"}
    stranger = put("subjects.0.namespace", "default")
    yield Case(rule=rule, what="a stranger everywhere", change=stranger, path="subjects.0", **wide)
    admin = put("roleRef.name", "cluster-admin")
    yield Case(rule=rule, what="a cluster's own role", change=admin, path="roleRef", **wide)
    narrow: Any = {"type": ROLE_BINDING, "name": "previews-plugin", "path": "roleRef"}
    for what, reference in {
        "a cluster's own role in one namespace": {"kind": "ClusterRole", "name": "cluster-admin"},
        "a wide role in one namespace": {"kind": "ClusterRole", "name": "ladder-dev-previews"},
        "another namespace's role": {"kind": "Role", "name": "delivery"},
    }.items():
        yield Case(rule=rule, what=what, change=put("roleRef", reference), **narrow)
    for resource in ("nodes/proxy", "pods/exec", "pods/ephemeralcontainers"):
        reading = put("rules.0", {"apiGroups": [""], "resources": [resource], "verbs": ["get"]})
        place: Any = {"type": CLUSTER_ROLE, "name": "previews-reaper", "path": "rules.0.resources"}
        yield Case(rule=rule, what=f"reads {resource}", change=reading, **place)
    plugin: Any = {"type": KUBERNETES_ROLE, "name": "previews-plugin", "path": "rules.0.resources"}
    for resource in ("pods", "configmaps", "deployments"):
        writing = put("rules.0", {"apiGroups": ["", "apps"], "resources": [resource], "verbs": ["create", "patch"]})
        yield Case(rule=rule, what=f"writes {resource} beside Argo CD", change=writing, **plugin)


def _admission() -> Iterator[Case]:
    rule = "rules/image-admission"
    digest, registry = "i.matches('@sha256:[a-f0-9]{64}$')", "i.startsWith('ghcr.io/acme/shop/')"
    ephemeral = "object.spec.ephemeralContainers.map(c, has(c.image) ? c.image : '')"
    volumes = "object.spec.volumes.filter(v, has(v.image)).map(v, has(v.image.reference) ? v.image.reference : '')"
    resources = "spec.matchConstraints.resourceRules.0"
    never = [{"name": "never", "expression": "request.namespace == 'nowhere'"}]
    for what, change in {
        "fails open": put("spec.failurePolicy", "Ignore"),
        "no digest": expression("validations", digest, "true"),
        "a digest or not": expression("validations", digest, f"{digest} || true"),
        "a digest that begins so": expression("validations", "{64}$", ""),
        "any registry": expression("validations", registry, "true"),
        "a digest of some image": expression("validations", "images.all(i, i.matches", "images.exists(i, i.matches"),
        "registries that begin so": expression("validations", "shop/'", "shop'"),
        "init containers left out": expression("variables", "object.spec.initContainers.map", "[].map"),
        "ephemeral containers left out": expression("variables", ephemeral, "[]"),
        "volumes left out": expression("variables", volumes, "[]"),
        "updates left out": put(f"{resources}.operations", ["CREATE"]),
        "the subresource left out": put(f"{resources}.resources", ["pods"]),
        "another group": put(f"{resources}.apiGroups", ["apps"]),
        "on a condition": put("spec.matchConditions", never),
        "some objects": put("spec.matchConstraints.objectSelector", {"matchLabels": {"a": "b"}}),
        "another namespace": put("spec.matchConstraints.namespaceSelector.matchExpressions.0.values", ["x"]),
        "new pods left out": expression("validations", digest, f"oldObject == null || {digest}"),
        "what cannot be evaluated": expression("validations", digest, "quantity('1').isInteger()"),
        "what does not parse": expression("validations", digest, "(("),
        "of a parameter": put("spec.paramKind", {"apiVersion": "v1", "kind": "ConfigMap"}),
        "no policy": gone,
    }.items():
        yield Case(rule=rule, what=what, change=change, **IMAGES, **OF_SERVICES)
    for what, change in {
        "a warning": put("spec.validationActions", ["Warn", "Audit"]),
        "a binding elsewhere": put("spec.matchResources.namespaceSelector", {"matchLabels": {"a": "b"}}),
        "a binding of another": put("spec.policyName", "other"),
        "a binding of less": put("spec.matchResources.resourceRules", [OF_CONFIG_MAPS]),
        "no binding": gone,
    }.items():
        yield Case(rule=rule, what=what, change=change, **IMAGES_BOUND, **OF_SERVICES)
    previews: Any = {"at": (APP_PROJECT, "previews"), "path": "spec.destinations.0.namespace"}
    other = put("spec.matchConditions.0.expression", "request.namespace.matches('^preview-')")
    yield Case(rule=rule, what="another prefix", type=POLICY, name="previews-images", change=other, **previews)
    everywhere = put("spec.destinations.0.namespace", "kube-system")
    yield Case(rule=rule, what="delivered elsewhere", change=everywhere, **PROJECT, path=previews["path"])


def _rails() -> Iterator[Case]:
    rule, hosts = "rules/host-admission", {"type": POLICY, "name": "hosts", **OF_SERVICES}
    exact, below = "h == variables.domain", "h.endsWith('.' + variables.domain)"
    for what, change in {
        "any host": expression("validations", f"{exact} || {below}", "true"),
        "hosts that end so": expression("validations", "'.' + variables.domain", "variables.domain"),
        "hosts that begin so": expression("validations", exact, "h.startsWith(variables.domain)"),
        "a host of all": expression("validations", ".all(h,", ".exists(h,"),
        "no host at all": expression("variables", "[''])", "[variables.domain])"),
        "the default backend": expression("variables", "[''] : []", "[] : []"),
        "updates left out": put("spec.matchConstraints.resourceRules.0.operations", ["CREATE"]),
        "routes left out": put("spec.matchConstraints.resourceRules.1.resources", ["grpcroutes"]),
        "fails open": put("spec.failurePolicy", "Ignore"),
        "no policy": gone,
    }.items():
        yield Case(rule=rule, what=what, change=change, **hosts)
    bound: Any = {"type": BINDING, "name": "hosts-binding", **OF_SERVICES}
    yield Case(rule=rule, what="a warning", change=put("spec.validationActions", ["Warn"]), **bound)
    previews: Any = {"type": POLICY, "name": "previews-hosts", "at": (APP_PROJECT, "previews")}
    other = expression("variables", "request.namespace + '.", "'")
    path = "spec.destinations.0.namespace"
    yield Case(rule=rule, what="another preview's host", change=other, path=path, **previews)

    rule = "rules/delivery-rails"
    guards: Any = {"type": POLICY, "name": "rails-guards", **OF_SERVICES}
    for what, change in {
        "no guard": gone,
        "guards that are named no more": expression("validations", "'default-deny', ", ""),
        "another deliverer": expression("matchConditions", ":delivery'", ":deliver'"),
        "deletion let through": expression("validations", "!(oldObject", "object == null || !(oldObject"),
        "deletion left out": put("spec.matchConstraints.resourceRules.1.operations", ["UPDATE"]),
        "accounts left out": put("spec.matchConstraints.resourceRules.0.resources", ["configmaps"]),
    }.items():
        yield Case(rule=rule, what=what, change=change, **guards)
    identities: Any = {"type": POLICY, "name": "rails-identities", **OF_SERVICES}
    for what, change in {
        "pods as anyone": gone,
        "pods as who delivers": expression("validations", "'delivery', ", ""),
    }.items():
        yield Case(rule=rule, what=what, change=change, **identities)


def _identities() -> Iterator[Case]:
    rule = "rules/no-identity"
    at: Any = {"at": (APP_PROJECT, "previews"), "path": "spec.destinations.0.namespace"}
    comes = "!object.spec.automountServiceAccountToken"
    for what, change in {
        "nothing refused": gone,
        "tokens that are asked for": expression("validations", "s.serviceAccountToken", "s.secret"),
        "tokens that come by themselves": expression("validations", comes, "true"),
        "roles": expression("validations", "eks.amazonaws.com/role-arn", "role"),
        "changes": put("spec.matchConstraints.resourceRules.0.operations", ["CREATE"]),
    }.items():
        yield Case(rule=rule, what=what, type=POLICY, name="previews-rails-identities", change=change, **at)


def _projects() -> Iterator[Case]:
    rule = "rules/exact-projects"
    for path, value in {
        "spec.sourceRepos.0": "*",
        "spec.sourceRepos.1": "https://github.com/acme/*",
        "spec.destinations.0.server": "*",
        "spec.destinationServiceAccounts.0.server": "https://*",
        "spec.namespaceResourceWhitelist.0.group": "*",
        "spec.namespaceResourceWhitelist.0.kind": "*",
        "spec.destinations.0.namespace": "*",
        "spec.destinationServiceAccounts.1.namespace": "*",
    }.items():
        yield Case(rule=rule, what=path, change=put(path, value), path=path, **PROJECT)
    path = "spec.clusterResourceWhitelist"
    everything = put(path, [{"group": "*", "kind": "*"}])
    yield Case(rule=rule, what="all of the cluster", change=everything, path=f"{path}.0.kind", **PROJECT)
    path = "spec.namespaceResourceWhitelist"
    for what, change in {"none named": put(path, []), "nothing said": drop(path)}.items():
        yield Case(rule=rule, what=what, change=change, path=path, **PROJECT)
    path = "spec.sourceNamespaces"
    yield Case(rule=rule, what="from anywhere", change=put(path, ["*"]), path=f"{path}.0", **PROJECT)
    path = "spec.namespaceResourceWhitelist.0.kind"
    for kind in ("Secret", "Role", "ResourceQuota"):
        yield Case(rule=rule, what=f"delivers a {kind}", change=put(path, kind), path=path, **PROJECT)
    negated = put("spec.destinations.0.namespace", "!kube-system")
    yield Case(rule=rule, what="all but one", change=negated, path="spec.destinations.0.namespace", **PROJECT)

    rule, path = "rules/own-destinations", "spec.destinations.0.namespace"
    for value in ("kube-system", "staging-services", "dev-*", "arg*", "kube-*"):
        yield Case(rule=rule, what=value, change=put(path, value), path=path, **PROJECT)

    rule = "rules/kept-applications"
    for path, value in {
        "spec.syncPolicy.preserveResourcesOnDeletion": False,
        "spec.syncPolicy.applicationsSync": "sync",
        "spec.template.metadata.finalizers": ["resources-finalizer.argocd.argoproj.io"],
        "spec.template.spec.syncPolicy.automated": {},
        "spec.templatePatch": "spec: {syncPolicy: {automated: {}}}",
    }.items():
        yield Case(rule=rule, what=path, change=put(path, value), path=path, **SETS)
    yield Case(rule=rule, what="unprotected", change=options(protect=False), path="protect", **SETS)


def _kept() -> Iterator[Case]:
    for type_, name in {
        BUCKET: "uploads",
        BUCKET_POLICY: "uploads",
        PUBLIC_ACCESS: "uploads",
        LOCK: "evidence",
        KEY: "data",
        ALIAS: "data",
        NAMESPACE: "services",
        QUOTA: "services-quota",
        LIMITS: "data-limits",
        NETWORK_POLICY: "services-default-deny",
        POLICY: "images",
        BINDING: "rails-guards-binding",
    }.items():
        where: Any = {"type": type_, "name": name, "stack": "prod", "what": type_.rpartition(":")[2]}
        lost = options(protect=False)
        yield Case(rule="rules/real-data-protected", change=lost, path="protect", **where)
        lost = options(retain_on_delete=False)
        yield Case(rule="rules/real-data-retained", change=lost, path="retain_on_delete", **where)


CLUSTER_CASES = tuple(_cases())
