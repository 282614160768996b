"""Previews' Namespaces and Applications at the API server: listing them whole, and asking it to delete one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, Field, PlainValidator, ValidationError

from ladder.contract.previews import EXPIRES, MARK
from previews.fetching import Answer, Unavailable, fetch, secret
from previews.moments import parsed
from previews.reaping import KEEP, PREVIEW, Found, Kind

__all__ = ["Deletion", "Objects", "Outcome", "Seen"]

_SOURCE = "the API server"
_PAGE, _MOST_PAGES = 100, 40
_MOST_APART = timedelta(minutes=5)
_LONGEST_REASON = 300


def _moment(value: Any) -> datetime:
    time = parsed(value) if isinstance(value, str) else None
    if time is None:
        raise ValueError("is not a time as RFC 3339 has it")
    return time


_Moment = Annotated[datetime, PlainValidator(_moment)]


class _Metadata(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=253)]
    uid: Annotated[str, Field(min_length=1, max_length=128)]
    version: Annotated[str, Field(alias="resourceVersion", min_length=1, max_length=128)]
    created: Annotated[_Moment, Field(alias="creationTimestamp")]
    deleting: Annotated[_Moment | None, Field(alias="deletionTimestamp")] = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Spec(BaseModel):
    project: str = ""


class _Item(BaseModel):
    metadata: _Metadata
    spec: _Spec = _Spec()


class _ListMetadata(BaseModel):
    following: Annotated[str, Field(alias="continue")] = ""


class _List(BaseModel):
    kind: str
    metadata: _ListMetadata
    items: list[_Item]


class _Told(BaseModel):
    """The answer to a deletion: a Status, or the object that is being deleted."""

    kind: str
    status: Any = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """All there is, and the time: the earlier one of the API server's clock and this machine's."""

    found: tuple[Found, ...]
    now: datetime


class Outcome(StrEnum):
    """What became of a deletion."""

    REMOVED = "removed"
    BEGUN = "begun"
    """It is gone when its finalizers are."""
    ABSENT = "absent"
    CONFLICT = "conflict"
    """It is not what was decided of: renewed meanwhile, or another of the same name."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deletion:
    outcome: Outcome
    reason: str


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Objects:
    """What the reaper's ServiceAccount may list and delete. ``project`` is the previews' AppProject."""

    http: httpx.AsyncClient
    token: Path
    namespace: str
    project: str
    clock: Callable[[], datetime] = _now

    async def seen(self) -> Seen:
        """Everything, Applications last: they are what renews a Namespace.

        Raises Unavailable where a list does not come whole, or the clocks are more than five minutes apart.
        """
        now = self.clock()
        namespaces, dated = await self._list(Kind.NAMESPACE, {"labelSelector": "=".join(MARK)})
        applications, _ = await self._list(Kind.APPLICATION, {})
        return Seen((*namespaces, *applications), min(now, dated))

    async def delete(self, found: Found, *, dry_run: bool) -> Deletion:
        """Ask to delete it as it was found. A dry run passes authorization and admission, and deletes nothing."""
        # With a body, the API server reads no option from the query.
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": found.uid, "resourceVersion": found.version},
            "dryRun": ["All"] if dry_run else [],
        }
        try:
            path = self._path(found.kind, found.name)
            answer = await self._ask(path, method="DELETE", body=json.dumps(options).encode())
            return _deletion(answer)
        except Unavailable as trouble:
            return Deletion(Outcome.FAILED, str(trouble))

    async def _list(self, kind: Kind, query: dict[str, str]) -> tuple[list[Found], datetime]:
        """The objects, and the time of the first answer by the API server's clock."""
        path, query = self._path(kind), {**query, "limit": str(_PAGE)}
        found: dict[str, Found] = {}
        dated: datetime | None = None
        for _ in range(_MOST_PAGES):
            answer = await self._ask(f"{path}?{urlencode(query)}")
            if answer.status != HTTPStatus.OK:
                raise Unavailable(_SOURCE, f"answers {answer.status} where {kind}s are listed{_words(answer)}")
            dated = dated or self._dated(answer)
            try:
                page = _List.model_validate_json(answer.body)
            except ValidationError as error:
                raise Unavailable(_SOURCE, f"answers something else than a list of {kind}s") from error
            if page.kind != f"{kind}List":
                raise Unavailable(_SOURCE, f"answers something else than a list of {kind}s")
            for each in page.items:
                if each.metadata.name in found:
                    raise Unavailable(_SOURCE, f"lists the same {kind} twice")
                found[each.metadata.name] = self._found(kind, each)
            if not page.metadata.following:
                return list(found.values()), dated
            query["continue"] = page.metadata.following
        raise Unavailable(_SOURCE, f"has more than {_PAGE * _MOST_PAGES:,} {kind}s")

    def _found(self, kind: Kind, item: _Item) -> Found:
        metadata, (label, value) = item.metadata, MARK
        labelled = metadata.labels.get(label) == value
        return Found(
            kind=kind,
            name=metadata.name,
            marked=labelled if kind is Kind.NAMESPACE else item.spec.project == self.project,
            uid=metadata.uid,
            version=metadata.version,
            created=metadata.created,
            expires=metadata.annotations.get(EXPIRES),
            keep=metadata.annotations.get(KEEP),
            deleting=metadata.deleting,
        )

    def _path(self, kind: Kind, name: str | None = None) -> str:
        """Of all of a kind, or of one. Raises ValueError where the name is not a preview's."""
        path = "/api/v1/namespaces"
        if kind is Kind.APPLICATION:
            path = f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/applications"
        if name is None:
            return path
        if not PREVIEW.fullmatch(name):
            raise ValueError("nothing but previews is deleted")
        return f"{path}/{name}"

    async def _ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {secret(self.token, _SOURCE)}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await fetch(self.http, _SOURCE, path, method=method, headers=headers, body=body)

    def _dated(self, answer: Answer) -> datetime:
        try:
            dated = parsedate_to_datetime(answer.headers.get("date", ""))
            apart = abs(dated - self.clock())
        except (ValueError, TypeError, OverflowError) as error:
            raise Unavailable(_SOURCE, "does not say what time it is") from error
        if apart > _MOST_APART:
            minutes = apart.total_seconds() / 60
            raise Unavailable(_SOURCE, f"has another time than this machine: the clocks are {minutes:,.0f} min apart")
        return dated


def _deletion(answer: Answer) -> Deletion:
    match answer.status:
        case HTTPStatus.OK | HTTPStatus.ACCEPTED:
            told = _told(answer)
            if told is None:
                return Deletion(Outcome.FAILED, "the API server answers something else than what it deleted")
            if told.kind == "Status" and told.status == "Success":
                return Deletion(Outcome.REMOVED, "is gone")
            return Deletion(Outcome.BEGUN, "is being deleted")
        case HTTPStatus.NOT_FOUND:
            return Deletion(Outcome.ABSENT, "is not there any more")
        case HTTPStatus.CONFLICT:
            return Deletion(Outcome.CONFLICT, f"is not as it was found, and is left alone{_words(answer)}")
        case status:
            return Deletion(Outcome.FAILED, f"the API server answers {status}{_words(answer)}")


def _told(answer: Answer) -> _Told | None:
    try:
        return _Told.model_validate_json(answer.body)
    except ValidationError:
        return None


def _words(answer: Answer) -> str:
    """The server's own, as far as they are not too many."""
    told = _told(answer)
    return f": {told.message[:_LONGEST_REASON]}" if told is not None and told.message else ""
