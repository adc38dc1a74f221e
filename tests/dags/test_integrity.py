"""DAG files: they import, they parse without heavy libraries, and each tells what a person needs to know."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = (
    "alert",
    "deliver",
    "features",
    "ingest",
    "intervene",
    "learn",
    "measure",
    "report",
    "retention",
    "score",
    "train",
)
HEAVY = (
    "deltalake", "duckdb", "feast", "great_expectations", "lightgbm", "matplotlib", "mlflow", "numpy", "optuna",
    "pandas", "pyarrow", "scipy", "sklearn",
)  # fmt: skip
"""What takes long to import: a DAG file is parsed every few seconds, and a task imports what it needs itself."""

PARSE = """
import json, sys
import airflow.models, airflow.sdk
from airflow.dag_processing.dagbag import DagBag
DagBag(sys.argv[2])  # an empty folder: what Airflow itself loads on first use is not the DAG file's doing
before = set(sys.modules)
bag = DagBag(sys.argv[1])
heavy = sorted({name.partition(".")[0] for name in set(sys.modules) - before} & set(sys.argv[3].split(",")))
print("RESULT" + json.dumps({
    "errors": bag.import_errors,
    "heavy": heavy,
    "dags": {name: {"doc": dag.doc_md, "tags": sorted(dag.tags), "catchup": dag.catchup,
                    "active": dag.max_active_runs, "schedule": dag.timetable.__class__.__name__,
                    "undocumented": [t.task_id for t in dag.tasks if not (t.doc_md or t.python_callable.__doc__)]}
             for name, dag in bag.dags.items()},
}))
"""


@pytest.fixture(scope="module")
def parsed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What a fresh process finds when it parses ``dags/``."""
    empty = tmp_path_factory.mktemp("empty")
    arguments = [sys.executable, "-c", PARSE, str(project / "dags"), str(empty), ",".join(HEAVY)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT"))


def test_every_dag_imports(parsed: dict) -> None:
    assert parsed["errors"] == {}
    assert sorted(parsed["dags"]) == list(DAGS)


def test_parsing_loads_no_heavy_library(parsed: dict) -> None:
    assert parsed["heavy"] == []


@pytest.mark.parametrize("name", DAGS)
def test_a_dag_tells_what_it_does_and_why_a_rerun_is_safe(parsed: dict, name: str) -> None:
    dag = parsed["dags"][name]
    assert dag["doc"].lstrip().startswith("### ")
    assert "**A re-run is safe.**" in dag["doc"]
    assert (dag["tags"], dag["catchup"], dag["active"]) == (["holdfast"], False, 1)
    assert dag["undocumented"] == []
