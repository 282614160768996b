"""Planted widenings in what the cluster holds: admission, rights, delivery and namespaces that guard less."""

from __future__ import annotations

from tests.planted import Part, Planted, edit, loosened, widened

__all__ = ["CLUSTER"]

ADMISSION, POLICY, DELIVERY, ENVIRONMENT, NAMESPACE, NETWORK, RIGHTS = (
    f"components/{name}.py"
    for name in ("admission", "admission_policy", "delivery", "environment", "namespace", "network", "rights")
)
NAMED = "spec.destinations.0.namespace"
ENFORCE = "pod-security.kubernetes.io/enforce"
PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject::delivery"
SETS = "kubernetes:argoproj.io/v1alpha1:ApplicationSet::delivery"
SERVICES = "kubernetes:core/v1:Namespace::services"
ROLLOUT = "gitops/chart/templates/rollout.yaml"
BUSYBOX = '          image: "docker.io/library/busybox@sha256:{{ repeat 32 "0a" }}"\n'

CLUSTER: dict[str, Planted] = {
    "rights to do anything in a namespace": widened(
        "exact-rights",
        "kubernetes:rbac.authorization.k8s.io/v1:Role::delivery-services",
        "rules.0.verbs",
        edit(DELIVERY, 'verbs = ["create", "delete",', 'verbs = ["*", "delete",'),
    ),
    "rights for everyone who is logged in": widened(
        "exact-rights",
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding::delivery-services",
        "subjects.0",
        edit(
            RIGHTS,
            '{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}',
            '{"kind": "Group", "name": "system:authenticated", "api_group": "rbac.authorization.k8s.io"}',
        ),
    ),
    "delivery of secrets": widened(
        "exact-rights",
        "kubernetes:rbac.authorization.k8s.io/v1:Role::delivery-services",
        "rules.0.resources",
        edit(DELIVERY, 'DeliveredKind("", "Service", "services")', 'DeliveredKind("", "Secret", "secrets")'),
        "exact-projects",
    ),
    "delivery of quotas": widened(
        "exact-projects",
        PROJECT,
        "spec.namespaceResourceWhitelist.2.kind",
        edit(
            DELIVERY, 'DeliveredKind("", "Service", "services")', 'DeliveredKind("", "ResourceQuota", "resourcequotas")'
        ),
        "exact-rights",
    ),
    "a project of any repository": widened(
        "exact-projects",
        PROJECT,
        "spec.sourceRepos.0",
        edit(DELIVERY, "sorted([args.delivery.repository, args.delivery.chart])", '["*"]'),
    ),
    "a project of any kind of the cluster": widened(
        "exact-projects",
        PROJECT,
        "spec.clusterResourceWhitelist.0.kind",
        edit(DELIVERY, '"clusterResourceWhitelist": []', '"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]'),
    ),
    "a project for another's namespace": widened(
        "own-destinations",
        PROJECT,
        NAMED,
        edit(
            DELIVERY,
            '"destinations": [{"server": IN_CLUSTER, "namespace": namespace} for namespace in namespaces]',
            '"destinations": [{"server": IN_CLUSTER, "namespace": "kube-system"}]',
        ),
        "image-admission",
        "host-admission",
    ),
    "automated sync where data is real, by code": widened(
        "kept-applications",
        SETS,
        "spec.template.spec.syncPolicy.automated",
        edit(DELIVERY, "if delivery.sync.automated:", "if True:"),
        stack="prod",
    ),
    "admission that fails open": widened(
        "image-admission",
        PROJECT,
        NAMED,
        edit(POLICY, '"failure_policy": "Fail"', '"failure_policy": "Ignore"'),
        "host-admission",
        "delivery-rails",
        "exact-rights",
        "no-identity",
    ),
    "admission that only warns": widened(
        "image-admission",
        PROJECT,
        NAMED,
        edit(POLICY, '"validation_actions": ["Deny"]', '"validation_actions": ["Warn", "Audit"]'),
        "host-admission",
        "delivery-rails",
        "exact-rights",
        "no-identity",
    ),
    "admission of images by tag": widened(
        "image-admission",
        PROJECT,
        NAMED,
        edit(ADMISSION, "i.matches('@sha256:[a-f0-9]{64}$')", "i.matches(':[a-z0-9.]+$')"),
    ),
    "admission that overlooks ephemeral containers": widened(
        "image-admission",
        PROJECT,
        NAMED,
        edit(POLICY, '"initContainers", "ephemeralContainers")', '"initContainers")'),
    ),
    "admission of a second registry": Planted(
        by=Part.RULES,
        edits=(
            edit(
                ENVIRONMENT,
                "            namespaces=[settings.namespace(key) for key in settings.namespaces],\n"
                "            registries=list(settings.images.registries.values()),",
                "            namespaces=[settings.namespace(key) for key in settings.namespaces],\n"
                '            registries=[*settings.images.registries.values(), "docker.io/library"],',
            ),
        ),
        rule="planes/registry",
        where=PROJECT,
        path=NAMED,
        stacks=("dev",),
    ),
    "admission of any host": widened(
        "host-admission",
        PROJECT,
        NAMED,
        edit(
            ADMISSION,
            "variables.hosts.all(h, h == variables.domain || h.endsWith('.' + variables.domain))",
            "variables.hosts.all(h, h != '')",
        ),
    ),
    "pods that run as whom they like": widened(
        "delivery-rails",
        PROJECT,
        NAMED,
        edit(ADMISSION, 'f"!(variables.account in {strings(args.reserved)})"', '"true"'),
    ),
    "delivery that changes what guards": widened(
        "delivery-rails",
        PROJECT,
        NAMED,
        edit(ADMISSION, 'f"!(oldObject.metadata.name in {strings(args.rails)})"', '"true"'),
    ),
    "pods that are not restricted": widened(
        "guarded-namespaces",
        SERVICES,
        f"metadata.labels.{ENFORCE}",
        edit(NAMESPACE, '(("", "restricted"),', '(("", "baseline"),'),
    ),
    "no default-deny of traffic": widened(
        "guarded-namespaces",
        SERVICES,
        "",
        edit(NAMESPACE, "        self._create_default_deny(name)\n", ""),
        says="lacks a NetworkPolicy that denies ingress",
    ),
    "traffic to anywhere": widened(
        "guarded-namespaces",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::services-allow-dns",
        "spec.egress.0.to",
        edit(NETWORK, 'return {"to": [to], "ports": ports}', 'return {"ports": ports}'),
    ),
    "no quota": widened(
        "guarded-namespaces",
        SERVICES,
        "",
        edit(NAMESPACE, "        self._create_quota(name)\n", ""),
        says="lacks a ResourceQuota",
    ),
    "no limits of containers": widened(
        "guarded-namespaces",
        SERVICES,
        "",
        edit(NAMESPACE, "        self._create_limits(name)\n", ""),
        says="lacks a LimitRange",
    ),
    "traffic to every namespace": loosened(
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::services-allow-dns",
        "may loosen: a rule for egress lets more through",
        edit(
            NETWORK,
            '{"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},\n'
            '        "pod_selector": {"match_labels": {"k8s-app": "kube-dns"}},\n',
            "{},\n",
        ),
    ),
    "a sync window dropped": loosened(
        PROJECT,
        "may loosen: what holds delivery back is another",
        edit(DELIVERY, "if args.delivery.windows:", "if False:"),
        stack="prod",
    ),
    "a second image in the chart": Planted(
        by=Part.RENDERING,
        edits=(
            edit(ROLLOUT, "        - name: service\n", f"        - name: more\n{BUSYBOX}        - name: service\n"),
        ),
        rule="rendering/overlay",
        where="gitops/envs/prod/web",
        path="spec.template.spec.containers.0.image",
        says="is an image that the environment does not admit (templates/rollout.yaml)",
        service="prod/web",
    ),
    "an image by its tag in the chart": Planted(
        by=Part.RENDERING,
        edits=(
            edit(
                ROLLOUT,
                '{{ printf "%s@%s" $service.image .Values.image.digest | quote }}',
                '{{ printf "%s:latest" $service.image | quote }}',
            ),
        ),
        rule="rendering/overlay",
        where="gitops/envs/prod/web",
        path="spec.template.spec.containers.0.image",
        says="is an image that the environment does not admit (templates/rollout.yaml)",
        service="prod/web",
    ),
    "a kind that no project lets in": Planted(
        by=Part.RENDERING,
        edits=(edit(DELIVERY, '    DeliveredKind("policy", "PodDisruptionBudget", "poddisruptionbudgets"),\n', ""),),
        rule="rendering/overlay",
        where="gitops/envs/prod/web",
        path="kind",
        says="is of a kind that the environment's AppProject does not let in",
        stacks=("prod",),
        service="prod/web",
    ),
    "an ApplicationSet that goes elsewhere": Planted(
        by=Part.DELIVERY,
        edits=(edit(DELIVERY, '"namespace": "{{.namespace}}"', '"namespace": "default"'),),
        rule="application/destination",
        where=SETS,
        path="spec.template.spec.destination",
        stacks=("dev",),
    ),
    "an ApplicationSet that reads another branch": Planted(
        by=Part.DELIVERY,
        edits=(edit(DELIVERY, '"targetRevision": delivery.branch, "ref"', '"targetRevision": "HEAD", "ref"'),),
        rule="applicationset/other-tree",
        where=SETS,
        path="spec.template.spec.sources",
        stacks=("dev",),
    ),
}
