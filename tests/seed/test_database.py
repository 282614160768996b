"""Filling a real PostgreSQL: whole or not at all, once, only what is empty or was filled here, and what was hashed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from ladder.errors import CheckFailed
from ladder.seed import hashed
from ladder.seed.database import fill_database
from ladder.seed.dataset import hash_of
from sandbox.progress import Silent
from tests.sandbox.processes import until
from tests.seed.postgres import PASSWORD, Server
from tests.seeds import SMALL, made, project_with, shapes, small
from tests.support import command, run_ladder

pytestmark = pytest.mark.servers

# Not getrusage: a process begins with the most that its parent had.
MEMORY = """
import re, sys
from pathlib import Path
from ladder.contract.seed import SeedSettings
from ladder.seed.database import fill_database
from ladder.seed.dataset import dataset
from sandbox.progress import Silent
fill_database(dataset(SeedSettings.model_validate_json(sys.stdin.read()), sys.argv[1], 1), Silent())
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def tables(connection: psycopg.Connection[Any]) -> set[str]:
    found = connection.execute("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^(pg_|info)'")
    return {name for (name,) in found}


def written(connection: psycopg.Connection[Any], table: str, order: str = "id") -> bytes:
    """The table as COPY writes it."""
    query = psycopg.sql.SQL("COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT").format(
        psycopg.sql.Identifier("public", table), psycopg.sql.Identifier(order)
    )
    with connection.cursor().copy(query) as copy:
        return b"".join(map(bytes, copy))


def generated(table: Any) -> bytes:
    return b"".join(table.group(number) for number in range(table.groups))


def big() -> dict[str, Any]:
    """The small shape, of so many rows that filling it in takes a while."""
    shape = small()
    shape["tables"]["order"]["rows"]["dev"] = 400_000
    return shape


def begun(project: Path, environment: str = "dev") -> subprocess.Popen[str]:
    arguments = command("seed", environment, "--only", "database", "--format", "json")
    return subprocess.Popen(
        arguments,
        env={**os.environ, "LADDER_ROOT": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def copying(server: Server, database: str) -> int:
    with server.connect() as connection:
        query = "SELECT coalesce(sum(tuples_processed), 0) FROM pg_stat_progress_copy WHERE datname = %s"
        return int(connection.execute(query, [database]).fetchone()[0])


def alone(server: Server, database: str) -> bool:
    with server.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return connection.execute(query, [database]).fetchone()[0] == 0


def test_the_database_holds_what_was_hashed(postgres: Server, database: str) -> None:
    dataset = made(SMALL)
    filled = fill_database(dataset, Silent())
    assert filled.changed
    assert list(filled.parts) == [part for part in hashed(dataset, Silent()).parts if part.name != "uploads"]
    with postgres.connect(database) as connection:
        assert tables(connection) == {"public.people", "public.order", "seed.dataset"}
        assert written(connection, "people") == generated(dataset.tables[0])
        rows = [line.split(b"\t") for line in written(connection, "order").splitlines()]
        expected = [line.split(b"\t") for line in generated(dataset.tables[1]).splitlines()]
        assert [[row[0].replace(b"-", b""), *row[1:]] for row in rows] == expected
        marker = connection.execute("SELECT environment, seed, recipe, hash FROM seed.dataset").fetchall()
        assert marker == [("dev", 7, dataset.recipe, hash_of(filled.parts))]


def test_relations_are_the_servers_own_constraints(postgres: Server, database: str) -> None:
    fill_database(made(SMALL), Silent())
    with postgres.connect(database) as connection:
        found = connection.execute(
            "SELECT conrelid::regclass::text, contype::text, convalidated FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f') ORDER BY 1, 2"
        ).fetchall()
        assert found == [
            ('"order"', "f", True),
            ('"order"', "p", True),
            ("people", "f", True),
            ("people", "p", True),
        ]
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute('UPDATE "order" SET "user" = 0 WHERE id = 1')
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute("UPDATE people SET name = NULL WHERE id = 1")


def test_again_nothing_is_done(postgres: Server, database: str) -> None:
    first = fill_database(made(SMALL), Silent())
    with postgres.connect(database) as connection:
        before = connection.execute("SELECT xmin::text, filled_at FROM seed.dataset").fetchall()
        again = fill_database(made(SMALL), Silent())
        assert (again.changed, again.parts) == (False, first.parts)
        assert connection.execute("SELECT xmin::text, filled_at FROM seed.dataset").fetchall() == before


def test_another_dataset_takes_the_place_of_the_first_and_leaves_other_tables(postgres: Server, database: str) -> None:
    fill_database(made(SMALL), Silent())
    shape = small()
    shape["tables"]["visits"] = shape["tables"].pop("order")
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE migrations (version int)")
        assert fill_database(made(shape, seed=8), Silent()).changed
        assert tables(connection) == {"public.people", "public.visits", "public.migrations", "seed.dataset"}
        assert written(connection, "people") == generated(made(shape, seed=8).tables[0])


def test_what_depends_on_the_data_keeps_it_from_being_replaced(postgres: Server, database: str) -> None:
    fill_database(made(SMALL), Silent())
    with postgres.connect(database) as connection:
        connection.execute("CREATE VIEW adults AS SELECT id FROM people")
        with pytest.raises(CheckFailed, match="adults"):
            fill_database(made(SMALL, seed=8), Silent())
        assert written(connection, "people") == generated(made(SMALL).tables[0])


@pytest.mark.parametrize(
    "stranger",
    ["CREATE TABLE people (id int)", "CREATE SCHEMA app CREATE VIEW v AS SELECT 1 AS one", "CREATE SEQUENCE s"],
)
def test_a_database_of_somebody_else_is_left_alone(stranger: str, postgres: Server, database: str) -> None:
    with postgres.connect(database) as connection:
        connection.execute(stranger)
        before = tables(connection)
        with pytest.raises(CheckFailed, match="is not empty, and was not filled by this tool: it holds"):
            fill_database(made(SMALL), Silent())
        assert tables(connection) == before


def test_another_environments_database_is_left_alone(postgres: Server, database: str) -> None:
    fill_database(made(SMALL, "staging"), Silent())
    with pytest.raises(CheckFailed, match="is filled for staging, not for dev: is PGDATABASE right"):
        fill_database(made(SMALL), Silent())
    with postgres.connect(database) as connection:
        assert written(connection, "people") == generated(made(SMALL, "staging").tables[0])


@pytest.mark.parametrize("before", ["nothing", "a dataset"])
def test_killed_in_the_middle_it_leaves_what_was_there_and_the_next_run_is_whole(
    before: str, postgres: Server, database: str, tmp_path: Path
) -> None:
    project = project_with(tmp_path, big())
    earlier = made(SMALL)
    if before == "a dataset":
        fill_database(earlier, Silent())
    with begun(project.root) as process:
        until(lambda: copying(postgres, database) > 5_000)
        process.kill()
    until(lambda: alone(postgres, database))
    with postgres.connect(database) as connection:
        if before == "a dataset":
            assert written(connection, "people") == generated(earlier.tables[0])
            assert connection.execute("SELECT recipe FROM seed.dataset").fetchall() == [(earlier.recipe,)]
        else:
            assert tables(connection) == set()
        with begun(project.root) as process:
            out, err = process.communicate()
        assert process.returncode == 0, err
        (store,) = json.loads(out)["stores"]
        dataset = made(big())
        assert store["changed"]
        assert store["parts"][1] == dataset.tables[1].stream(lambda _: None, lambda _: None).as_json()
        assert connection.execute('SELECT count(*) FROM "order"').fetchone() == (400_000,)


def test_of_two_at_once_one_fills_it_and_the_other_finds_it_filled(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    project = project_with(tmp_path, SMALL)
    both = [begun(project.root) for _ in range(2)]
    told = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    stores = [json.loads(out)["stores"][0] for out, _ in told]
    assert sorted(store["changed"] for store in stores) == [False, True]
    assert stores[0]["hash"] == stores[1]["hash"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much a program alone had in use")
def test_memory_does_not_grow_with_the_rows(database: str, postgres: Server) -> None:
    shape = small()
    shape["tables"]["order"]["rows"] |= {"dev": 20_000, "staging": 300_000}
    used: list[int] = []
    for environment in ("dev", "staging"):
        finished = subprocess.run(
            [sys.executable, "-c", MEMORY, environment],
            input=json.dumps(shape),
            env={**os.environ, **postgres.environment(postgres.fresh(f"{database}_{environment}"))},
            capture_output=True,
            text=True,
            check=True,
        )
        used.append(int(finished.stdout))
    assert used[1] - used[0] < 4 * 1024, f"{used} KiB"


@pytest.mark.exhaustive
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(shape=shapes(buckets=("uploads",)))
def test_whatever_the_contract_accepts_the_server_takes(shape: dict[str, Any], postgres: Server, database: str) -> None:
    dataset = made(shape)
    assert fill_database(dataset, Silent()).parts == tuple(
        table.stream(lambda _: None, lambda _: None) for table in dataset.tables
    )
    with postgres.connect(database) as connection:
        for table in dataset.tables:
            query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier("public", table.name))
            assert connection.execute(query).fetchone() == (table.rows,)


@pytest.mark.parametrize(
    "wrong", [{"PGPASSWORD": "battery-staple"}, {"PGHOST": "/nonexistent"}, {"PGDATABASE": "none"}]
)
def test_a_database_that_does_not_let_in_is_told_without_the_password(
    wrong: dict[str, str],
    database: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(project_with(tmp_path, SMALL).root))
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    outcome = run_ladder(capsys, "seed", "dev", "--only", "database", "--format", "json")
    assert (outcome.code, outcome.out) == (1, "")
    assert json.loads(outcome.err)["error"].startswith("the database: ")
    assert PASSWORD not in outcome.err
    assert "battery-staple" not in outcome.err


def test_the_command_tells_what_became_of_it(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(project_with(tmp_path, SMALL).root))
    first, again = (run_ladder(capsys, "seed", "dev", "--only", "database") for _ in range(2))
    assert (first.code, again.code) == (0, 0)
    assert "database: filled, sha256:" in first.out
    assert "database: holds it already, sha256:" in again.out
    assert "[2/2] fill order" in first.err
    assert PASSWORD not in first.out + first.err
