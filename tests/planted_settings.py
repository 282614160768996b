"""Planted settings and files: what differs without a reason, stands in the wrong order, or is another environment's."""

from __future__ import annotations

from tests.planted import Edit, Line, Part, Planted, added, edit, linked, removed

__all__ = ["FILES"]

DEV, STAGING, PROD = (f"Pulumi.{stack}.yaml" for stack in ("dev", "staging", "prod"))
EXCEPTIONS = "parity.yaml"


def overlay(place: str) -> str:
    return f"gitops/envs/{place}/values.yaml"


def refused(says: str, path: str, change: Edit, where: str | Line | None = None) -> Planted:
    """What neither command reads on from: exit code 2."""
    return Planted(by=Part.READING, edits=(change,), rule="reading", where=where, path=path, says=says)


def unequal(path: str, *edits: Edit, where: Line | None = None) -> Planted:
    """What differs, and the contract gives no reason."""
    return Planted(by=Part.CONTRACT, edits=edits, rule="contract/unexplained", where=where, path=path)


def excepted(rule: str, path: str, **fields: str) -> Planted:
    entry = {
        "environment": "prod",
        "service": "null",
        "path": "delivery.branch",
        "owner": "team-platform",
        "reason": "tried",
        "expires": '"2999-12-31"',
        **fields,
    }
    text = "".join(f"    {name}: {value}\n" for name, value in entry.items())
    edits = (added(EXCEPTIONS, f"exceptions:\n  trial:\n{text}"),)
    where = Line(EXCEPTIONS, f"    {path.rpartition('.')[2]}: ")
    return Planted(by=Part.CONTRACT, edits=edits, rule=f"contract/{rule}", where=where, path=path)


def order(rule: str, path: str, *edits: Edit, where: str | Line | None = None, says: str = "") -> Planted:
    return Planted(by=Part.ORDER, edits=edits, rule=f"order/{rule}", where=where, path=path, says=says)


def planes(rule: str, path: str, change: Edit, where: Line | None = None, says: str = "") -> Planted:
    return Planted(by=Part.PLANES, edits=(change,), rule=rule, where=where, path=path, says=says)


WEB, API, WORKER = (f"prod/{service}" for service in ("web", "api", "worker"))
REDIS = "redis@sha256:c9fdab8831fb87ac2150000550153404e5cf1f2781c64d92fc96b5590148fa26"
SEAWEED = "seaweedfs@sha256:63526d0e734434877fcbae4fbbeeba7c2cbcbedf6ab898af645bd8e451c512d3"
PINNED = "sha256:5bcf3c836b179f63b0d300c8d24a65ea1c33be7a9d1dbb002d9046dcd42512d4"
CANARY = "    - {weight: 25, pause: 10m}\n    - {weight: 50, pause: 10m}\n    - {weight: 75, pause: 10m}\n"

FILES: dict[str, Planted] = {
    # differs without a reason
    "another branch in one environment": unequal(
        "config.ladder:delivery.branch", edit(PROD, "branch: main", "branch: release")
    ),
    "a second registry in one environment": unequal(
        "config.ladder:images.registries",
        edit(
            PROD,
            "dependencies: ghcr.io/acme/mirror\n",
            "dependencies: ghcr.io/acme/mirror\n      hub: docker.io/acme\n",
        ),
        where=Line(PROD, "    registries:"),
    ),
    "another registry in one environment": unequal(
        "config.ladder:images.registries.services",
        edit(PROD, "services: ghcr.io/acme/shop", "services: ghcr.io/acme/shop-prod"),
    ),
    "a second image of a service": unequal(
        "service.image", edit(overlay(WEB), "image: ghcr.io/acme/shop/web", "image: ghcr.io/acme/shop/web-fast")
    ),
    "another image of a store": unequal(
        "dependencies.stores.cache.image",
        edit(overlay(API), REDIS, REDIS.replace("c9fd", "0000")),
        edit(overlay(WORKER), REDIS, REDIS.replace("c9fd", "0000")),
    ),
    "another image of a store than its owner's": refused(
        "is not the object store api brings",
        "dependencies.objects",
        edit(overlay(WEB), SEAWEED, SEAWEED.replace("6352", "0000")),
        where=Line(overlay(WEB), "  objects:"),
    ),
    "another way for a key to be used": unequal(
        "config.ladder:keys.secrets.via.s3",
        edit(STAGING, "via: {s3: false, secretsmanager: true}", "via: {s3: true, secretsmanager: true}"),
    ),
    "more access for a service": unequal(
        "config.ladder:services.web.buckets.uploads",
        edit(
            PROD,
            "    web:\n      buckets:\n        uploads: read\n",
            "    web:\n      buckets:\n        uploads: read-write\n",
        ),
    ),
    "another path of a probe": unequal(
        "service.probes.liveness", edit(overlay(API), "liveness: /healthz", "liveness: /live")
    ),
    "another time to end": unequal(
        "service.stopSeconds", edit(overlay("dev/worker"), "stopSeconds: 60", "stopSeconds: 61")
    ),
    "another metric of success": unequal(
        "service.metrics.successRate", edit(overlay(WORKER), "[2m])) / sum", "[1h])) / sum")
    ),
    "no bucket for a service": unequal(
        "config.ladder:services.worker.buckets",
        edit(STAGING, "buckets:\n        uploads: read\n        exports: write\n", "buckets: {}\n"),
    ),
    # a key dropped, a value that is none
    "a key dropped from a stack": refused(
        "is missing",
        "config.ladder:delivery.chart",
        edit(PROD, "    chart: oci://ghcr.io/acme/charts/service\n", ""),
        where=Line(PROD, "  ladder:delivery:"),
    ),
    "a section dropped from a stack": refused(
        "is missing",
        "config.ladder:tier",
        edit(PROD, "  ladder:tier:\n    level: full\n\n", ""),
        where=Line(PROD, "config:"),
    ),
    "a key dropped from an overlay": refused(
        "is missing",
        "scale.minAvailable",
        edit(overlay(WEB), "  minAvailable: 3\n", ""),
        where=Line(overlay(WEB), "scale:"),
    ),
    "a feature dropped from an overlay": unequal(
        "features", edit(overlay(WEB), "  guest-checkout: true\n", ""), where=Line(overlay(WEB), "features:")
    ),
    "a secret dropped from an overlay": unequal(
        "secrets",
        edit(overlay(WEB), "secrets:\n  SESSION_KEY: ladder/prod/web/session-key\n", "secrets: {}\n"),
    ),
    "a key's alias dropped from an overlay": unequal(
        "endpoints.keys", edit(overlay(API), "keys: {data: alias/ladder-prod-data}", "keys: {}")
    ),
    "a key that nothing reads": refused(
        "is an unknown key", "scale.replica", edit(overlay(WEB), "  surge: 1\n", "  surge: 1\n  replica: 5\n")
    ),
    "a key given twice": refused(
        "stands twice", "tier", edit(overlay(WEB), "tier: full\n", "tier: full\ntier: lite\n")
    ),
    "a tag for a digest": refused(
        "does not have the required form", "image.digest", edit("gitops/envs/prod/web/version.yaml", PINNED, "v1.2.3")
    ),
    "a store's image by its tag": refused(
        "does not have the required form", "dependencies.stores.cache.image", edit(overlay(API), REDIS, "redis:7")
    ),
    "default providers let in": refused(
        "must forbid default providers", "config.pulumi:disable-default-providers", edit(PROD, '["*"]', '["aws"]')
    ),
    # the rungs' order
    "staging's tier lowered": order(
        "tier", "config.ladder:tier.level", edit(STAGING, "level: full", "level: standard")
    ),
    "staging without prod's spread": order(
        "topology", "scale.spread", edit(overlay("staging/web"), "spread: required", "spread: preferred")
    ),
    "staging without prod's autoscaler": order(
        "topology", "scale.replicas.max", edit(overlay("staging/web"), "{min: 2, max: 4,", "{min: 2, max: 2,")
    ),
    "staging without a service of prod": order(
        "topology", "", removed("gitops/envs/staging/worker"), says="lacks the service worker"
    ),
    "a class of data that rises going down": order(
        "data",
        "config.ladder:data.class",
        edit(
            DEV,
            "class: synthetic\n    procedure: null",
            "class: anonymized\n    procedure: "
            f"{{name: k, report: 'sha256:{'0' * 64}', owner: me, expires: '2999-12-31'}}",
        ),
    ),
    "real data below prod": refused(
        "real data never leaves the prod rung",
        "config.ladder:data.class",
        edit(STAGING, "class: synthetic", "class: real"),
    ),
    "a feature on in dev and not in previews": order(
        "feature",
        "features.new-search",
        edit(overlay("preview/web"), "new-search: true", "new-search: false"),
        where=Line(overlay("dev/web"), "new-search: true"),
    ),
    "a feature on in prod and not below": order(
        "feature", "features.new-search", edit(overlay(WEB), "new-search: false", "new-search: true")
    ),
    "automated sync in prod": refused(
        "prod never syncs by itself",
        "config.ladder:delivery.sync.automated",
        edit(PROD, "automated: false", "automated: true"),
    ),
    "automated sync in prod, by code": Planted(
        by=Part.ORDER,
        edits=(edit("components/delivery.py", "if delivery.sync.automated:", "if True:"),),
        rule="order/prod-syncs",
        where="kubernetes:argoproj.io/v1alpha1:ApplicationSet::delivery",
        path="inputs.spec.template",
        stacks=("prod",),
    ),
    "automated sync above what syncs by hand": order(
        "sync",
        "config.ladder:delivery.sync.selfHeal",
        edit(DEV, "selfHeal: true", "selfHeal: false"),
        where=Line(STAGING, "selfHeal: true"),
    ),
    "prod not kept when its folder is removed": refused(
        "must outlive a removed folder",
        "config.ladder:delivery.keepWhenRemoved",
        edit(PROD, "keepWhenRemoved: true", "keepWhenRemoved: false"),
    ),
    "a larger jump in prod": order(
        "rollout",
        "rollout.canary",
        edit(overlay(WEB), CANARY, "    - {weight: 75, pause: 30m}\n"),
        where=Line(overlay(WEB), "canary:"),
    ),
    "a canary in prod that is measured less": order(
        "rollout", "rollout.analysis.threshold", edit(overlay(WEB), "threshold: 0.99", "threshold: 0.9")
    ),
    "a canary's weight that no number of pods is": refused(
        "cannot be realised by 4 pods", "rollout.canary.0.weight", edit(overlay(WEB), "{weight: 25,", "{weight: 10,")
    ),
    "a quota that is not prod's share": order(
        "scale", "config.ladder:namespaces.services.quota.pods", edit(STAGING, "pods: 120", "pods: 130")
    ),
    # planes
    "a quota below the autoscaler": planes(
        "capacity/quota",
        "config.ladder:namespaces.services.quota.limits.cpu",
        edit(overlay(WEB), "{min: 4, max: 12,", "{min: 4, max: 80,"),
        where=Line(PROD, 'limits: {cpu: "48"'),
    ),
    "a container above its limit": planes(
        "capacity/container",
        "scale.resources.limits.memory",
        edit(overlay(WEB), "limits: {cpu: 500m, memory: 256Mi}", "limits: {cpu: 500m, memory: 2049Mi}"),
    ),
    "a bucket of another environment": planes(
        "planes/bucket",
        "endpoints.buckets.uploads",
        edit(overlay("dev/web"), "acme-shop-dev-uploads", "acme-shop-prod-uploads"),
        says="of prod",
    ),
    "a role of another environment": planes(
        "planes/role",
        "endpoints.role.arn",
        edit(overlay("dev/web"), "210987654321:role/ladder-dev-web", "432109876543:role/ladder-prod-web"),
        says="of prod",
    ),
    "a role of another service": planes(
        "planes/role", "endpoints.role.arn", edit(overlay("dev/web"), "role/ladder-dev-web", "role/ladder-dev-api")
    ),
    "a host of another environment": planes(
        "planes/host",
        "endpoints.hosts.public",
        edit(overlay("dev/web"), "shop.dev.acme.dev", "shop.acme.com"),
        says="prod answers",
    ),
    "a secret of another environment": planes(
        "planes/secret",
        "secrets.SESSION_KEY",
        edit(overlay("staging/web"), "ladder/staging/web", "ladder/prod/web"),
        says="of prod",
    ),
    "a key of another environment": planes(
        "planes/key",
        "endpoints.keys.data",
        edit(overlay("staging/api"), "alias/ladder-staging-data", "alias/ladder-prod-data"),
        says="of prod",
    ),
    "a region of another environment": planes(
        "planes/region", "endpoints.region", edit(overlay("staging/web"), "region: eu-west-1", "region: eu-central-1")
    ),
    "a lower rung that calls prod": planes(
        "planes/host",
        "endpoints.monitoring.address",
        edit(overlay("staging/web"), "http://prometheus.monitoring:9090", "http://prometheus.acme.com:9090"),
        says="prod answers",
    ),
    "an account of another environment": refused(
        "is not this environment's account",
        "config.ladder:cloud.account",
        edit(STAGING, '    account: "321098765432"', '    account: "432109876543"'),
    ),
    "a lower rung's role that replicates into prod": refused(
        "is a role of 'dev'",
        "config.ladder:cloud.replicationRoles.archive",
        edit(PROD, "iam::765432109876:role/archive", "iam::210987654321:role/archive"),
    ),
    "a domain below another's": refused(
        "is not apart from",
        "config.ladder:hosts.domain",
        edit(STAGING, "domain: staging.acme.dev", "domain: staging.acme.com"),
    ),
    # the tree
    "an override that Argo CD would read": refused(
        "overrides what the files say", "", added("gitops/envs/prod/web/.argocd-source.yaml", "helm: {}\n")
    ),
    "an override of one Application": refused(
        "overrides what the files say", "", added("gitops/envs/prod/web/.argocd-source-prod-web.yaml", "helm: {}\n")
    ),
    "a link to another environment's values": refused(
        "is a symbolic link", "", linked(overlay(WEB), "../../staging/web/values.yaml")
    ),
    "a link in the chart": refused(
        "is a symbolic link", "", linked("gitops/chart/templates/service.yaml", "configmap.yaml")
    ),
    "a file beside an overlay": refused(
        "is not part of an overlay", "", added("gitops/envs/prod/web/values-prod.yaml", "tier: lite\n")
    ),
    # exceptions
    "an expired exception": excepted("expired", "exceptions.trial.expires", expires='"2001-01-01"'),
    "an unused exception": excepted("unused", "exceptions.trial.path"),
    "an exception of another environment": excepted("unused", "exceptions.trial.path", environment="nowhere"),
}
