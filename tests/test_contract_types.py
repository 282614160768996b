"""Domain types against the definitions of the systems that read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import botocore.session
import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ladder.contract import types
from ladder.contract.types import REGIONS, arn_account, duration, quantity
from ladder.contract.units import cron_problem

ACCOUNT = "111122223333"


def accepts(type_: Any, value: object) -> bool:
    try:
        TypeAdapter(type_).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


EXAMPLES: dict[str, tuple[list[str], list[str]]] = {
    "BuilderId": (
        [
            "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main",
            "https://github.com/actions/runner/github-hosted",
        ],
        ["", "https://github.com", "http://github.com/a", "https://github.com/a@main", "https://github.com/a b", "a/b"],
    ),
    "CandidateName": (
        ["rc-0123456789abcdef"],
        ["", "rc-", "rc-0123456789abcde", "rc-0123456789ABCDEF", "rc-0123456789abcdef0", "rc-0123456789abcdef\n", "v1"],
    ),
    "CheckName": (
        ["test", "test (3.11)", "e2e / smoke", "a", "9"],
        ["", " test", "test ", "te\nst", "<b>", "`x`", "a" * 101, "(a)"],
    ),
    "GitRef": (
        ["refs/heads/main", "refs/tags/v1.2", "refs/heads/release/2031.1"],
        ["", "main", "refs/pull/1/merge", "refs/heads/", "refs/heads/-x", "refs/heads/a b", "refs/heads/a/", "HEAD"],
    ),
    "GitSha": (
        ["0a" * 20],
        ["", "0a" * 19, "0A" * 20, "0a" * 32, "0a" * 20 + "\n", "main"],
    ),
    "Login": (
        ["octocat", "a", "promoter[bot]", "a-b", "mona_acme"],
        ["", "-a", "a b", "a\n", "[bot]", "a[bot]x", "a" * 101, "ä"],
    ),
    "WorkflowPath": (
        [".github/workflows/build.yml", ".github/workflows/build.yaml"],
        ["", "build.yml", ".github/workflows/../x.yml", ".github/workflows/a/b.yml", "/.github/workflows/a.yml"],
    ),
    "Quantity": (
        ["1", "0.5", ".5", "500m", "100M", "2Gi", "1.5Ti", "1e3", "12E6", "1E", "9223372036854775807"],
        ["", "0", "0m", "4 cores", "-1", "+1", "1gi", "1 Gi", "1GiB", "1Gi\n", "1.", "1e", "Gi", "½", "١", "8Ei"],
    ),
    "Duration": (
        ["1h", "1h30m", "90s", "1.5h", "100ms", "1h1h", "2562047h"],
        ["", "0s", "0h0m", "5", "5 m", "-5m", "1d", "1w", "1H", "h", "1.h", "5m\n", "2562048h", "9" * 400 + "h", "1us"],
    ),
    "Cron": (
        ["* * * * *", "0 9 * * 1-4", "*/5 0 1,15 jan-mar mon", "0 0 29 2 *", "? ? ? ? ?", "0 0 31 2 1", "5/10 * * * *"],
        [
            *("", "* * * *", "* * * * * *", "*  * * * *", " * * * * *", "* * * * *\n", "@daily", "TZ=UTC * * * * *"),
            *("60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 7"),
            *(
                "*/0 * * * *",
                "* * * * fri-mon",
                "* * * * 5-7",
                "5-1 * * * *",
                "* * * * mon#1",
                "* * L * *",
                "H * * * *",
            ),
            *("jan * * * *", "* * mon * *", "1- * * * *", "-1 * * * *", "1,, * * * *", "1/ * * * *", "*-5 * * * *"),
            *("0 0 30 2 *", "0 0 31 feb *", "0 0 31 4,6,9,11 *", "1/-1 * * * *", "001 * * * *", "1-2-3 * * * *"),
        ],
    ),
    "CalendarDate": (
        ["2031-12-31", "2028-02-29", "0001-01-01"],
        [
            "",
            "2031-2-3",
            "31-12-2031",
            "2031-02-29",
            "2031-13-01",
            "0000-01-01",
            "20311231",
            "2031-12-31T00:00",
            "today",
        ],
    ),
    "TimeZone": (
        ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+3"],
        ["", "europe/berlin", "Europe", "Mars/Base", "/etc/passwd", "../UTC", "posix/UTC", "localtime", "UTC\n"],
    ),
    "AwsAccountId": ([ACCOUNT, "000000000001"], ["", "1", ACCOUNT + "4", ACCOUNT + "\n", "11112222333a", "١" * 12]),
    "IamRoleArn": (
        [
            f"arn:aws:iam::{ACCOUNT}:role/deployer",
            f"arn:aws-cn:iam::{ACCOUNT}:role/team/a/deployer",
            f"arn:aws-us-gov:iam::{ACCOUNT}:role/{'a' * 64}",
        ],
        [
            f"arn:aws:iam::{ACCOUNT}:role/*",
            f"arn:aws:iam::{ACCOUNT}:role/deploye?",
            f"arn:aws:iam::{ACCOUNT}:root",
            f"arn:aws:iam::{ACCOUNT}:user/deployer",
            f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/me",
            f"arn:aws:iam::{ACCOUNT}:role/",
            f"arn:aws:iam::{ACCOUNT}:role/{'a' * 65}",
            f"arn:aws:iam::{ACCOUNT}:role/déployeur",
            f"arn:aws:iam::{ACCOUNT}:role/deployer\n",
            "arn:aws:iam::1:role/deployer",
            "arn:aws:iam:::role/deployer",
            f"arn:evil:iam::{ACCOUNT}:role/deployer",
            ACCOUNT,
            "*",
        ],
    ),
    "Region": (["eu-central-1", "cn-north-1", "us-gov-west-1"], ["", "eu-central", "eu-central-9", "EU-CENTRAL-1"]),
    "BucketName": (
        ["abc", "a" * 63, "acme-shop-dev-uploads", "1a2", "a--b"],
        [
            *("", "ab", "a" * 64, "Acme-Uploads", "acme.uploads", "acme_uploads", "-acme", "acme-", "acme\n", "acmé"),
            *("xn--acme", "sthree-acme", "amzn-s3-demo-acme", "acme-s3alias", "acme--ols-s3", "acme--x-s3"),
        ],
    ),
    "Digest": (
        ["sha256:" + "0a" * 32],
        ["", "0a" * 32, "sha256:" + "0A" * 32, "sha256:" + "0a" * 31, "sha256:" + "0a" * 33, "sha512:" + "0a" * 64],
    ),
    "DnsLabel": (["a", "web", "web-1", "a" * 63], ["", "1web", "Web", "web-", "-web", "a" * 64, "a.b", "a_b", "web\n"]),
    "LabelValue": (["a", "Team_A.b-c", "1", "a" * 63], ["", "a b", "-a", "a-", "a" * 64, "a/b", "é", "a\n"]),
    "OidcIssuer": (
        ["oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF", "issuer.example.com"],
        ["", "https://issuer.example.com", "localhost", "issuer.example.com/", "issuer.example.com/*", "a b.c"],
    ),
    "GitRepository": (
        ["https://github.com/acme/app", "https://git.example.com:8443/acme/app.git"],
        [
            *("", "http://github.com/acme/app", "git@github.com:acme/app", "ssh://git@github.com/acme/app", "https://"),
            *("https://user@github.com/acme/app", "https://user:word@github.com/acme/app", "https://github.com/acme/*"),
            *("*", "https://github.com", "https://github.com/a b", "https://github.com/acme/app?x=1", "https:///app"),
        ],
    ),
    "GitBranch": (
        ["main", "release/1.2", "feature-x", "HEAD2"],
        ["", "HEAD", "*", "-main", "main/", "a//b", "a..b", "a/.b", "a.lock", "a.", "a b", "a@{1}", "a~1", "a" * 102],
    ),
    "ChartRepository": (
        ["oci://ghcr.io/acme/charts/service", "oci://localhost:5000/charts"],
        ["", "ghcr.io/acme/charts", "https://charts.example.com", "oci://ghcr.io", "oci://ghcr.io/acme:1", "oci://*/a"],
    ),
    "RegistryPrefix": (
        ["ghcr.io/acme", f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/shop/web", "localhost:5000/a"],
        ["", "ghcr.io", "ghcr.io/", "ghcr.io/acme/", "ghcr.io/Acme", "ghcr.io/*", "https://ghcr.io/a", "ghcr.io/a:1"],
    ),
    "SecretPrefix": (["ladder/dev", "a", "a/b.c@d"], ["", "/a", "a/", "a//b", "a/*", "a?", "a b"]),
    "TreePath": (["gitops/envs", "a"], ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/*", "a b"]),
    "ApiUrl": (
        ["https://api.github.com", "https://git.acme.example/api/v3", "http://127.0.0.1:8080", "https://a.b:8443/c"],
        [
            *("", "http://api.github.com", "https://api.github.com/", "https://u:p@a.b", "https://a.b?x=1", "a.b"),
            *("http://127.0.0.1.evil.com", "https://a.b#c", "https://A.b", "ftp://a.b", "http://localhost.evil.com"),
        ],
    ),
    "Moment": (
        ["2031-12-31T23:59:59Z"],
        ["", "2031-12-31", "2031-12-31T23:59:59", "2031-12-31T23:59:59+01:00", "2031-12-31 23:59:59Z", "now"],
    ),
    "LoopbackUrl": (
        ["http://127.0.0.1:4566", "http://localhost:80", "http://[::1]:4566", "http://127.8.8.8:1"],
        [
            *("", "https://127.0.0.1:4566", "http://127.0.0.1", "http://127.0.0.1:4566/", "http://10.0.0.1:80"),
            *("http://localhost.evil.com:80", "http://0.0.0.0:80", "http://127.0.0.1:0", "http://127.0.0.1:65536"),
            *("http://127.0.0.1@evil.com:80", "http://[::ffff:8.8.8.8]:80", "http://127.1:80"),
        ],
    ),
    "ImageReference": (
        ["ghcr.io/acme/mirror/postgres@sha256:" + "0a" * 32, "localhost:5000/a@sha256:" + "0a" * 32],
        [
            *("", "ghcr.io/acme/postgres", "ghcr.io/acme/postgres:17", "postgres@sha256:" + "0a" * 32),
            *("ghcr.io/acme/postgres:17@sha256:" + "0a" * 32, "ghcr.io/acme/postgres@sha256:" + "0A" * 32),
        ],
    ),
    "VariableName": (["A", "DATABASE_PASSWORD", "A1"], ["", "a", "1A", "_A", "A-B", "A B", "A=B", "Ä", "A" * 64]),
    "FlagName": (["a", "new-checkout", "a1"], ["", "A", "1a", "a-", "-a", "a_b", "a b", "a" * 51]),
    "SecretName": (
        ["ladder/dev/api/password", "a/b"],
        ["", "a", "/a/b", "a/b/", "a//b", "a/*", "a/b c", "a/$b"],
    ),
    "KeyAlias": (["alias/ladder-dev-data", "alias/a/b"], ["", "alias/", "data", "alias//a", "alias/a b", "alias/*"]),
    "AbsolutePath": (["/", "/healthz", "/a/b.c"], ["", "healthz", "/a/", "//", "/a b", "/a?b=c", "/a#b", "/{{a}}"]),
    "HttpUrl": (
        ["https://payments.example.com", "http://prometheus.monitoring:9090", "https://a.b/v1/x"],
        [
            *("", "ftp://a.b", "https://", "https://a.b/", "https://user@a.b", "https://u:p@a.b", "https://a.b?x=1"),
            *("https://a b", "//a.b", "a.b", "https://a.b#x", "https://A.b"),
        ],
    ),
    "Cidr": (
        ["10.20.0.0/16", "192.168.1.0/24", "10.0.0.0/8"],
        ["", "0.0.0.0/0", "10.20.0.1/16", "8.8.8.0/24", "127.0.0.0/8", "169.254.0.0/16", "fd00::/64", "10.20.0.0/33"],
    ),
    "HostName": (["previews.example.com", "a.b"], ["", "localhost", "a..b", ".a.b", "a.b.", "*.a.b", "A.b", "a_b.c"]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (good, _) in EXAMPLES.items() for value in good])
def test_the_type_accepts(name: str, value: str) -> None:
    assert accepts(getattr(types, name), value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, bad) in EXAMPLES.items() for value in bad])
def test_the_type_refuses(name: str, value: str) -> None:
    assert not accepts(getattr(types, name), value)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, b"web"])
def test_the_type_coerces_nothing(name: str, value: object) -> None:
    assert not accepts(getattr(types, name), value)


def test_every_type_has_its_examples_here() -> None:
    texts = {name for name in types.__all__ if getattr(getattr(types, name), "__metadata__", None)}
    assert texts == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_shown_to_people_are_accepted(name: str) -> None:
    """In errors and in the JSON Schema, whose pattern accepts them too."""
    type_ = getattr(types, name)
    (rule,) = type_.__metadata__
    schema = TypeAdapter(type_).json_schema()
    assert rule.examples
    assert schema["examples"] == list(rule.examples)
    for example in rule.examples:
        assert accepts(type_, example)
        assert re.search(schema.get("pattern", ""), example)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_type_accepts_its_pattern_in_the_schema_accepts(name: str) -> None:
    pattern = TypeAdapter(getattr(types, name)).json_schema().get("pattern", "")
    assert [value for value in EXAMPLES[name][0] if not re.search(pattern, value)] == []


BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
DECIMAL = {"m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
NUMBERS = st.integers(0, 10**18)


@given(NUMBERS, st.sampled_from([*BINARY, *DECIMAL]))
def test_a_quantity_is_its_number_times_its_suffix(number: int, suffix: str) -> None:
    scale = Fraction(1024) ** BINARY[suffix] if suffix in BINARY else Fraction(1000) ** DECIMAL[suffix]
    assert quantity(f"{number}{suffix}") == number * scale


@given(NUMBERS, st.integers(0, 10**6), st.sampled_from([*BINARY, *DECIMAL]))
def test_a_quantitys_fraction_is_exact(whole: int, part: int, suffix: str) -> None:
    expected = (whole + Fraction(part, 10**7)) * quantity(f"1{suffix}")
    assert quantity(f"{whole}.{part:07}{suffix}") == expected


@given(NUMBERS, st.integers(-9, 99))
def test_a_quantitys_exponent_is_a_power_of_ten(number: int, exponent: int) -> None:
    assert quantity(f"{number}e{exponent}") == quantity(f"{number}E{exponent:+}") == number * Fraction(10) ** exponent


@given(NUMBERS, NUMBERS, st.sampled_from([*BINARY, *DECIMAL]))
def test_quantities_of_one_suffix_are_ordered_as_their_numbers(one: int, other: int, suffix: str) -> None:
    assert (quantity(f"{one}{suffix}") < quantity(f"{other}{suffix}")) == (one < other)


@given(st.integers(1, 10**9))
def test_the_suffixes_agree_with_each_other(number: int) -> None:
    assert quantity(f"{number * 1000}m") == quantity(str(number))
    assert quantity(f"{number * 1024}Mi") == quantity(f"{number}Gi")
    assert quantity(f"{number * 1000}M") == quantity(f"{number}G") == quantity(f"{number}e9")


@given(st.text(max_size=12) | st.from_regex(r"[0-9.]{0,6}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,3}", fullmatch=True))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    try:
        number = quantity(text)
    except ValueError:
        return
    assert number >= 0
    assert accepts(types.Quantity, text) == (0 < number < 2**63)


PARTS = st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1, max_size=5)
UNITS = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1), "ms": timedelta(milliseconds=1)}


@given(PARTS)
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert duration(text) == sum((number * UNITS[unit] for number, unit in parts), timedelta())
    assert accepts(types.Duration, text) == any(number for number, _ in parts)


@given(st.text(max_size=12) | st.from_regex(r"[0-9.]{0,6}[hmsund µ]{0,2}[0-9]{0,400}[hms]?", fullmatch=True))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert duration(text) >= timedelta(0)
    except ValueError:
        assert not accepts(types.Duration, text)


def _field(low: int, high: int, words: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    span = st.sampled_from(["*", "?", *words]) | number.map(str) | spans
    step = st.integers(1, high).map(lambda by: f"/{by}")
    item = st.tuples(span, st.just("") | step).map("".join)
    return st.lists(item, min_size=1, max_size=3).map(",".join)


SCHEDULES = st.tuples(
    _field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12, ("jan", "FEB")), _field(0, 6, ("sun", "Sat"))
).map(" ".join)
START = datetime(2026, 1, 1, tzinfo=UTC)


@given(SCHEDULES)
def test_a_schedule_that_is_accepted_comes_round(schedule: str) -> None:
    """A second implementation of cron finds its next time."""
    wrong = cron_problem(schedule)
    assert wrong in {None, "names no day that exists"}
    if wrong is None:
        assert croniter(schedule.replace("?", "*"), START).get_next(datetime) > START


@given(st.text("0123456789*/,-? janmon", max_size=20))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    assert accepts(types.Cron, text) == (cron_problem(text) is None)


@given(st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-._", min_size=1, max_size=70))
def test_a_bucket_name_that_is_accepted_keeps_every_rule_of_s3(name: str) -> None:
    if accepts(types.BucketName, name):
        assert 3 <= len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert "-" not in {name[0], name[-1]}
        assert not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name)
    elif re.fullmatch(r"[a-z0-9]{3,63}", name):
        pytest.fail("letters and digits alone are always a bucket name")


@given(st.text("abcxyzABC0129-._", max_size=66))
def test_a_dns_label_that_is_accepted_is_one_to_kubernetes(name: str) -> None:
    valid = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
    assert accepts(types.DnsLabel, name) == (bool(valid.fullmatch(name)) and len(name) <= 63)


@given(st.text(min_size=1, max_size=66))
def test_a_label_value_that_is_accepted_is_one_to_kubernetes(name: str) -> None:
    valid = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
    assert accepts(types.LabelValue, name) == (bool(valid.fullmatch(name)) and len(name) <= 63)


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_is_accepted_as_a_registry_writes_it_and_no_other_way(digest: bytes) -> None:
    text = f"sha256:{digest.hex()}"
    assert accepts(types.Digest, text)
    assert not accepts(types.Digest, text[:-1])
    assert not accepts(types.Digest, text.upper())
    assert not accepts(types.Digest, digest.hex())
    position = 7 + digest[0] % 64
    assert not accepts(types.Digest, f"{text[:position]}g{text[position + 1 :]}")


@pytest.mark.parametrize("partition", REGIONS)
def test_the_regions_are_those_of_the_sdk(partition: str) -> None:
    known = botocore.session.get_session().get_available_regions("s3", partition_name=partition)
    assert set(known) == REGIONS[partition]


def test_a_region_is_of_one_partition() -> None:
    assert sum(map(len, REGIONS.values())) == len(frozenset().union(*REGIONS.values()))


def test_a_time_zone_that_is_accepted_can_be_loaded() -> None:
    for name in ("UTC", "Europe/Berlin", "Asia/Kolkata"):
        assert accepts(types.TimeZone, name)
        assert ZoneInfo(name).key == name


def test_the_account_of_an_arn_is_read_from_its_place() -> None:
    assert arn_account(f"arn:aws:iam::{ACCOUNT}:role/a:b:c") == ACCOUNT
