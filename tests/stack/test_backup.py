"""The backup that docs/deployment.md describes, taken while the stack runs, and restored."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from holdfast.adapters.lake import DeltaLake
from tests.stack import local
from tests.stack.conftest import Stack

pytestmark = pytest.mark.stack


def rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """How many rows each table has."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    counted = {}
    for (name,) in tables:
        query = sql.SQL("SELECT COUNT(*) FROM {}").format(sql.Identifier(name))
        (counted[name],) = connection.execute(query).fetchone() or (0,)
    return counted


@pytest.mark.parametrize("name", ["operations", "mlflow", "feast", "airflow"])
def test_a_dump_of_the_running_database_restores_to_the_same_rows(
    after_the_loop: Stack, name: str, tmp_path: Path
) -> None:
    stack = after_the_loop
    password = stack.model["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(stack.place.ports["postgres", 5432]), "PGUSER": "postgres"}
    environment = local.environment() | server | {"PGPASSWORD": password}

    def call(*command: str) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    call("pg_dump", "--format=custom", f"--file={tmp_path / name}", name)
    call("createdb", f"--owner={name}", f"{name}_restored")
    call("pg_restore", "--exit-on-error", f"--dbname={name}_restored", str(tmp_path / name))
    with (
        local.database(stack.model, stack.place, name) as original,
        local.database(stack.model, stack.place, name, f"{name}_restored") as restored,
    ):
        counted, again = rows(original), rows(restored)
    if name == "airflow":  # it goes on writing meanwhile; what people have made stands still
        kept = ("dag", "ab_user", "ab_role", "ab_permission_view_role", "slot_pool", "asset_event", "xcom")
        counted, again = ({table: count[table] for table in kept} for count in (counted, again))
    assert again == counted
    assert sum(again.values()) > 0


def test_a_copy_of_the_lake_reads_as_the_lake(after_the_loop: Stack, tmp_path: Path) -> None:
    shutil.copytree(after_the_loop.home / "lake", tmp_path / "lake")
    original, copy = DeltaLake(after_the_loop.home / "lake"), DeltaLake(tmp_path / "lake")
    assert set(copy.tables()) == set(original.tables())
    for table in original.tables():
        assert len(copy.read(table)) == len(original.read(table))
