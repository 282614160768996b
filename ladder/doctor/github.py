"""What only GitHub can tell: that its rules for the branch are those of the repository, and who may deploy where.

Paths and shapes are those of GitHub's REST API, version 2022-11-28 (docs.github.com/rest).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httpx

from ladder.contract.promotion import PROMOTION
from ladder.contract.stack import Rung, StackSettings
from ladder.differences import ABSENT, differences
from ladder.doctor.diagnosis import Area, Diagnosis, Patient
from ladder.errors import InputError, Problem

__all__ = ["API", "OBSERVE", "PREVIEW", "PROMOTES", "GitHub", "github", "repository_of"]

API = "https://api.github.com"
PREVIEW = "-preview"
"""What follows a stack's name in that of the environment which previews it."""
OBSERVE = "-observe"
"""What follows it in that of the environment which states what runs there."""
PROMOTES = "promotion"
"""The environment that asks, and states who approved."""

_HOST = "https://github.com/"
_RULESETS = Path(".github") / "rulesets"
_SECONDS = 20
_MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class GitHub:
    """Where GitHub is asked, about which ``owner/name``, and with which token; empty asks as anybody."""

    repository: str
    token: str
    url: str = API


@dataclass(frozen=True, slots=True)
class _Answer:
    """What GitHub said; ``trouble`` says why that is no answer."""

    status: int
    body: Any
    trouble: str = ""


def repository_of(stacks: Mapping[str, StackSettings]) -> str:
    """``owner/name`` of the repository that the stacks are delivered from; empty where GitHub has it not."""
    url = next((settings.delivery.repository for settings in stacks.values()), "")
    return url.removeprefix(_HOST).removesuffix(".git") if url.startswith(_HOST) else ""


def github(root: Path, asked: GitHub, stacks: Mapping[str, StackSettings]) -> Iterator[Diagnosis]:
    """Examine the repository: its rules against those in ``.github/rulesets``, and the environments of the stacks."""
    patient = Patient(Area.GITHUB, asked.repository)
    expected, promotes = _expected(root), (root / PROMOTION).exists()
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    headers |= {"Authorization": f"Bearer {asked.token}"} if asked.token else {}
    with httpx.Client(base_url=asked.url, headers=headers, timeout=_SECONDS) as client:
        base = f"/repos/{asked.repository}"
        found = _ask(client, base)
        claim = "the repository can be read"
        branch = _default_branch(found.body)
        if found.trouble or not branch:
            mend = "set GITHUB_TOKEN to a token that may read the repository's administration"
            yield patient.unknown(claim, found.trouble or "there is none that this token may see", mend)
            return
        yield patient.judged(claim, f"its default branch is {branch}", "", holds=True)
        yield from _rulesets(client, base, patient, expected)
        yield _owners(client, base, patient)
        for stack, settings in stacks.items():
            is_prod = settings.environment.rung is Rung.PROD
            yield from _environment(client, base, patient, stack, branch, reviewed=is_prod)
            yield from _environment(client, base, patient, f"{stack}{PREVIEW}", branch, reviewed=False)
            if promotes:
                yield from _environment(client, base, patient, f"{stack}{OBSERVE}", branch, reviewed=False)
        if promotes:
            yield from _environment(client, base, patient, PROMOTES, branch, reviewed=False)


def _default_branch(body: Any) -> str:
    """Empty where the answer is about no repository."""
    return str(cast("Mapping[str, Any]", body).get("default_branch", "")) if isinstance(body, Mapping) else ""


def _expected(root: Path) -> dict[str, Any]:
    """The rulesets that the project declares, by name. Raises InputError where one cannot be read."""
    rulesets: dict[str, Any] = {}
    for file in sorted((root / _RULESETS).glob("*.json")):
        try:
            ruleset: Any = json.loads(file.read_text(encoding="utf-8"))
            rulesets[str(ruleset["name"])] = ruleset
        except (ValueError, KeyError, TypeError) as error:
            where, accepted = (_RULESETS / file.name).as_posix(), "a ruleset as GitHub exports it"
            raise InputError(Problem(file=where, message="is not a ruleset", accepted=accepted)) from error
    if not rulesets:
        accepted = "a ruleset as GitHub exports it, such as main.json"
        raise InputError(Problem(file=_RULESETS.as_posix(), message="has no ruleset", accepted=accepted))
    return rulesets


def _ask(client: httpx.Client, path: str, **query: str) -> _Answer:
    try:
        response = client.get(path, params=query)
    except httpx.LocalProtocolError as error:
        # Its text shows headers, and so the token.
        return _Answer(0, None, type(error).__name__)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _Answer(0, None, f"{type(error).__name__}: {error}")
    if response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
        try:
            return _Answer(response.status_code, response.json())
        except ValueError:
            return _Answer(0, None, "what answers is not GitHub")
    try:
        said = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = response.reason_phrase
    return _Answer(response.status_code, None, f"{response.status_code}: {said}")


def _rulesets(client: httpx.Client, base: str, patient: Patient, expected: Mapping[str, Any]) -> Iterator[Diagnosis]:
    listed = _ask(client, f"{base}/rulesets", includes_parents="true", per_page="100")
    known: list[Any] = listed.body if listed.status == HTTPStatus.OK else []
    numbers = {str(each["name"]): int(each["id"]) for each in known}
    for name, wanted in expected.items():
        claim, file = f"the ruleset {name} is in force as declared", (_RULESETS / f"{name}.json").as_posix()
        mend = f"import {file} (Settings, Rules, Rulesets), or correct the file"
        if listed.trouble:
            yield patient.unknown(claim, listed.trouble)
        elif name not in numbers:
            yield patient.judged(claim, "there is no ruleset of this name", mend, holds=False)
        else:
            answer = _ask(client, f"{base}/rulesets/{numbers[name]}")
            if answer.status != HTTPStatus.OK:
                yield patient.unknown(claim, answer.trouble or "it is gone")
                continue
            yield _compared(patient, claim, mend, _shape(wanted), _shape(answer.body))
            yield _bypassed(patient, name, wanted, answer.body)


def _compared(patient: Patient, claim: str, mend: str, wanted: Any, live: Any) -> Diagnosis:
    """What GitHub adds (ids, dates, parameters that the file does not name) is overlooked; a rule it adds is not."""
    found = [
        f"{path}: {_value(one)}, is {_value(other)}" for path, one, other in differences(wanted, live, subset=True)
    ]
    found += [f"rules.{rule}: is not declared" for rule in sorted(live["rules"].keys() - wanted["rules"].keys())]
    return patient.judged(claim, _few(found), mend, holds=not found)


def _shape(ruleset: Mapping[str, Any]) -> dict[str, Any]:
    """The ruleset with rules by type and without order where GitHub keeps none; who may bypass it is another claim."""
    rules = {str(rule["type"]): _unordered(rule.get("parameters") or {}) for rule in ruleset.get("rules") or ()}
    kept = {key: _unordered(ruleset.get(key)) for key in ("target", "enforcement", "conditions")}
    return {**kept, "rules": rules}


def _unordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unordered(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return sorted((_unordered(item) for item in cast("list[Any]", value)), key=_value)
    return value


def _bypassed(patient: Patient, name: str, wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Diagnosis:
    claim = f"nobody may bypass the ruleset {name} but whom it declares"
    if "bypass_actors" not in live:
        why = "GitHub tells only who may edit the ruleset"
        return patient.unknown(claim, why, "set GITHUB_TOKEN to an administrator's token")
    own, others = (
        {(str(each["actor_type"]), each.get("actor_id"), each.get("bypass_mode", "always")) for each in actors}
        for actors in (wanted.get("bypass_actors") or (), live["bypass_actors"] or ())
    )
    found = [f"{type_} {number} ({mode})" for type_, number, mode in sorted(others - own, key=str)]
    return patient.judged(claim, _few(found), "take them out, or declare them", holds=not found)


def _owners(client: httpx.Client, base: str, patient: Patient) -> Diagnosis:
    """An owner that is unknown, or may not write, owns nothing: GitHub overlooks the line."""
    claim, answer = "every line of CODEOWNERS names who may write", _ask(client, f"{base}/codeowners/errors")
    if answer.trouble:
        return patient.unknown(claim, answer.trouble)
    if answer.status == HTTPStatus.NOT_FOUND:
        return patient.judged(claim, "the default branch has no such file", "add .github/CODEOWNERS", holds=False)
    found = [f"line {each['line']}: {each['kind']}" for each in answer.body["errors"]]
    return patient.judged(claim, _few(found), "correct .github/CODEOWNERS", holds=not found)


def _environment(
    client: httpx.Client, base: str, patient: Patient, name: str, branch: str, *, reviewed: bool
) -> Iterator[Diagnosis]:
    """The cloud lets in whoever runs in the environment, and it holds secrets: none but the protected branch may."""
    path = f"{base}/environments/{name}"
    claim, answer = f"the environment {name} lets in {branch} alone", _ask(client, path)
    mend = f"Settings, Environments, {name}: deployment branches"
    if answer.trouble:
        yield patient.unknown(claim, answer.trouble)
        return
    if answer.status == HTTPStatus.NOT_FOUND:
        yield patient.judged(claim, "there is no such environment", f"make it: {mend}", holds=False)
        return
    policy = answer.body.get("deployment_branch_policy")
    if policy is None:
        yield patient.judged(claim, "any branch may deploy to it", mend, holds=False)
    elif policy["protected_branches"]:
        found = "whichever branches a branch protection rule names; all, where none does: rulesets do not count"
        yield patient.judged(claim, found, f"{mend}: choose {branch} by name", holds=False)
    else:
        yield _branches(client, path, patient, claim, branch, mend)
    if reviewed:
        yield _reviewers(patient, name, answer.body.get("protection_rules", []))


def _branches(client: httpx.Client, path: str, patient: Patient, claim: str, branch: str, mend: str) -> Diagnosis:
    answer = _ask(client, f"{path}/deployment-branch-policies")
    if answer.status != HTTPStatus.OK:
        return patient.unknown(claim, answer.trouble or "GitHub does not tell which branches")
    names = sorted(str(each["name"]) for each in answer.body["branch_policies"])
    return patient.judged(claim, _few(names), mend, holds=names == [branch])


def _reviewers(patient: Patient, name: str, rules: list[dict[str, Any]]) -> Diagnosis:
    claim, mend = (
        f"a second person lets a run into {name}",
        "Settings, Environments: required reviewers, no self-review",
    )
    required = [each for each in rules if each["type"] == "required_reviewers"]
    people: list[Any] = [each["reviewer"] for rule in required for each in rule.get("reviewers", ())]
    if not people:
        return patient.judged(claim, "it has no required reviewers", mend, holds=False)
    by_others = all(rule.get("prevent_self_review") for rule in required)
    names = ", ".join(str(each.get("slug") or each.get("login")) for each in people)
    found = f"reviewed by {names}{'' if by_others else ', also of what they started themselves'}"
    return patient.judged(claim, found, mend, holds=by_others)


def _value(value: Any) -> str:
    return "absent" if value is ABSENT else json.dumps(value, sort_keys=True)


def _few(found: list[str]) -> str:
    more = [f"and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return "; ".join([*found[:_MOST_SHOWN], *more])
