"""Domain types: strings that are checked by the rules of the system that will read them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

__all__ = [
    "REGIONS",
    "AwsAccountId",
    "BucketName",
    "ChartRepository",
    "HostName",
    "Cron",
    "Digest",
    "DnsLabel",
    "Duration",
    "GitBranch",
    "GitRepository",
    "IamRoleArn",
    "LabelValue",
    "LoopbackUrl",
    "OidcIssuer",
    "Quantity",
    "Region",
    "RegistryPrefix",
    "SecretPrefix",
    "TimeZone",
    "TreePath",
    "arn_account",
    "duration",
    "quantity",
]

REGIONS: dict[str, frozenset[str]] = {
    "aws": frozenset(
        "af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 "
        "ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-7 ca-central-1 ca-west-1 "
        "eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 "
        "me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2".split()
    ),
    "aws-cn": frozenset({"cn-north-1", "cn-northwest-1"}),
    "aws-us-gov": frozenset({"us-gov-east-1", "us-gov-west-1"}),
}
"""Regions by partition; a test holds them against botocore's own list."""


@dataclass(frozen=True)
class _Text:
    """The rule of a string type. ``check`` returns what is wrong, or None; ``pattern`` is for the JSON Schema."""

    check: Callable[[str], str | None]
    accepted: str
    example: str
    pattern: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = {"pattern": self.pattern} if self.pattern else {}
        return {"type": "string", "description": f"Accepted: {self.accepted}", "examples": [self.example], **pattern}

    def _validate(self, value: str) -> str:
        wrong = self.check(value)
        if wrong is None:
            return value
        context = {"wrong": wrong, "accepted": self.accepted, "example": self.example}
        raise PydanticCustomError("ladder", "{wrong}", context)


def _matching(pattern: str, accepted: str, example: str) -> _Text:
    compiled = re.compile(pattern)
    wrong = "does not have the required form"
    return _Text(lambda value: None if compiled.fullmatch(value) else wrong, accepted, example, f"^(?:{pattern})$")


_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?")
_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(["k", "M", "G", "T", "P", "E"], start=1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], start=1)},
}


def quantity(value: str) -> Decimal:
    """The number a Kubernetes quantity stands for (cores, bytes, items).

    Rule: k8s.io/apimachinery ``resource.Quantity``, without signs; raises ValueError for anything else.
    """
    match = _QUANTITY.fullmatch(value)
    if not match:
        raise ValueError(f"not a quantity: {value!r}")
    number, suffix = match[1], match[2] or ""
    if suffix not in _SUFFIXES:
        return Decimal(number + suffix)
    return Decimal(number) * _SUFFIXES[suffix]


def _quantity_problem(value: str) -> str | None:
    try:
        number = quantity(value)
    except ValueError:
        return "is not a Kubernetes quantity"
    return None if number > 0 else "must be more than zero"


_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(value: str) -> timedelta:
    """The time a Go duration such as ``1h30m`` stands for; raises ValueError for anything else."""
    if not _DURATION.fullmatch(value):
        raise ValueError(f"not a duration: {value!r}")
    return timedelta(
        seconds=sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(value))
    )


def _duration_problem(value: str) -> str | None:
    try:
        return None if duration(value) > timedelta(0) else "must be more than zero"
    except (ValueError, OverflowError):
        return "is not a Go duration"


_RESERVED_BUCKET_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_BUCKET_SUFFIXES = ("-s3alias", "--ols-s3", "--x-s3", "--table-s3")


def _bucket_problem(value: str) -> str | None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", value):
        return "is not a bucket name that works over TLS"
    if value.startswith(_RESERVED_BUCKET_PREFIXES) or value.endswith(_RESERVED_BUCKET_SUFFIXES):
        return "uses a prefix or suffix that S3 reserves"
    return None


_ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}):role/(?:[\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64}")


def arn_account(arn: str) -> str:
    """The account id in an ARN, e.g. ``111122223333``."""
    return arn.split(":")[4]


def _role_problem(value: str) -> str | None:
    if "*" in value or "?" in value:
        return "may not contain a wildcard: a principal is one role"
    return None if _ROLE_ARN.fullmatch(value) else "is not the ARN of an IAM role"


_CRON_NAMES = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\b", re.IGNORECASE
)


def _cron_problem(value: str) -> str | None:
    fields = value.split(" ")
    if len(fields) != 5 or not all(fields):
        return f"has {len(value.split())} fields, not five separated by single spaces"
    if re.search(r"[^0-9*/,? -]", _CRON_NAMES.sub("", value)):
        return "uses a form that Argo CD's cron parser does not know"
    if re.search(r"(?:^|[,-])7", fields[4]):
        return "names Sunday 7; Argo CD's cron parser counts from 0 (Sunday) to 6"
    try:
        croniter(value.replace("?", "*"))
    except (CroniterError, ValueError, KeyError) as error:
        return f"is not a cron schedule: {error}"
    return None


def _timezone_problem(value: str) -> str | None:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        return "is not in the time zone database"
    return None


_GIT_URL = re.compile(r"(?:https://|file:///)[^\s?#]+")


def _repository_problem(value: str) -> str | None:
    if re.match(r"[a-z+]+://[^/]*@", value):
        return "holds a user name or password; credentials are never in configuration"
    if "*" in value:
        return "may not contain a wildcard: an AppProject names exact repositories"
    return None if _GIT_URL.fullmatch(value) else "is not an https repository URL"


def _loopback_problem(value: str) -> str | None:
    match = re.fullmatch(r"http://(\[?[0-9a-fA-F.:]+?\]?|localhost):([0-9]{1,5})", value)
    if not match:
        return "is not a plain http URL with a port and no path"
    host = match[1].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return None if loopback else "does not point to this machine"


def _region_problem(value: str) -> str | None:
    return None if any(value in regions for regions in REGIONS.values()) else "is not an AWS region"


def _tree_path_problem(value: str) -> str | None:
    parts = value.split("/")
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", value) or any(part in {"", ".", ".."} for part in parts):
        return "is not a plain relative path"
    return None


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REGISTRY = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)"

Quantity = Annotated[
    str, _Text(_quantity_problem, "a Kubernetes quantity above zero", "500m, 4, 2Gi"), Field(examples=["500m, 4, 2Gi"])
]
Duration = Annotated[
    str, _Text(_duration_problem, "a Go duration above zero, of h, m, s, ms", "1h30m"), Field(examples=["1h30m"])
]
Cron = Annotated[
    str,
    _Text(_cron_problem, "five cron fields: minute hour day-of-month month day-of-week", "0 9 * * 1-4"),
    Field(examples=["0 9 * * 1-4"]),
]
TimeZone = Annotated[
    str,
    _Text(_timezone_problem, "a name of the time zone database", "Europe/Berlin"),
    Field(examples=["Europe/Berlin"]),
]
AwsAccountId = Annotated[
    str, _matching(r"[0-9]{12}", "twelve digits, quoted", '"111122223333"'), Field(examples=['"111122223333"'])
]
IamRoleArn = Annotated[
    str,
    _Text(_role_problem, "the ARN of one IAM role", "arn:aws:iam::111122223333:role/deployer"),
    Field(examples=["arn:aws:iam::111122223333:role/deployer"]),
]
Region = Annotated[str, _Text(_region_problem, "an AWS region", "eu-central-1"), Field(examples=["eu-central-1"])]
BucketName = Annotated[
    str,
    _Text(
        _bucket_problem,
        "3 to 63 of a-z, 0-9 and -, first and last a letter or digit, no reserved prefix or suffix",
        "acme-ladder-dev-uploads",
    ),
    Field(examples=["acme-ladder-dev-uploads"]),
]
Digest = Annotated[
    str,
    _matching(r"sha256:[a-f0-9]{64}", "sha256: and 64 lower-case hexadecimal digits", "sha256:" + "0a" * 32),
    Field(examples=["sha256:" + "0a" * 32]),
]
DnsLabel = Annotated[
    str,
    _matching(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", "a DNS label: a-z, 0-9 and -, a letter first, at most 63", "web"),
    Field(examples=["web"]),
]
LabelValue = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", "a Kubernetes label value, at most 63", "team-platform"
    ),
    Field(examples=["team-platform"]),
]
OidcIssuer = Annotated[
    str,
    _matching(
        rf"{_LABEL}(?:\.{_LABEL})+(?:/[A-Za-z0-9._-]+)*",
        "the issuer's host and path without https://",
        "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF",
    ),
    Field(examples=["oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"]),
]
GitRepository = Annotated[
    str,
    _Text(_repository_problem, "an https repository URL without credentials", "https://github.com/acme/app"),
    Field(examples=["https://github.com/acme/app"]),
]
GitBranch = Annotated[
    str,
    _matching(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,99}[A-Za-z0-9])?", "a branch name", "main"),
    Field(examples=["main"]),
]
ChartRepository = Annotated[
    str,
    _matching(
        rf"oci://{_REGISTRY}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*",
        "an OCI repository",
        "oci://ghcr.io/acme/charts/service",
    ),
    Field(examples=["oci://ghcr.io/acme/charts/service"]),
]
RegistryPrefix = Annotated[
    str,
    _matching(
        rf"{_REGISTRY}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*",
        "registry host and repository path, lower case, without scheme, tag or wildcard",
        "ghcr.io/acme",
    ),
    Field(examples=["ghcr.io/acme"]),
]
SecretPrefix = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*", "a secret name's prefix without slash at the end", "ladder/dev"
    ),
    Field(examples=["ladder/dev"]),
]
TreePath = Annotated[
    str,
    _Text(_tree_path_problem, "a relative path inside the repository", "gitops/envs"),
    Field(examples=["gitops/envs"]),
]
LoopbackUrl = Annotated[
    str,
    _Text(_loopback_problem, "an http URL of this machine with a port", "http://127.0.0.1:4566"),
    Field(examples=["http://127.0.0.1:4566"]),
]
HostName = Annotated[
    str,
    _matching(rf"{_LABEL}(?:\.{_LABEL})+", "a host name", "previews.example.com"),
    Field(examples=["previews.example.com"]),
]
