"""Domain types: strings that are checked by the rules of the system that will read them."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ladder.contract.regions import REGIONS
from ladder.contract.units import DURATION_PATTERN, QUANTITY_PATTERN, cron_problem, duration, quantity

__all__ = [
    "DNS_LABEL",
    "REGIONS",
    "AbsolutePath",
    "ApiUrl",
    "AwsAccountId",
    "BucketName",
    "BuilderId",
    "CalendarDate",
    "CandidateName",
    "ChartRepository",
    "CheckName",
    "Cidr",
    "Cron",
    "Digest",
    "DnsLabel",
    "Duration",
    "FlagName",
    "GitBranch",
    "GitRef",
    "GitRepository",
    "GitSha",
    "HostName",
    "HttpUrl",
    "IamRoleArn",
    "ImageReference",
    "KeyAlias",
    "LabelValue",
    "Login",
    "LoopbackUrl",
    "Moment",
    "OidcIssuer",
    "Quantity",
    "Region",
    "RegistryPrefix",
    "SecretName",
    "SecretPrefix",
    "Text",
    "TimeZone",
    "TreePath",
    "VariableName",
    "WorkflowPath",
    "arn_account",
    "duration",
    "quantity",
]


@dataclass(frozen=True)
class Text:
    """The rule of a string type. ``check`` returns what is wrong, or None; ``pattern`` is for the JSON Schema."""

    check: Callable[[str], str | None]
    accepted: str
    examples: tuple[str, ...]
    pattern: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = {"pattern": f"^(?:{self.pattern})$"} if self.pattern else {}
        return {
            "type": "string",
            "description": f"Accepted: {self.accepted}",
            "examples": list(self.examples),
        } | pattern

    def _validate(self, value: str) -> str:
        wrong = self.check(value)
        if wrong is None:
            return value
        raise PydanticCustomError("ladder", "{wrong}", {"wrong": wrong})


def _matching(pattern: str, accepted: str, *examples: str) -> Text:
    compiled = re.compile(pattern)
    wrong = "does not have the required form"

    @functools.lru_cache(maxsize=1024)  # the files of a tree repeat each other's names
    def check(value: str) -> str | None:
        return None if compiled.fullmatch(value) else wrong

    return Text(check, accepted, examples, pattern)


_MOST = 2**63 - 1


def _quantity_problem(value: str) -> str | None:
    try:
        number = quantity(value)
    except ValueError:
        return "is not a Kubernetes quantity"
    if number > _MOST:
        return "is more than Kubernetes can count"
    return None if number > 0 else "must be more than zero"


def _duration_problem(value: str) -> str | None:
    try:
        return None if duration(value) else "must be more than zero"
    except ValueError:
        return "is not a Go duration"


_BUCKET_PATTERN = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_RESERVED_BUCKET_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_BUCKET_SUFFIXES = ("-s3alias", "--ols-s3", "--x-s3", "--table-s3")


def _bucket_problem(value: str) -> str | None:
    if not re.fullmatch(_BUCKET_PATTERN, value):
        return "is not a bucket name that works over TLS"
    if value.startswith(_RESERVED_BUCKET_PREFIXES) or value.endswith(_RESERVED_BUCKET_SUFFIXES):
        return "uses a prefix or suffix that S3 reserves"
    return None


_ROLE_ARN = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}):role/(?:[\x21-\x7e]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}"
)


def arn_account(arn: str) -> str:
    """The account id in an ARN, e.g. ``111122223333``."""
    return arn.split(":")[4]


def _role_problem(value: str) -> str | None:
    if "*" in value or "?" in value:
        return "may not contain a wildcard: a principal is one role"
    return None if _ROLE_ARN.fullmatch(value) else "is not the ARN of an IAM role"


def _timezone_problem(value: str) -> str | None:
    return None if value in _time_zones() else "is not in the time zone database"


@functools.cache
def _time_zones() -> frozenset[str]:
    """Of the tzdata package: what a machine's own database holds, and whether case matters there, differs."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


_GIT_URL = re.compile(r"(?:https://[A-Za-z0-9][A-Za-z0-9.:-]*/|file:///)[A-Za-z0-9._~/-]+")


def _repository_problem(value: str) -> str | None:
    if re.match(r"[a-z+]+://[^/]*@", value):
        return "holds a user name or password; credentials are never in configuration"
    if "*" in value:
        return "may not contain a wildcard: an AppProject names exact repositories"
    return None if _GIT_URL.fullmatch(value) else "is not an https repository URL"


def _branch_problem(value: str) -> str | None:
    """Rule: ``git check-ref-format``, for the characters that need no quoting anywhere."""
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,99}[A-Za-z0-9_-])?", value):
        return "is not a plain branch name"
    if ".." in value or any(not part or part[0] == "." or part.endswith(".lock") for part in value.split("/")):
        return "is a name git refuses"
    return "follows whatever is checked out" if value == "HEAD" else None


def _loopback_problem(value: str) -> str | None:
    match = re.fullmatch(r"http://(\[?[0-9a-fA-F.:]+?\]?|localhost):([0-9]{1,5})", value)
    if not match or not 0 < int(match[2]) < 65536:
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


def _cidr_problem(value: str) -> str | None:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        return "is not an IPv4 network"
    if network.prefixlen < _WIDEST_NETWORK or not network.is_private or network.is_loopback or network.is_link_local:
        return "is not a private network of at most sixteen million addresses"
    return None


_WIDEST_NETWORK = 8

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def _date_problem(value: str) -> str | None:
    try:
        return None if re.fullmatch(_DATE, value) and date.fromisoformat(value) else "is not written as a date"
    except ValueError:
        return "is a day that does not exist"


_MOMENT = rf"{_DATE}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z"


def _moment_problem(value: str) -> str | None:
    try:
        written = re.fullmatch(_MOMENT, value) and datetime.fromisoformat(value)
        return None if written else "is not written as a time of UTC"
    except ValueError:
        return "is a time that does not exist"


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REGISTRY = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)"

_API_URL = (
    rf"(?:https://{_LABEL}(?:\.{_LABEL})*|http://(?:127(?:\.[0-9]{{1,3}}){{3}}|localhost))(?::[0-9]{{1,5}})?"
    r"(?:/[A-Za-z0-9._~-]+)*"
)

Quantity = Annotated[
    str, Text(_quantity_problem, "a Kubernetes quantity above zero", ("500m", "4", "2Gi"), QUANTITY_PATTERN)
]
Duration = Annotated[
    str, Text(_duration_problem, "a Go duration above zero, of h, m, s, ms", ("1h30m",), DURATION_PATTERN)
]
Cron = Annotated[
    str,
    Text(
        cron_problem, "five cron fields: minute, hour, day of month, month, day of week (0 is Sunday)", ("0 9 * * 1-4",)
    ),
]
TimeZone = Annotated[str, Text(_timezone_problem, "a name of the time zone database", ("Europe/Berlin",))]
CalendarDate = Annotated[str, Text(_date_problem, "a day, quoted: year, month, day", ("2031-12-31",), _DATE)]
Moment = Annotated[str, Text(_moment_problem, "a time of UTC, quoted", ("2031-12-31T23:59:59Z",), _MOMENT)]
AwsAccountId = Annotated[str, _matching(r"[0-9]{12}", "twelve digits, quoted", "111122223333")]
IamRoleArn = Annotated[
    str, Text(_role_problem, "the ARN of one IAM role", ("arn:aws:iam::111122223333:role/deployer",))
]
Region = Annotated[str, Text(_region_problem, "an AWS region", ("eu-central-1",))]
BucketName = Annotated[
    str,
    Text(
        _bucket_problem,
        "3 to 63 of a-z, 0-9 and -, first and last a letter or digit, no reserved prefix or suffix",
        ("acme-ladder-dev-uploads",),
        _BUCKET_PATTERN,
    ),
]
Digest = Annotated[
    str, _matching(r"sha256:[a-f0-9]{64}", "sha256: and 64 lower-case hexadecimal digits", "sha256:" + "0a" * 32)
]
DNS_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
DnsLabel = Annotated[
    str,
    _matching(DNS_LABEL.pattern, "a DNS label: a-z, 0-9 and -, a letter first, at most 63", "web"),
]
LabelValue = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", "a Kubernetes label value, at most 63", "team-platform"
    ),
]
OidcIssuer = Annotated[
    str,
    _matching(
        rf"{_LABEL}(?:\.{_LABEL})+(?:/[A-Za-z0-9._-]+)*",
        "the issuer's host and path without https://",
        "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF",
    ),
]
GitRepository = Annotated[
    str, Text(_repository_problem, "an https repository URL without credentials", ("https://github.com/acme/app",))
]
GitBranch = Annotated[str, Text(_branch_problem, "a branch name", ("main",))]
ChartRepository = Annotated[
    str,
    _matching(
        rf"oci://{_REGISTRY}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*",
        "an OCI repository",
        "oci://ghcr.io/acme/charts/service",
    ),
]
RegistryPrefix = Annotated[
    str,
    _matching(
        rf"{_REGISTRY}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*",
        "registry host and repository path, lower case, without scheme, tag or wildcard",
        "ghcr.io/acme",
    ),
]
SecretPrefix = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)*", "a secret name's prefix without slash at the end", "ladder/dev"
    ),
]
TreePath = Annotated[str, Text(_tree_path_problem, "a relative path inside the repository", ("gitops/envs",))]
LoopbackUrl = Annotated[
    str, Text(_loopback_problem, "an http URL of this machine with a port", ("http://127.0.0.1:4566",))
]
ImageReference = Annotated[
    str,
    _matching(
        rf"{_REGISTRY}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*@sha256:[a-f0-9]{{64}}",
        "an image by digest: registry, path, @sha256: and 64 lower-case hexadecimal digits",
        "ghcr.io/acme/mirror/postgres@sha256:" + "0a" * 32,
    ),
]
VariableName = Annotated[
    str, _matching(r"[A-Z][A-Z0-9_]{0,62}", "an environment variable: A-Z, 0-9 and _", "DATABASE_PASSWORD")
]
FlagName = Annotated[
    str, _matching(r"[a-z](?:[a-z0-9-]{0,48}[a-z0-9])?", "a feature's name: a-z, 0-9 and -", "new-checkout")
]
SecretName = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9_+=.@-]+(?:/[A-Za-z0-9_+=.@-]+)+",
        "a secret's full name, the environment's prefix first",
        "ladder/dev/api/database-password",
    ),
]
GitRef = Annotated[
    str,
    _matching(
        r"refs/(?:heads|tags)/[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*",
        "a branch or tag, by its whole name",
        "refs/heads/main",
    ),
]
BuilderId = Annotated[
    str,
    _matching(
        rf"https://{_LABEL}(?:\.{_LABEL})*(?:/[A-Za-z0-9._~-]+)+(?:@refs/[A-Za-z0-9._/-]+)?",
        "a builder as SLSA provenance names it; of GitHub's own attestations, the workflow's address and ref",
        "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main",
    ),
]
GitSha = Annotated[str, _matching(r"[0-9a-f]{40}", "a commit, by its whole name", "0a" * 20)]
Login = Annotated[
    str,
    _matching(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?(?:\[bot\])?", "a login of GitHub's", "octocat"),
]
CandidateName = Annotated[
    str, _matching(r"rc-[0-9a-f]{16}", "rc- and 16 hexadecimal digits, as `ladder cut` prints", "rc-0123456789abcdef")
]
WorkflowPath = Annotated[
    str,
    _matching(
        r"\.github/workflows/[A-Za-z0-9_-]+\.ya?ml",
        "a workflow's file in its repository",
        ".github/workflows/build.yml",
    ),
]
CheckName = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9 ._/()-]{0,98}[A-Za-z0-9)])?", "a check's name as a pull request shows it", "test"
    ),
]
KeyAlias = Annotated[
    str, _matching(r"alias/[A-Za-z0-9_-][A-Za-z0-9/_-]{0,248}", "the alias of a KMS key", "alias/ladder-dev-data")
]
ApiUrl = Annotated[
    str,
    Text(
        lambda value: None if re.fullmatch(_API_URL, value) else "is not an address that a token may be sent to",
        "an https URL (http on loopback only), no slash at the end",
        ("https://api.github.com",),
        _API_URL,
    ),
]
AbsolutePath = Annotated[
    str,
    _matching(r"/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?", "a URL's path without query", "/healthz"),
]
HttpUrl = Annotated[
    str,
    _matching(
        rf"https?://{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._~-]+)*",
        "an http or https URL without credentials, query or slash at the end",
        "https://payments.example.com",
    ),
]
Cidr = Annotated[str, Text(_cidr_problem, "a private IPv4 network, no host bits set", ("10.20.0.0/16",))]
HostName = Annotated[str, _matching(rf"{_LABEL}(?:\.{_LABEL})+", "a host name", "previews.example.com")]
