"""A PostgreSQL for the tests that fill one, and an S3 that other processes reach too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.seed.postgres import Server, running

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def database(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new database, which libpq's variables name."""
    name = postgres.fresh(f"test_{next(_numbers)}")
    for variable, value in postgres.environment(name).items():
        monkeypatch.setenv(variable, value)
    return name


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """The URL of an S3 on loopback."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(storage: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, which the variables name that services have too."""
    name = f"test-{next(_numbers)}-uploads"
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {
        "AWS_ENDPOINT_URL_S3": storage,
        "AWS_ACCESS_KEY_ID": "throwaway",
        "AWS_SECRET_ACCESS_KEY": "throwaway",
        "AWS_REGION": "us-east-1",
        "BUCKET_UPLOADS": name,
    }.items():
        monkeypatch.setenv(variable, value)
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
    return name
