"""Planted code that knows where it runs: branches in the program and in the chart, in every form that they come in."""

from __future__ import annotations

from ladder.substitution import TOGETHER
from tests.planted import Edit, Line, Part, Planted, edit

__all__ = ["BRANCHES", "TEMPLATES"]

BUCKET, ENVIRONMENT, IDENTITY = (f"components/{name}.py" for name in ("bucket", "environment", "identity"))


def law(subject: str, where: str, path: str, *edits: Edit) -> Planted:
    """What a program declares for prod shows it, where another value is put in place of the subject."""
    return Planted(
        by=Part.LAW,
        edits=edits,
        rule="law/stack",
        where=where,
        path=path,
        says=f"changes with the {SAID.get(subject, subject)}, ",
        stacks=("prod",),
        subject=subject,
    )


SAID = {
    "name": "environment's name",
    "stack": "stack's name",
    "dry run": "dry-run flag",
    "roles": "names of roles",
    "secrets": "prefix of secrets",
    TOGETHER: "literals all together",
}


def session(subject: str, seconds: str, *more: Edit) -> Planted:
    """How long a role may be assumed is what an expression gives."""
    changed = edit(IDENTITY, "max_session_duration=3600", f"max_session_duration={seconds}")
    return law(subject, "aws:iam/role:Role::web", "inputs.maxSessionDuration", changed, *more)


def emptied(subject: str, condition: str) -> Planted:
    """A destroy empties buckets where a condition holds."""
    changed = edit(BUCKET, "force_destroy=False", f"force_destroy={condition}")
    return law(subject, "aws:s3/bucket:Bucket::evidence", "inputs.forceDestroy", changed)


def uploads(subject: str, days: str, *more: Edit) -> Planted:
    """After how many days an upload is given up is what an expression gives."""
    changed = edit(BUCKET, '"days_after_initiation": _ABORT_UPLOADS_DAYS', f'"days_after_initiation": {days}')
    where = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration::evidence"
    return law(subject, where, "inputs.rules[0].abortIncompleteMultipartUpload.daysAfterInitiation", changed, *more)


def domain(subject: str, expression: str) -> Planted:
    """An output of the stack is what an expression gives."""
    changed = edit(ENVIRONMENT, '"domain": settings.hosts.domain', f'"domain": {expression}')
    return law(subject, "outputs", "domain", changed)


def above(file: str, lines: str) -> Edit:
    """Lines of a module, which run as it is imported."""
    return edit(file, "__all__ = [", f"{lines}\n\n__all__ = [")


def asking(expression: str, *imports: str) -> Planted:
    """A variable is asked for: not every value that it may have can be tried, so that asking is refused."""
    changed = edit(BUCKET, "force_destroy=False", f"force_destroy={expression}")
    edits = (above(BUCKET, "\n".join(imports or ("import os",))), changed)
    where, says = Line(BUCKET, "force_destroy="), "the program reads the environment"
    return Planted(by=Part.RECORDING, edits=edits, rule="recording", where=where, says=says, stacks=("dev",))


def rung(expression: str) -> Planted:
    """The tags of buckets are what an expression gives."""
    key = "            key_arn=keys[settings.buckets[bucket].key].arn,\n            tags="
    return Planted(
        by=Part.EXPLAINED,
        edits=(edit(ENVIRONMENT, f"{key}settings.tags()", f"{key}{expression}"),),
        rule="explained/rung",
        where="aws:s3/bucket:Bucket::evidence",
        path="inputs.tags.ladder:owner",
        says="follows from the rung, from dev to staging",
        stacks=("dev", "staging"),
    )


LONGER = "def _longer({}) -> int:\n    return 43200 if {} else 3600\n"

BRANCHES: dict[str, Planted] = {
    "the stack's name": session("stack", '43200 if pulumi.get_stack() == "prod" else 3600'),
    "the stack's name, by a dict": session("stack", '{"prod": 43200}.get(pulumi.get_stack(), 3600)'),
    "the stack's name, by a constant of a module": session(
        "stack", "_SECONDS", above(IDENTITY, '_SECONDS = 43200 if pulumi.get_stack() in {"dev", "prod"} else 3600')
    ),
    "the stack's name, by a default argument": session(
        "stack", "_longer()", above(IDENTITY, LONGER.format("stack: str = pulumi.get_stack()", 'stack == "prod"'))
    ),
    "the dry-run flag": session("dry run", "1 if pulumi.runtime.is_dry_run() else 3600"),
    "the dry-run flag, by a dict": session("dry run", "{True: 1}.get(pulumi.runtime.is_dry_run(), 3600)"),
    "the environment's name": emptied("name", 'self._args.tags["ladder:environment"] == "prod"'),
    "the environment's name, by a dict": emptied(
        "name", '{"prod": True}.get(self._args.tags["ladder:environment"], False)'
    ),
    "the environment's name, in its configuration": session(
        "name",
        "_SECONDS",
        above(
            IDENTITY,
            '_NAME = pulumi.Config("ladder").require_object("environment")["name"]\n'
            '_SECONDS = 43200 if _NAME == "prod" else 3600',
        ),
    ),
    "a bucket's name, in an apply": law(
        "buckets",
        "aws:s3/bucketPolicy:BucketPolicy::evidence",
        "inputs.policy.Statement",
        edit(BUCKET, "require_key_id=True", 'require_key_id=":::acme-shop-prod" not in arns["bucket"]'),
    ),
    "the owner": emptied("owner", 'self._args.tags["ladder:owner"] == "team-shop"'),
    "the account": emptied("account", 'self._args.cloud.account == "432109876543"'),
    "the account, by a dict": uploads(
        "account", '{"432109876543": 1}.get(self._args.cloud.account, _ABORT_UPLOADS_DAYS)'
    ),
    "the account, by a part of it": domain(
        "account", 'settings.hosts.domain if settings.cloud.account[0] == "4" else "none"'
    ),
    "the region": emptied("region", 'self._args.cloud.region.startswith("eu-")'),
    "the region, by a dict": uploads("region", '{"eu-central-1": 1}.get(self._args.cloud.region, _ABORT_UPLOADS_DAYS)'),
    "the region, by a default argument": uploads(
        "region",
        "_days(self._args.cloud.region)",
        above(
            BUCKET,
            'def _days(region: str, busy: str = "eu-central-1") -> int:\n    return 1 if region == busy else 7\n',
        ),
    ),
    "the cluster": law(
        "cluster",
        "pulumi:providers:kubernetes::cluster",
        "inputs.enableServerSideApply",
        edit(
            "components/providers.py",
            "enable_server_side_apply=True",
            "enable_server_side_apply=cluster.context != 'acme-prod'",
        ),
    ),
    "the domain": domain("host", 'settings.hosts.domain if settings.hosts.domain != "acme.com" else "www.acme.com"'),
    "a bucket's name": emptied("buckets", '"-prod-" in self._args.settings.name'),
    "a role's name": emptied("roles", '"archive" in self._args.cloud.replication_roles["archive"]'),
    "the prefix of secrets": law(
        "secrets",
        "kubernetes:external-secrets.io/v1:SecretStore::secrets",
        "inputs.spec.provider.aws.service",
        edit(
            "components/secret_store.py",
            '"service": "SecretsManager"',
            '"service": "SecretsManager" if args.secrets.prefix == "ladder/prod" else "ParameterStore"',
        ),
    ),
    "two of them together": emptied(
        TOGETHER,
        'self._args.cloud.region == "eu-central-1" or self._args.tags["ladder:environment"] == "prod"',
    ),
    "who runs the program": emptied("environment variables", '__import__("getpass").getuser() != "planted"'),
    "the rung": rung('settings.tags() | ({"ladder:owner": "all"} if settings.environment.rung.value == "dev" else {})'),
    "an environment variable": asking('os.environ["SHOP_TIER"] == "large"'),
    "an environment variable, by a default": asking('os.environ.get("SHOP_TIER", "small") == "large"'),
    "an environment variable, asked for by getenv": asking(
        'getenv("SHOP_TIER", "small") == "large"', "from os import getenv"
    ),
    "an environment variable, whether it is there": asking('"SHOP_TIER" in environ', "from os import environ"),
    "an environment variable, by a dict of them": asking('dict(os.environ).get("SHOP_TIER") == "large"'),
}

ROLLOUT = "gitops/chart/templates/rollout.yaml"
SECONDS = "      terminationGracePeriodSeconds: {{ int $service.stopSeconds }}\n"


def template(says: str, condition: str, service: str = "prod/api") -> Planted:
    """Pods are told to end sooner where a condition holds."""
    sooner = f"      {{{{- if {condition} }}}}\n      terminationGracePeriodSeconds: 1\n      {{{{- else }}}}\n"
    return _template(says, f"{sooner}{SECONDS}      {{{{- end }}}}\n", service)


def seconds(says: str, expression: str) -> Planted:
    """When pods are told to end is what an expression gives."""
    return _template(says, SECONDS.replace("int $service.stopSeconds", expression), "prod/api")


def _template(says: str, lines: str, service: str) -> Planted:
    return Planted(
        by=Part.CHART_LAW,
        edits=(edit(ROLLOUT, SECONDS, lines),),
        rule="law/overlay",
        where=ROLLOUT,
        path=f"Rollout {service.partition('/')[2]}: spec.template.spec.terminationGracePeriodSeconds",
        says=f"changes with {says}, ",
        service=service,
    )


NAMESPACE = "the namespace that Helm is told"

TEMPLATES: dict[str, Planted] = {
    "the namespace": template(NAMESPACE, 'hasPrefix "prod-" $.Release.Namespace'),
    "the namespace, by a dict": seconds(NAMESPACE, 'get (dict "prod-services" 1) $.Release.Namespace | default 30'),
    "the region": template("endpoints.region", 'eq $.Values.endpoints.region "eu-central-1"'),
    "the region, by a dict": seconds(
        "endpoints.region", 'get (dict "eu-central-1" 1) $.Values.endpoints.region | default 30'
    ),
    "the account": template("endpoints.role", 'contains "432109876543" (get $.Values.endpoints.role "arn")'),
    "a bucket's name": template("endpoints.buckets", 'hasPrefix "acme-shop-prod" $.Values.endpoints.buckets.uploads'),
    "a key's alias": template("endpoints.keys", 'eq $.Values.endpoints.keys.data "alias/ladder-prod-data"'),
    "a store's network": template("endpoints.stores", 'hasPrefix "10.30." $.Values.endpoints.stores.database.cidr'),
    "another's host": template("endpoints.external", 'contains "//api." $.Values.endpoints.external.payments'),
    "a host of its own": template(
        "endpoints.hosts", 'has "shop.acme.com" (values $.Values.endpoints.hosts)', "prod/web"
    ),
    "the edge": template("endpoints.edge", 'eq $.Values.endpoints.edge.namespace "gateways"'),
    "the monitoring": template("endpoints.monitoring", 'contains "prometheus" $.Values.endpoints.monitoring.address'),
    "a secret's name": template("secrets", 'hasPrefix "ladder/prod" $.Values.secrets.PAYMENTS_TOKEN'),
    "whose data it is filled with": template(
        "seed.environment", 'eq ($.Values.seed.environment | default "") "staging"', "staging/api"
    ),
    "two of them together": template(
        "all literals together",
        'or (eq $.Values.endpoints.region "eu-central-1") (hasPrefix "prod-" $.Release.Namespace)',
    ),
    "the region, by refusing others": Planted(
        by=Part.CHART_LAW,
        edits=(
            edit(
                ROLLOUT,
                '{{- include "service.checks" . -}}',
                '{{- if ne .Values.endpoints.region "eu-central-1" }}{{ fail "only there" }}{{ end }}'
                '{{- include "service.checks" . -}}',
            ),
        ),
        rule="law/refused",
        where="gitops/envs/prod/api/values.yaml",
        says="cannot be rendered with another value for endpoints.region",
        service="prod/api",
    ),
}
