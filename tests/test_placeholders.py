"""Placeholders of what only a provider knows."""

import re

import pytest

from ladder.placeholders import Place, Providers, computed, unknowable

PLACE = Place("aws-cn", "111122223333", "cn-north-1")


@pytest.mark.parametrize(
    ("type_", "inputs", "identifier", "extra"),
    [
        ("aws:iam/role:Role", {"name": "r"}, "r", {"arn": "arn:aws-cn:iam::111122223333:role/r"}),
        (
            "aws:iam/role:Role",
            {"name": "r", "path": "/team/"},
            "r",
            {"arn": "arn:aws-cn:iam::111122223333:role/team/r"},
        ),
        ("aws:iam/rolePolicy:RolePolicy", {"name": "p", "role": "r"}, "r:p", {}),
        (
            "aws:kms/alias:Alias",
            {"name": "alias/k"},
            "alias/k",
            {"arn": "arn:aws-cn:kms:cn-north-1:111122223333:alias/k"},
        ),
        ("aws:s3/bucket:Bucket", {"bucket": "b"}, "b", {"arn": "arn:aws-cn:s3:::b"}),
        ("aws:s3/bucketVersioning:BucketVersioning", {"bucket": "b"}, "b", {}),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "n"}}, "n", {}),
        ("kubernetes:core/v1:ConfigMap", {"metadata": {"name": "c", "namespace": "n"}}, "n/c", {}),
    ],
)
def test_names_give_ids_and_arns_as_the_providers_give_them(
    type_: str, inputs: dict[str, str], identifier: str, extra: dict[str, str]
) -> None:
    assert computed(type_, "urn", inputs, PLACE) == (identifier, extra)


def test_a_keys_id_is_a_uuid_of_its_urn() -> None:
    identifier, extra = computed("aws:kms/key:Key", "urn:a", {}, PLACE)
    assert identifier == unknowable("urn:a") != unknowable("urn:b")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identifier)
    assert extra == {"keyId": identifier, "arn": f"arn:aws-cn:kms:cn-north-1:111122223333:key/{identifier}"}


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_a_providers_place_comes_from_its_region_and_account(region: str, partition: str) -> None:
    providers = Providers()
    providers.add("urn:p", {"region": region, "allowedAccountIds": '["111122223333"]'})
    assert providers.of("urn:p::id") == Place(partition, "111122223333", region)
    assert providers.of("") == Place()
