"""The chart's Job, its command run here as the rendered pod says, on a real PostgreSQL and an S3."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import boto3
import pytest

from ladder.seed import planned
from tests.charts import Object, rendered
from tests.seed.postgres import Server
from tests.support import ROOT, command

pytestmark = pytest.mark.servers


def run(container: Object, environment: dict[str, str]) -> dict[str, Any]:
    """The container's command in its own environment and no other, but for where this machine's stores are."""
    name, *arguments = container["command"]
    assert name == "ladder"
    given = {each["name"]: each["value"] for each in container["env"]} | environment
    done = subprocess.run(
        command(*arguments), env={"LADDER_ROOT": str(ROOT), **given}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_previews_job_fills_what_it_is_told_of_and_does_nothing_again(
    postgres: Server, database: str, storage: str
) -> None:
    (container,) = rendered("preview", "api").one("Job")["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    here = {**postgres.environment(database), "AWS_ENDPOINT_URL_S3": storage}
    s3 = boto3.client(
        "s3",
        region_name=given["AWS_REGION"],
        endpoint_url=storage,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )
    s3.create_bucket(
        Bucket=given["BUCKET_UPLOADS"], CreateBucketConfiguration={"LocationConstraint": given["AWS_REGION"]}
    )
    first, again = run(container, here), run(container, here)
    dataset, _ = planned(ROOT, "preview", 1)
    assert first["recipe"] == dataset.recipe
    assert [store["changed"] for store in first["stores"]] == [True, True]
    assert [store["changed"] for store in again["stores"]] == [False, False]
    assert first["hash"] == again["hash"]
    with postgres.connect(database) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM public.orders").fetchone() or (0,)
    assert rows == next(table.rows for table in dataset.tables if table.name == "orders")
