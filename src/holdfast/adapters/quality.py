"""Great Expectations: suites generated from the data contract, validations of accepted rows, and Data Docs.

The file context in ``great_expectations/`` only says where things are and is never written to while rows are
validated. Results and Data Docs go to an output folder outside the checkout's committed files.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from holdfast.contract import BATCH
from holdfast.errors import QualityError
from holdfast.schemas import TABLES, Column, Home, Table, Type

_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "holdfast/great_expectations")

# The data source, asset and batch definition in great_expectations.yml: rows handed over as a pandas frame.
_DATASOURCE = {"id": "3c0f7f0e-4a43-5d0c-9a39-6f3a5ad0e9b1", "name": "landing"}
_ASSET = {"id": "b1c9c2de-0d2a-5f0e-8e0b-6a0a3cf2f1d7", "name": "accepted_rows"}
_BATCH = {"id": "7d8f1f54-2f53-5c86-9f64-0c1a5b7f9b12", "name": "shard"}


class GreatExpectations:
    """The Quality port on the file context at ``context_dir``; ``output`` receives validations and Data Docs."""

    def __init__(self, context_dir: Path, output: Path) -> None:
        self._context_dir = context_dir
        self._output = output
        self._opened: Any = None

    def check(self, table: str, rows: pd.DataFrame, name: str) -> None:
        import great_expectations as gx

        checkpoint = self._context().checkpoints.get(table)
        result = checkpoint.run(batch_parameters={"dataframe": rows}, run_id=gx.RunIdentifier(run_name=name))
        if not result.success:
            faults = "; ".join(_faults(result))
            raise QualityError(
                f"{table}, {name}: accepted rows break what is expected of them: {faults}. Nothing of this shard was "
                f"stored. Correct the files or the contract and run again; details are in Data Docs below {self._docs}."
            )

    def publish(self) -> Path:
        self._context().build_data_docs()
        return self._docs / "index.html"

    @property
    def _docs(self) -> Path:
        return self._output / "data_docs"

    def _context(self) -> Any:
        if self._opened is None:
            import great_expectations as gx

            self._output.mkdir(parents=True, exist_ok=True)
            self._opened = gx.get_context(
                mode="file",
                context_root_dir=self._context_dir,
                runtime_environment={"quality_output": str(self._output.resolve())},
            )
        return self._opened


def _faults(result: Any) -> Iterator[str]:
    for validation in result.run_results.values():
        for outcome in validation.results:
            if not outcome.success:
                kwargs = outcome.expectation_config.kwargs
                concerned = kwargs.get("column") or kwargs.get("column_list") or "the table"
                seen = outcome.result
                observed = seen.get("observed_value", seen.get("partial_unexpected_list", outcome.exception_info))
                yield f"{outcome.expectation_config.type} on {concerned}, observed {observed}"


def write_suites(context_dir: Path) -> list[Path]:
    """Write the suite, validation definition and checkpoint of every lake table as JSON; returns the files.

    The same contract always gives the same bytes, so that a test can tell when the committed ones are stale.
    """
    return [
        _write(context_dir / folder / f"{table.name}.json", content)
        for table in TABLES.values()
        if table.home is Home.LAKE
        for folder, content in (
            ("expectations", _suite(table)),
            ("validation_definitions", _validation(table)),
            ("checkpoints", _checkpoint(table)),
        )
    ]


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_IDS, "/".join(parts)))


def _suite(table: Table) -> dict[str, Any]:
    import great_expectations as gx

    expectations = [
        {"id": _id("expectation", table.name, str(number)), "type": kind, "kwargs": kwargs, "severity": "critical"}
        for number, (kind, kwargs) in enumerate(_expectations(table))
    ]
    return {
        "name": table.name,
        "id": _id("suite", table.name),
        "expectations": expectations,
        "meta": {"great_expectations_version": gx.__version__},
        "notes": table.meaning,
    }


def _expectations(table: Table) -> Iterator[tuple[str, dict[str, Any]]]:
    # Great Expectations finds nothing wrong with a frame that has no rows.
    yield "expect_table_row_count_to_be_between", {"min_value": 1}
    yield "expect_table_columns_to_match_set", {"column_set": [*table.names, BATCH], "exact_match": True}
    for column in table.columns:
        yield from _column_expectations(column)
    if len(table.key) == 1:
        yield "expect_column_values_to_be_unique", {"column": table.key[0]}
    else:
        yield "expect_compound_columns_to_be_unique", {"column_list": list(table.key)}


def _column_expectations(column: Column) -> Iterator[tuple[str, dict[str, Any]]]:
    if not column.nullable:
        yield "expect_column_values_to_not_be_null", {"column": column.name}
    if column.type is Type.FLOAT:
        # Bounds on both sides, since one alone lets infinity pass.
        low = -sys.float_info.max if column.minimum is None else float(column.minimum)
        high = sys.float_info.max if column.maximum is None else float(column.maximum)
        yield "expect_column_values_to_be_between", {"column": column.name, "min_value": low, "max_value": high}
    if column.type is Type.TIMESTAMP:
        yield "expect_column_values_to_be_of_type", {"column": column.name, "type_": "Timestamp"}
    if column.allowed is not None:
        yield "expect_column_values_to_be_in_set", {"column": column.name, "value_set": list(column.allowed)}


def _validation(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "id": _id("validation", table.name),
        "data": {"datasource": _DATASOURCE, "asset": _ASSET, "batch_definition": _BATCH},
        "suite": {"name": table.name, "id": _id("suite", table.name)},
    }


def _checkpoint(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "id": _id("checkpoint", table.name),
        "actions": [],
        "result_format": {"result_format": "BASIC"},
        "validation_definitions": [{"name": table.name, "id": _id("validation", table.name)}],
    }
