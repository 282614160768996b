"""The real API server agrees with its schemas: what they let pass it takes, what they refuse it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ladder.strict_yaml import parse
from sandbox.connection import Sandbox
from tests.bad_objects import BAD_OBJECTS, COLLECTIONS, GOOD_OBJECTS, BadObject
from tests.sandbox.cluster import Answer, Cluster

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox) -> Iterator[Cluster]:
    cluster = Cluster(sandbox, sandbox.token)
    yield cluster
    cluster.close()


def applied(cluster: Cluster, kind: str, document: Mapping[str, Any]) -> Answer:
    """The object as Argo CD applies it, without effect."""
    options = "fieldManager=test&force=true&dryRun=All&fieldValidation=Strict"
    return cluster.patch(f"/apis/{COLLECTIONS[kind]}/one?{options}", document, "application/apply-patch+yaml")


@pytest.mark.parametrize("kind", GOOD_OBJECTS)
def test_the_server_takes_what_passes(kind: str, cluster: Cluster) -> None:
    answer = applied(cluster, kind, parse(GOOD_OBJECTS[kind], file=kind).value)
    assert answer.status == 201, answer.message


@pytest.mark.parametrize("bad", BAD_OBJECTS, ids=str)
def test_the_server_refuses_what_is_refused(bad: BadObject, cluster: Cluster) -> None:
    answer = applied(cluster, bad.kind, bad.document())
    assert answer.status in {400, 422, 500}, answer.body
    # It names the field, but for values that Go cannot read at all: then the kind.
    assert bad.path.rpartition(".")[2] in answer.message or f"Kind={bad.kind}: " in answer.message
