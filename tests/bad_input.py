"""What may be wrong with a stack file, one edit each, and what must be said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.support import ROOT


@dataclass(frozen=True)
class Bad:
    """An edit of a stack's file, and what must be said of it.

    ``path`` starts at a section, or with a slash at the file's top. ``below``: lines from the edit to the error.
    """

    stack: str
    old: str
    new: str
    path: str
    says: str
    found: str
    accepted: str = ""
    example: str = ""
    below: int = 0


def _section(stack: str, name: str) -> str:
    """A section of a stack's file, as it stands there."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^  (ladder:{name}:.*?)(?=^  \S|\Z)", text)
    assert found is not None
    return found[1].rstrip("\n")


TIER = "  ladder:tier:\n    level: standard\n"
BAD = {
    "an unknown key": Bad(
        "dev",
        "rung: dev\n",
        "rung: dev\n    colour: red\n",
        "environment.colour",
        "unknown",
        "colour",
        "name, rung, owner",
        below=1,
    ),
    "a misspelt key": Bad(
        "dev",
        "noncurrentDays: 3",
        "noncurentDays: 3",
        "data.noncurentDays",
        "unknown",
        "noncurentDays",
        example="did you mean noncurrentDays?",
    ),
    "a key of another section": Bad(
        "dev",
        "    level: standard",
        "    level: standard\n    region: eu-west-1",
        "tier.region",
        "unknown",
        "region",
        "level",
        "it belongs to ladder:cloud.region",
        1,
    ),
    "a key one level too high": Bad(
        "dev",
        "        storage: 20Gi",
        '        storage: 20Gi\n      max: {cpu: "1", memory: 1Gi}',
        "namespaces.services.max",
        "unknown",
        "max",
        "quota, containers",
        "ladder:namespaces.<name>.containers.max",
        1,
    ),
    "a key of a switch that is off": Bad(
        "prod",
        "ladder:previews:\n    enabled: false",
        "ladder:previews:\n    enabled: false\n    host: a.b",
        "previews.host",
        "unknown",
        "host",
        "enabled",
        "where enabled is true",
        2,
    ),
    "a section without its prefix": Bad(
        "dev",
        "  ladder:tier:",
        "  tier:",
        "/config.tier",
        "unknown",
        "tier",
        "ladder:tier",
        "did you mean ladder:tier?",
    ),
    "a misspelt section": Bad(
        "dev",
        "  ladder:tier:",
        "  ladder:teir:",
        "/config.ladder:teir",
        "unknown",
        "ladder:teir",
        "ladder:tier",
        "did you mean ladder:tier?",
    ),
    "another program's configuration": Bad(
        "dev",
        TIER,
        TIER + "  aws:region: eu-west-1\n",
        "/config.aws:region",
        "unknown",
        "aws:region",
        example="it belongs to config.ladder:cloud.region",
        below=2,
    ),
    "a missing key": Bad(
        "dev",
        "    owner: team-platform\n",
        "",
        "environment.owner",
        "is missing",
        "no such key",
        "every key stands in every environment",
        "owner: team-platform",
        -3,
    ),
    "a missing section": Bad(
        "dev", TIER, "", "tier", "is missing", "no such key", example="ladder:tier: {level: standard}", below=-33
    ),
    "text for a number": Bad(
        "dev",
        "noncurrentDays: 3",
        "noncurrentDays: three",
        "data.noncurrentDays",
        "not accepted",
        '"three"',
        "a whole number",
        "noncurrentDays: 1",
    ),
    "a number for text": Bad(
        "dev",
        'account: "210987654321"',
        "account: 210987654321",
        "cloud.account",
        "not accepted",
        "210987654321",
        "twelve digits, quoted",
        'account: "111122223333"',
    ),
    "a fraction for a whole number": Bad(
        "dev", "noncurrentDays: 3", "noncurrentDays: 3.5", "data.noncurrentDays", "not accepted", "3.5"
    ),
    "zero where something must be": Bad(
        "dev", "noncurrentDays: 3", "noncurrentDays: 0", "data.noncurrentDays", "not accepted", "0", "greater than 0"
    ),
    "text for a boolean": Bad(
        "dev",
        "keepWhenRemoved: false",
        'keepWhenRemoved: "false"',
        "delivery.keepWhenRemoved",
        "not accepted",
        '"false"',
        "true or false",
    ),
    "a list for a map": Bad("dev", "windows: {}", "windows: []", "delivery.windows", "not accepted", "[]", "a map"),
    "text for a section": Bad(
        "dev",
        TIER,
        "  ladder:tier: standard\n",
        "tier",
        "not accepted",
        '"standard"',
        "a map",
        "ladder:tier: {level: standard}",
    ),
    "null where something must be": Bad(
        "dev",
        "prefix: ladder/dev",
        "prefix: null",
        "secrets.prefix",
        "not accepted",
        "null",
        example="prefix: ladder/dev",
    ),
    "a word that is none of the choices": Bad(
        "dev",
        "class: synthetic",
        "class: fake",
        "data.class",
        "not accepted",
        '"fake"',
        "'throwaway', 'synthetic', 'anonymized' or 'real'",
        "class: synthetic",
    ),
    "a namespace there is not": Bad(
        "dev",
        "  ladder:namespaces:\n",
        "  ladder:namespaces:\n    extra: {}\n",
        "namespaces.extra",
        "not a key",
        '"extra"',
        "'services' or 'data'",
        below=1,
    ),
    "a service whose name is no label": Bad(
        "dev",
        "    web:\n",
        "    Web:\n",
        "services.Web",
        "does not have the required form",
        '"Web"',
        "a DNS label",
        "web",
    ),
    "a key that stands twice": Bad(
        "dev",
        TIER,
        TIER + "    level: full\n",
        "tier.level",
        "stands twice",
        "first on line 36, again on line 37",
        below=2,
    ),
    "a section that stands twice": Bad(
        "dev", TIER, TIER + TIER, "tier", "stands twice", "first on line 35, again on line 37", below=2
    ),
    "a python tag": Bad(
        "dev",
        "level: standard",
        "level: !!python/object/apply:os.system [touch here]",
        "tier.level",
        "has a tag",
        "!!python/object/apply:os.system",
    ),
    "an anchor": Bad("dev", "level: standard", "level: &level standard", "tier.level", "has an anchor", "&level"),
    "an alias": Bad("dev", "    level: standard", "    level: *level", "tier.level", "repeats", "an alias (*level)"),
    "an ambiguous boolean": Bad(
        "dev",
        "keepWhenRemoved: false",
        "keepWhenRemoved: no",
        "delivery.keepWhenRemoved",
        "boolean",
        "no",
        example="false",
    ),
    "an octal": Bad("dev", "noncurrentDays: 3", "noncurrentDays: 010", "data.noncurrentDays", "base", "010"),
    "a date": Bad(
        "dev",
        "owner: team-platform",
        "owner: 2026-01-01",
        "environment.owner",
        "a date",
        "2026-01-01",
        example='"2026-01-01"',
    ),
    "a sexagesimal": Bad("dev", "owner: team-platform", "owner: 12:30", "environment.owner", "base-60", "12:30"),
    "four cores": Bad(
        "dev",
        '{cpu: "6", memory: 12Gi}',
        "{cpu: 4 cores, memory: 12Gi}",
        "namespaces.services.quota.requests.cpu",
        "not a Kubernetes quantity",
        '"4 cores"',
        "a Kubernetes quantity above zero",
        "cpu: 500m",
    ),
    "a bucket name with capitals": Bad(
        "dev",
        "acme-shop-dev-uploads",
        "Acme-Shop-Dev-Uploads",
        "buckets.uploads.name",
        "not a bucket name",
        '"Acme-Shop-Dev-Uploads"',
        "3 to 63",
    ),
    "a schedule with six fields": Bad(
        "prod", "0 9 * * 1-4", "0 0 9 * * 1-4", "delivery.windows.weekdays.schedule", "has 6 fields", '"0 0 9 * * 1-4"'
    ),
    "two stacks in one account": Bad(
        "staging",
        '    account: "321098765432"',
        '    account: "432109876543"',
        "cloud.account",
        "is not this environment's account",
        "432109876543",
        "321098765432",
    ),
    "a lower rung's deployer in prod": Bad(
        "prod",
        "arn:aws:iam::432109876543:role/ladder-deployer",
        "arn:aws:iam::321098765432:role/ladder-deployer",
        "cloud.deployerRole",
        "is a role of 'staging'",
        "321098765432",
        "432109876543",
    ),
    "a lower rung's key administrator in prod": Bad(
        "prod",
        "arn:aws:iam::432109876543:role/key-administrator",
        "arn:aws:iam::210987654321:role/key-administrator",
        "cloud.keyAdministratorRole",
        "is a role of 'dev'",
        "210987654321",
    ),
    "a lower rung's replication into prod": Bad(
        "prod",
        "arn:aws:iam::765432109876:role/archive-replication",
        "arn:aws:iam::210987654321:role/archive-replication",
        "cloud.replicationRoles.archive",
        "is a role of 'dev'",
        "210987654321",
    ),
    "real data below prod": Bad(
        "dev",
        "class: synthetic",
        "class: real",
        "data.class",
        "real data never leaves the prod rung",
        "real",
        "throwaway, synthetic, anonymized",
        "class: synthetic",
    ),
    "previews on prod": Bad(
        "prod",
        "ladder:previews:\n    enabled: false",
        _section("dev", "previews"),
        "previews.enabled",
        "in the dev cluster only",
        "true on prod",
        "false",
        below=1,
    ),
    "automated sync on prod": Bad(
        "prod",
        "automated: false",
        "automated: true",
        "delivery.sync.automated",
        "prod never syncs by itself",
        "true",
        "false",
    ),
    "limits below requests": Bad(
        "dev",
        '{cpu: "12", memory: 24Gi}',
        '{cpu: "5", memory: 24Gi}',
        "namespaces.services.quota.requests.cpu",
        "is more than quota.limits.cpu",
        "6",
        "at most 5",
        below=-1,
    ),
    "a service called default": Bad(
        "dev",
        "    web:\n",
        "    default:\n",
        "services.default",
        "is the name of a ServiceAccount",
        "default",
        "delivery, secret-reader",
    ),
    "a secret value": Bad(
        "dev",
        "prefix: ladder/dev",
        "prefix: {secure: v1:AAABAEoK:c2VjcmV0}",
        "secrets.prefix",
        "is a secret value",
        "secure: (not shown)",
        "a reference",
    ),
    "a whole secret section": Bad(
        "dev",
        TIER,
        "  ladder:tier: {secure: v1:AAABAEoK:c2VjcmV0}\n",
        "tier",
        "is a secret value",
        "secure: (not shown)",
    ),
    "a password in an address": Bad(
        "dev",
        "https://github.com/acme/env",
        "https://me:c2VjcmV0@github.com/acme/env",
        "delivery.repository",
        "holds a user name or password",
        "://…@github.com",
    ),
    "an ESC environment": Bad(
        "dev",
        "config:\n",
        "environment:\n  - acme/dev\nconfig:\n",
        "/environment",
        "imports an ESC environment",
        '["acme/dev"]',
        "this file",
    ),
    "an unknown key beside config": Bad(
        "dev", "config:\n", "backend: s3\nconfig:\n", "/backend", "unknown", "backend", "config, encryptedkey"
    ),
    "default providers": Bad(
        "dev",
        'pulumi:disable-default-providers: ["*"]',
        'pulumi:disable-default-providers: ["aws"]',
        "/config.pulumi:disable-default-providers",
        "must forbid default providers",
        '["aws"]',
        '["*"]',
    ),
}
