"""What the DAGs share."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest


@pytest.mark.parametrize(("run_type", "known"), [("SCHEDULED", True), ("MANUAL", False), ("ASSET_TRIGGERED", False)])
def test_only_a_scheduled_run_is_due_at_a_time(run_type: str, known: bool) -> None:
    from airflow.sdk.api.datamodels._generated import DagRunType

    from holdfast.adapters.airflow.conventions import due_at

    moment = datetime(2017, 11, 26, 5, tzinfo=UTC)
    run = SimpleNamespace(run_type=DagRunType[run_type], logical_date=moment if known else None)
    assert due_at({"dag_run": run}) == (moment if known else None)
