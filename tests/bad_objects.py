"""Kubernetes objects that the API server takes, and one edit each that it refuses; a test asks the real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ladder.strict_yaml import parse

__all__ = ["BAD_OBJECTS", "COLLECTIONS", "GOOD_OBJECTS", "BadObject"]

COLLECTIONS = {
    "AppProject": "argoproj.io/v1alpha1/namespaces/default/appprojects",
    "Deployment": "apps/v1/namespaces/default/deployments",
    "ExternalSecret": "external-secrets.io/v1/namespaces/default/externalsecrets",
    "HTTPRoute": "gateway.networking.k8s.io/v1/namespaces/default/httproutes",
    "HorizontalPodAutoscaler": "autoscaling/v2/namespaces/default/horizontalpodautoscalers",
    "NetworkPolicy": "networking.k8s.io/v1/namespaces/default/networkpolicies",
    "Rollout": "argoproj.io/v1alpha1/namespaces/default/rollouts",
}
"""Where the API server keeps each kind, below ``/apis``."""

GOOD_OBJECTS = {
    "AppProject": """\
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: one}
spec:
  sourceRepos: [https://git.example/tree.git]
  destinations: [{server: https://kubernetes.default.svc, namespace: one}]
  namespaceResourceWhitelist: [{group: "", kind: Service}]
  syncWindows:
    - {kind: allow, schedule: "0 8 * * 1", duration: 4h, applications: [web], manualSync: true}
""",
    "Deployment": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: one
  labels: {app: one}
spec:
  replicas: 2
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: one}}
    spec:
      containers:
        - name: app
          image: one
          env: [{name: WORD, value: one}, {name: OTHER, value: two}]
          ports: [{containerPort: 8080, name: http}]
          livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 10}
          resources: {limits: {cpu: 500m, memory: 1Gi}}
""",
    "ExternalSecret": """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: one}
spec:
  refreshInterval: 1h
  secretStoreRef: {kind: SecretStore, name: aws}
  target: {name: one, creationPolicy: Owner}
  data:
    - {secretKey: WORD, remoteRef: {key: one/word}}
""",
    "HTTPRoute": """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: one}
spec:
  parentRefs: [{name: edge, namespace: gateways}]
  hostnames: [one.example]
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs: [{name: one, port: 8080}]
""",
    "HorizontalPodAutoscaler": """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: one}
spec:
  scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: one}
  minReplicas: 2
  maxReplicas: 4
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
""",
    "NetworkPolicy": """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: one}
spec:
  podSelector: {matchLabels: {app: one}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: two}}}]
      ports: [{protocol: TCP, port: http}]
  egress:
    - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
""",
    "Rollout": """\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: one}
spec:
  replicas: 4
  selector: {matchLabels: {app: one}}
  strategy:
    canary:
      maxSurge: 1
      maxUnavailable: 25%
      steps: [{setWeight: 25}, {pause: {duration: 5m}}]
  template:
    metadata: {labels: {app: one}}
    spec:
      containers:
        - name: app
          image: one
          ports: [{containerPort: 8080, name: http}]
          resources: {limits: {cpu: 500m, memory: 1Gi}}
""",
}


@dataclass(frozen=True)
class BadObject:
    """A good object in which ``old``, which stands there once, is replaced; and what must be said of it."""

    kind: str
    old: str
    new: str
    path: str
    message: str
    found: str
    accepted: str = ""

    def document(self) -> dict[str, Any]:
        text = GOOD_OBJECTS[self.kind]
        assert text.count(self.old) == 1, self.old
        return parse(text.replace(self.old, self.new), file=self.kind).value

    def __str__(self) -> str:
        return f"{self.kind} {self.new}"


_CONTAINER = "spec.template.spec.containers.0"
_STEPS = "analysis, experiment, pause, plugin, setCanaryScale, setHeaderRoute, setMirrorRoute, setWeight"
_HOST = r"text that matches ^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_PROJECT = (
    "clusterResourceBlacklist, clusterResourceWhitelist, description, destinationServiceAccounts, destinations,"
    " namespaceResourceBlacklist, namespaceResourceWhitelist, orphanedResources, permitOnlyProjectScopedClusters,"
    " roles, signatureKeys, sourceIntegrity, sourceNamespaces, sourceRepos, syncWindows"
)
_QUANTITY = "a quantity, 250m or 1Gi for example"
BAD_OBJECTS = (
    BadObject("Deployment", "replicas: 2", 'replicas: "2"', "spec.replicas", "not accepted", '"2"', "integer"),
    BadObject(
        "Deployment",
        "matchLabels",
        "matchlabels",
        "spec.selector.matchlabels",
        "unknown field of Deployment one",
        "matchlabels",
        "matchExpressions, matchLabels",
    ),
    BadObject(
        "Deployment", "500m", "500MB", f"{_CONTAINER}.resources.limits.cpu", "not accepted", '"500MB"', _QUANTITY
    ),
    BadObject(
        "Deployment",
        "periodSeconds: 10",
        "periodSeconds: 3000000000",
        f"{_CONTAINER}.livenessProbe.periodSeconds",
        "not accepted",
        "3000000000",
        "maximum 2147483647",
    ),
    BadObject(
        "Deployment",
        "port: http}",
        "port: true}",
        f"{_CONTAINER}.livenessProbe.httpGet.port",
        "not accepted",
        "true",
        "integer or string",
    ),
    BadObject(
        "Deployment", "- name: app\n          image", "- image", f"{_CONTAINER}.name", "missing", "no such field"
    ),
    BadObject("Deployment", "name: OTHER", "name: WORD", f"{_CONTAINER}.env", 'two items with name "WORD"', ""),
    BadObject(
        "Deployment",
        "labels: {app: one}\nspec",
        "labels: {app: 1}\nspec",
        "metadata.labels.app",
        "not accepted",
        "1",
        "string",
    ),
    BadObject(
        "NetworkPolicy",
        "podSelector: {matchLabels: {app: two}}",
        "podSelectors: {}",
        "spec.ingress.0.from.0.podSelectors",
        "unknown field",
        "podSelectors",
        "ipBlock, namespaceSelector, podSelector",
    ),
    BadObject("HorizontalPodAutoscaler", "  maxReplicas: 4\n", "", "spec.maxReplicas", "missing", "no such field"),
    BadObject(
        "Rollout",
        "{setWeight: 25}",
        "{weight: 25}",
        "spec.strategy.canary.steps.0.weight",
        "unknown field of Rollout one",
        "weight",
        _STEPS,
    ),
    BadObject(
        "Rollout",
        "setWeight: 25",
        'setWeight: "25"',
        "spec.strategy.canary.steps.0.setWeight",
        "not accepted",
        '"25"',
        "integer",
    ),
    BadObject(
        "Rollout",
        "maxSurge: 1",
        "maxSurge: {}",
        "spec.strategy.canary.maxSurge",
        "not accepted",
        "{}",
        "integer or string",
    ),
    BadObject(
        "ExternalSecret",
        "creationPolicy: Owner",
        "creationPolicy: Always",
        "spec.target.creationPolicy",
        "not accepted",
        '"Always"',
        '"Owner", "Orphan", "Merge", "None"',
    ),
    BadObject(
        "ExternalSecret", "key: one/word", "version: one", "spec.data.0.remoteRef.key", "missing", "no such field"
    ),
    BadObject(
        "HTTPRoute",
        "PathPrefix",
        "Prefix",
        "spec.rules.0.matches.0.path.type",
        "not accepted",
        '"Prefix"',
        '"Exact", "PathPrefix", "RegularExpression"',
    ),
    BadObject(
        "HTTPRoute",
        "port: 8080",
        "port: 80800",
        "spec.rules.0.backendRefs.0.port",
        "not accepted",
        "80800",
        "maximum 65535",
    ),
    BadObject("HTTPRoute", "one.example", "one example", "spec.hostnames.0", "not accepted", '"one example"', _HOST),
    BadObject(
        "AppProject", "  destinations:", "  destination:", "spec.destination", "unknown field", "destination", _PROJECT
    ),
)
