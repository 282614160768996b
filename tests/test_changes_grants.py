"""Whether one IAM policy document allows what another did not."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.changes.grants import loosenings

ALLOW = {
    "Sid": "A",
    "Effect": "Allow",
    "Principal": {"AWS": ["arn:aws:iam::1:role/one", "arn:aws:iam::1:role/two"]},
    "Action": ["s3:GetObject", "s3:PutObject"],
    "Resource": ["arn:aws:s3:::b/x/*"],
    "Condition": {"StringEquals": {"aws:SourceAccount": ["1", "2"]}, "StringNotEquals": {"aws:PrincipalTag/t": "a"}},
}
DENY = {**ALLOW, "Sid": "D", "Effect": "Deny"}


def judged(before: Any, after: Any) -> list[tuple[str, bool]]:
    return [(each.what, each.certain) for each in loosenings(before, after)]


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def with_(statement: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**statement, **fields}.items() if value is not None}


NARROWER = {
    "fewer actions": {"Action": ["s3:GetObject"]},
    "one action, not in a list": {"Action": "s3:getobject"},
    "a narrower resource": {"Resource": ["arn:aws:s3:::b/x/y/*"]},
    "one principal": {"Principal": {"AWS": "arn:aws:iam::1:role/one"}},
    "fewer values": {"Condition": {**ALLOW["Condition"], "StringEquals": {"aws:sourceaccount": "1"}}},
    "more values not to have": {
        "Condition": {**ALLOW["Condition"], "StringNotEquals": {"aws:PrincipalTag/t": ["a", "b"]}}
    },
    "a condition more": {"Condition": {**ALLOW["Condition"], "Bool": {"aws:SecureTransport": "true"}}},
}
WIDER = {
    "another action": {"Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]},
    "a wildcard": {"Action": ["s3:*"]},
    "a wider resource": {"Resource": ["arn:aws:s3:::b/*"]},
    "anybody": {"Principal": "*", "Condition": ALLOW["Condition"]},
    "another principal": {"Principal": {"AWS": [*ALLOW["Principal"]["AWS"], "arn:aws:iam::1:role/three"]}},
    "no condition": {"Condition": None},
    "a condition less": {"Condition": {"StringEquals": ALLOW["Condition"]["StringEquals"]}},
    "more values": {"Condition": {**ALLOW["Condition"], "StringEquals": {"aws:SourceAccount": ["1", "2", "3"]}}},
}
UNCERTAIN = {
    "everything but": {"Action": None, "NotAction": ["s3:DeleteObject"]},
    "another operator": {"Condition": {"StringLike": {"aws:SourceAccount": ["1", "2"]}}},
    "another number": {
        "Condition": {**ALLOW["Condition"], "NumericLessThan": {"aws:MultiFactorAuthAge": "1"}},
        "Action": "s3:*",
    },
    "another bucket": {"Resource": ["arn:aws:s3:::c/*"]},
    "a condition of no known form": {"Condition": "yes"},
}


@pytest.mark.parametrize("name", NARROWER)
def test_a_narrower_allow_loosens_nothing_and_a_narrower_deny_does(name: str) -> None:
    fields = NARROWER[name]
    assert judged(document(ALLOW), document(with_(ALLOW, **fields))) == []
    assert judged(document(DENY), document(with_(DENY, **fields))) == [("denies less", True)]


@pytest.mark.parametrize("name", WIDER)
def test_a_wider_allow_loosens_and_a_wider_deny_does_not(name: str) -> None:
    fields = WIDER[name]
    assert judged(document(ALLOW), document(with_(ALLOW, **fields))) == [("allows more", True)]
    assert judged(document(DENY), document(with_(DENY, **fields))) == []


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_cannot_be_compared_may_loosen(name: str) -> None:
    fields = UNCERTAIN[name]
    assert judged(document(ALLOW), document(with_(ALLOW, **fields))) == [("allows something else", False)]
    assert judged(document(DENY), document(with_(DENY, **fields))) == [("denies something else", False)]


def test_a_statement_may_be_covered_by_one_of_another_name() -> None:
    assert judged(document(with_(ALLOW, Action=["s3:*"])), document(with_(ALLOW, Sid="B"))) == []
    assert judged(document(DENY), document(with_(DENY, Sid="E", Action="s3:*"))) == []


def test_one_sign_does_not_stand_for_many() -> None:
    one, many = (document(with_(ALLOW, Resource=f"arn:aws:s3:::b/{sign}")) for sign in "?*")
    assert judged(one, many) == [("allows more", True)]
    assert judged(many, one) == []


def test_what_comes_and_what_goes_is_certain() -> None:
    assert judged(None, document(ALLOW)) == [("is a new Allow", True)]
    assert judged(document(DENY), None) == [("is a Deny that is gone", True)]
    assert judged(document(ALLOW), None) == judged(None, document(DENY)) == []


@pytest.mark.parametrize(
    "odd", ["text", 1, {"Statement": 1}, {"Statement": ["x"]}, {"Statement": [{"Effect": "Maybe"}]}, {}]
)
def test_what_is_no_policy_may_loosen(odd: Any) -> None:
    assert judged(document(ALLOW), odd) == [("is not a policy that can be judged", False)]
    assert judged(odd, odd) == []


def test_a_statement_alone_stands_for_a_list_of_it() -> None:
    assert judged({"Statement": ALLOW}, document(ALLOW)) == []


ACTIONS = st.lists(
    st.sampled_from(["s3:Get*", "s3:GetObject", "s3:Put?bject", "s3:PutObject", "*"]), min_size=1, unique=True
)


@given(
    before=ACTIONS, after=ACTIONS, request=st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:GetX", "kms:Decrypt"])
)
def test_a_request_that_becomes_allowed_is_always_noticed(before: list[str], after: list[str], request: str) -> None:
    """Held against matching a request itself, by another implementation of the wildcards."""

    def allowed(actions: list[str]) -> bool:
        return any(fnmatchcase(request, action) for action in actions)

    statements = [document({"Effect": "Allow", "Action": actions, "Resource": "*"}) for actions in (before, after)]
    if allowed(after) and not allowed(before):
        assert judged(*statements)
    denied = copy.deepcopy(statements)
    for each in denied:
        each["Statement"][0]["Effect"] = "Deny"
    if allowed(before) and not allowed(after):
        assert judged(*denied)
