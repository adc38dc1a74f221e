"""Great Expectations: suites generated from the data contract and the feature catalogue, validations, and Data Docs.

The file context in ``great_expectations/`` only says where things are and is never written to while rows are
validated. Results and Data Docs go to an output folder outside the checkout's committed files.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from holdfast.contract import BATCH
from holdfast.errors import QualityError
from holdfast.features.catalog import FAMILIES
from holdfast.features.compute import KEYS as FEATURE_KEYS
from holdfast.features.spec import Family
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
                f"{table}, {name}: rows break what is expected of them: {faults}. None of them was stored. Correct "
                f"their origin or what is declared of them and run again; details are in Data Docs below {self._docs}."
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


@dataclass(frozen=True)
class _Suite:
    """What is expected of one kind of rows."""

    name: str
    meaning: str
    expectations: Sequence[tuple[str, dict[str, Any]]]


def write_suites(context_dir: Path) -> list[Path]:
    """Write suite, validation and checkpoint of every lake table and feature view as JSON; returns the files.

    The same declarations always give the same bytes, so that a test can tell when the committed ones are stale.
    """
    tables = [_of_table(table) for table in TABLES.values() if table.home is Home.LAKE]
    return [
        _write(context_dir / folder / f"{suite.name}.json", content)
        for suite in [*tables, *map(_of_family, FAMILIES)]
        for folder, content in (
            ("expectations", _suite(suite)),
            ("validation_definitions", _validation(suite.name)),
            ("checkpoints", _checkpoint(suite.name)),
        )
    ]


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_IDS, "/".join(parts)))


def _suite(suite: _Suite) -> dict[str, Any]:
    import great_expectations as gx

    expectations = [
        {"id": _id("expectation", suite.name, str(number)), "type": kind, "kwargs": kwargs, "severity": "critical"}
        for number, (kind, kwargs) in enumerate(suite.expectations)
    ]
    return {
        "name": suite.name,
        "id": _id("suite", suite.name),
        "expectations": expectations,
        "meta": {"great_expectations_version": gx.__version__},
        "notes": suite.meaning,
    }


def _of_table(table: Table) -> _Suite:
    expectations = [*_shape([*table.names, BATCH])]
    for column in table.columns:
        expectations += _column_expectations(column)
    if len(table.key) == 1:
        expectations.append(("expect_column_values_to_be_unique", {"column": table.key[0]}))
    else:
        expectations.append(("expect_compound_columns_to_be_unique", {"column_list": list(table.key)}))
    return _Suite(table.name, table.meaning, expectations)


def _of_family(family: Family) -> _Suite:
    """Of the features of one cutoff."""
    expectations = [*_shape([*FEATURE_KEYS, *(feature.name for feature in family.features)])]
    expectations.append(("expect_column_values_to_be_unique", {"column": FEATURE_KEYS[0]}))
    for feature in family.features:
        if not feature.nullable:
            expectations.append(("expect_column_values_to_not_be_null", {"column": feature.name}))
        expectations.append(_within(feature.name, feature.minimum, feature.maximum))
    return _Suite(family.view, family.meaning, expectations)


def _shape(columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    # Great Expectations finds nothing wrong with a frame that has no rows.
    yield "expect_table_row_count_to_be_between", {"min_value": 1}
    yield "expect_table_columns_to_match_set", {"column_set": list(columns), "exact_match": True}


def _within(name: str, minimum: float | None, maximum: float | None) -> tuple[str, dict[str, Any]]:
    """Bounds on both sides, since one alone lets infinity pass."""
    low = -sys.float_info.max if minimum is None else float(minimum)
    high = sys.float_info.max if maximum is None else float(maximum)
    return "expect_column_values_to_be_between", {"column": name, "min_value": low, "max_value": high}


def _column_expectations(column: Column) -> Iterator[tuple[str, dict[str, Any]]]:
    if not column.nullable:
        yield "expect_column_values_to_not_be_null", {"column": column.name}
    if column.type is Type.FLOAT:
        yield _within(column.name, column.minimum, column.maximum)
    if column.type is Type.TIMESTAMP:
        yield "expect_column_values_to_be_of_type", {"column": column.name, "type_": "Timestamp"}
    if column.allowed is not None:
        yield "expect_column_values_to_be_in_set", {"column": column.name, "value_set": list(column.allowed)}


def _validation(suite: str) -> dict[str, Any]:
    return {
        "name": suite,
        "id": _id("validation", suite),
        "data": {"datasource": _DATASOURCE, "asset": _ASSET, "batch_definition": _BATCH},
        "suite": {"name": suite, "id": _id("suite", suite)},
    }


def _checkpoint(suite: str) -> dict[str, Any]:
    return {
        "name": suite,
        "id": _id("checkpoint", suite),
        "actions": [],
        "result_format": {"result_format": "BASIC"},
        "validation_definitions": [{"name": suite, "id": _id("validation", suite)}],
    }
