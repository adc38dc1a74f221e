"""The schema: migrations and models agree, and many processes may start at once."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_mock_engine, inspect
from sqlalchemy.exc import IntegrityError

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import Base
from holdfast.errors import SettingsError
from tests.fakes.operations import operations_engine


def test_the_migrations_give_exactly_the_tables_of_the_models(url: str) -> None:
    with database.reading(database.connect(url)) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == "0006_reports"
        assert compare_metadata(context, Base.metadata) == []


def test_checks_and_unique_keys_are_in_the_migrations_too(url: str) -> None:
    with database.reading(database.connect(url)) as connection:
        known = inspect(connection)
        for table in Base.metadata.tables.values():
            found = [
                known.get_pk_constraint(table.name),
                *known.get_check_constraints(table.name),
                *known.get_unique_constraints(table.name),
                *known.get_foreign_keys(table.name),
            ]
            assert {one["name"] for one in found if one["name"]} == {one.name for one in table.constraints}


def test_the_folder_of_a_new_file_is_made_on_demand(tmp_path: Path) -> None:
    file = tmp_path / "made" / "on" / "demand" / "operations.db"
    database.upgrade(f"sqlite:///{file}")
    assert file.is_file()


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "operations.db"
    database.upgrade(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO suppressions VALUES ('7', 'all', 'bounced', '2017-11-26', 'test')")
    database.upgrade(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM suppressions").fetchone() == (1,)


def test_processes_that_start_at_once_all_end_well(tmp_path: Path, project: Path) -> None:
    code = "import sys; from holdfast.adapters.operations import database; database.upgrade(sys.argv[1])"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'operations.db'}"]
    started = [
        subprocess.Popen(command, cwd=project, env={"PYTHONPATH": "src"}, stderr=subprocess.PIPE) for _ in range(4)
    ]
    ends = [(process.communicate()[1].decode(), process.returncode) for process in started]
    assert ends == [("", 0)] * 4


def test_a_new_file_that_another_process_writes_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "operations.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits: list[float] = []
        monkeypatch.setattr(
            database._log_ahead.retry, "sleep", lambda seconds: (waits.append(seconds), other.rollback())
        )
        database.upgrade(f"sqlite:///{file}")
    assert len(waits) == 1


def test_a_migration_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "operations.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE outbox (id INTEGER)")  # in the way of the real one
    with pytest.raises(Exception, match="outbox already exists"):
        database.upgrade(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("outbox",)]


def test_the_schema_can_be_written_for_postgresql() -> None:
    statements: list[str] = []
    engine = create_mock_engine(
        "postgresql+psycopg2://",
        lambda sql, *_, **__: statements.append(str(sql.compile(dialect=engine.dialect))),
    )
    Base.metadata.create_all(engine, checkfirst=False)
    outbox = next(sql for sql in statements if "CREATE TABLE outbox" in sql)
    assert "id BIGSERIAL NOT NULL" in outbox
    assert "planned_at TIMESTAMP WITH TIME ZONE" in outbox


def test_foreign_keys_are_enforced_and_the_file_is_in_wal(tmp_path: Path) -> None:
    engine = operations_engine(tmp_path)
    with database.reading(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), database.writing(engine) as connection:
        connection.exec_driver_sql("INSERT INTO skips VALUES ('nowhere', '7', 'budget')")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("operations.db", "HOLDFAST_OPERATIONS_URL is no SQLAlchemy URL; write sqlite:////path/to/file.db"),
        ("sqlite://", "the operations database must be a file: several processes share it"),
        ("sqlite:///:memory:", "the operations database must be a file"),
    ],
)
def test_a_url_that_cannot_hold_operations_is_refused(given: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        database.connect(given)
