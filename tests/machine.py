"""The machine that the tests run on: what it may lack, and which of its variables are Holdfast's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRE_ALL = "TESTS_REQUIRE_ALL"
"""The variable that CI sets to 1: a program that is lacking then fails its tests."""

_OURS = ("HOLDFAST_", "AIRFLOW", "MLFLOW_", "FEAST_", "GX_")


def lacking(what: str) -> NoReturn:
    """Skip this test, since the machine has no such program; fail it where all of them must be there."""
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{what} (and {REQUIRE_ALL}=1)")
    pytest.skip(what)


def shared_data(project: Path, name: str) -> Path:
    """A file or folder of ../shared/data. Data of others are in no checkout: without them, the test is skipped."""
    found = project.parent / "shared" / "data" / name
    if not found.exists():
        pytest.skip(f"../shared/data/{name} is not there")
    return found


def ours() -> Iterator[str]:
    """The variables of this process that say where Holdfast, Airflow, Feast, MLflow and GX live."""
    return (name for name in list(os.environ) if name.startswith(_OURS))


def new_terminal() -> dict[str, str]:
    """The environment that a newly opened terminal would have."""
    environment = dict(os.environ)
    for name in ours():
        del environment[name]
    return environment
