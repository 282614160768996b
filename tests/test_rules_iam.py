"""Policy documents are read into one form, whichever of its spellings they are written in, or refused."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.rules.iam import Condition, Malformed, Principal, Statement, read
from tests.conftest import Recordings

ROLE = "arn:aws:iam::210987654321:role/x"


def statement(**parts: Any) -> Statement:
    (found,) = read(json.dumps({"Statement": {"Effect": "Allow", **parts}}))
    return found


def test_one_value_is_a_list_of_one() -> None:
    one = statement(Principal={"AWS": ROLE}, Action="s3:GetObject", Resource="*")
    listed = statement(Principal={"AWS": [ROLE]}, Action=["s3:GetObject"], Resource=["*"])
    assert one == listed
    assert one.principals == (Principal("AWS", ROLE),)
    assert one.path == "policy.Statement.0"


@pytest.mark.parametrize("everyone", ["*", {"AWS": "*"}, {"AWS": [ROLE, "*"]}, {"Federated": "*"}])
def test_everyone_is_everyone_however_it_is_written(everyone: Any) -> None:
    assert statement(Principal=everyone, Action="x:Y").is_for_anyone


def test_all_but_one_is_everyone() -> None:
    assert statement(NotPrincipal={"AWS": ROLE}, Action="x:Y").is_for_anyone
    assert not statement(Principal={"AWS": ROLE}, Action="x:Y").is_for_anyone


@pytest.mark.parametrize(
    ("actions", "action", "covered"),
    [
        ("*", "kms:Decrypt", True),
        ("kms:*", "kms:Decrypt", True),
        ("kms:decrypt", "kms:Decrypt", True),
        ("kms:D?crypt", "kms:Decrypt", True),
        (["s3:*", "kms:Enc*"], "kms:Decrypt", False),
        ("kms:[D]ecrypt", "kms:Decrypt", False),
    ],
)
def test_an_action_is_covered_by_wildcards_and_in_any_case(actions: Any, action: str, covered: bool) -> None:
    assert statement(Principal="*", Action=actions).covers(action) is covered
    assert statement(Principal="*", NotAction=actions).covers(action) is not covered


@pytest.mark.parametrize(
    ("principal", "account"),
    [
        ({"AWS": ROLE}, "210987654321"),
        ({"AWS": "210987654321"}, "210987654321"),
        ({"AWS": "arn:aws:sts::210987654321:assumed-role/x/y"}, "210987654321"),
        ({"Federated": "arn:aws-cn:iam::210987654321:oidc-provider/a.example.com:443/id/X"}, "210987654321"),
        ({"Federated": "accounts.google.com"}, ""),
        ({"Service": "delivery.logs.amazonaws.com"}, ""),
        ({"CanonicalUser": "79a5"}, ""),
        ("*", ""),
    ],
)
def test_a_principals_account_is_read_from_any_of_its_forms(principal: Any, account: str) -> None:
    (who,) = statement(Principal=principal, Action="x:Y").principals
    assert who.account == account


def test_a_condition_is_asked_for_by_its_exact_operator() -> None:
    """``…IfExists`` also holds where the key is absent, so it is another comparison."""
    held = statement(Action="x:Y", Condition={"StringEqualsIfExists": {"aws:SourceAccount": ["1"]}})
    assert held.requires("StringEquals", "aws:SourceAccount") == ()
    assert held.requires("StringEqualsIfExists", "AWS:SourceAccount") == ("1",)
    assert held.conditions == (Condition("StringEqualsIfExists", "aws:sourceaccount", ("1",)),)


def test_a_boolean_condition_reads_like_its_text() -> None:
    written = [statement(Action="x:Y", Condition={"Bool": {"a:b": value}}) for value in (True, "true", ["true"])]
    assert len(set(written)) == 1


@pytest.mark.parametrize(
    "text",
    [
        None,
        {"Statement": []},
        "",
        "[",
        "[]",
        "null",
        "{}",
        '{"Statement": []}',
        '{"Statement": ["x"]}',
        '{"Statement": {"Effect": "Permit"}}',
        '{"Statement": {"Effect": ["Allow"]}}',
        "[" * 100_000,
        '{"Statement": {"Effect": "Allow", "Principals": "*"}}',
        '{"Statement": {"Effect": "Allow", "Effect": "Deny"}}',
        '{"Statement": {"Effect": "Allow", "Action": []}}',
        '{"Statement": {"Effect": "Allow", "Action": {"a": 1}}}',
        '{"Statement": {"Effect": "Allow", "Action": "a:B", "NotAction": "a:B"}}',
        '{"Statement": {"Effect": "Allow", "Principal": {"Aws": "*"}}}',
        '{"Statement": {"Effect": "Allow", "Principal": {}}}',
        '{"Statement": {"Effect": "Allow", "Principal": "someone"}}',
        '{"Statement": {"Effect": "Allow", "Condition": []}}',
        '{"Statement": {"Effect": "Allow", "Condition": {"Bool": "true"}}}',
    ],
)
def test_what_is_not_of_the_grammar_is_refused(text: Any) -> None:
    with pytest.raises(Malformed):
        read(text)


def test_nothing_but_a_refusal_comes_of_any_text() -> None:
    @given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), _nested).map(_dumped))
    def read_or_refused(text: str) -> None:
        with contextlib.suppress(Malformed):
            assert read(text)

    read_or_refused()


def _nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.sampled_from(["Statement", "Effect", "Principal", "Action", "Condition", "AWS", "x"])
    return st.lists(children, max_size=3) | st.dictionaries(parts, children, max_size=4)


def _dumped(value: Any) -> str:
    return json.dumps(value)


def test_every_document_of_the_real_stacks_is_read(recordings: Recordings) -> None:
    for recording in recordings:
        for resource in recording.resources:
            for key in ("policy", "assumeRolePolicy"):
                if key in resource.inputs:
                    assert read(resource.inputs[key])
