"""The model registry: what the fake and MLflow must both do, and what MLflow shows to a reviewer."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.adapters.registry import MODEL_NAME, MlflowRegistry
from holdfast.errors import ModelError
from holdfast.model import plots
from holdfast.model.candidates import candidate
from holdfast.model.evaluation import Evaluation, Metrics
from holdfast.model.promotion import Comparison, Verdict
from holdfast.model.record import CandidateRun, FeatureService, ModelVersion
from holdfast.model.served import ServedModel
from holdfast.ports import ModelRegistry
from tests.fakes.registry import FakeRegistry

FEATURES = ["days_since_order", "gap_mean_days"]
SERVICE = FeatureService("churn_model_v1", tuple(FEATURES))
TEST_CUTOFF = date(2017, 10, 29)
METRICS = Metrics(
    rows=200, base_rate=0.2, auc=0.81, average_precision=0.4, brier=0.1, log_loss=0.3, calibration_error=0.02,
    lift_top_tenth=3,
)  # fmt: skip
ROWS = pd.DataFrame(np.random.default_rng(1).uniform(1, 60, (200, 2)), columns=FEATURES)
CHURNED = (ROWS["days_since_order"] > 2 * ROWS["gap_mean_days"]).to_numpy(float)
PROMOTE = Verdict(True, "Promoted: it is better.", "auc", (Comparison("rhythm_rule", (TEST_CUTOFF,), 0.81, 0.75),))


@pytest.fixture(scope="module")
def run() -> CandidateRun:
    model = ServedModel(candidate("lightgbm").fit(ROWS, CHURNED, 7))
    predicted = pd.DataFrame({"churned": CHURNED, "probability": model.probabilities(ROWS)})
    return CandidateRun(
        candidate="lightgbm",
        cutoff=date(2017, 11, 26),
        trained_to=date(2017, 11, 26),
        model=model,
        service=SERVICE,
        evaluation=Evaluation({TEST_CUTOFF: METRICS}),
        parameters={"seed": 7, "learning_rate": 0.02},
        lake_versions={"orders": 12, "order_lines": 13},
        example=ROWS.median().to_frame().T,
        plots={"gain": plots.gain({"lightgbm": predicted})},
        texts={"card/model_card.md": "# 模型卡 – card"},
    )


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content, made once: its migrations take seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def mlflow_registry(empty_store: Path, tmp_path: Path) -> Iterator[MlflowRegistry]:
    import mlflow

    shutil.copy(empty_store, tmp_path / "mlflow.db")
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    yield MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture(params=["fake", "mlflow"])
def registry(request: pytest.FixtureRequest) -> ModelRegistry:
    if request.param == "fake":
        return FakeRegistry()
    real: MlflowRegistry = request.getfixturevalue("mlflow_registry")
    return real


def test_a_version_names_the_feature_service_it_was_trained_on(registry: ModelRegistry, run: CandidateRun) -> None:
    registered = registry.register(registry.log(run))
    assert registered.service == SERVICE
    assert registry.aliased("challenger") == registered


def test_at_first_nobody_holds_an_alias(registry: ModelRegistry) -> None:
    assert registry.aliased("champion") is None
    assert registry.aliased("challenger") is None


def test_a_registered_run_is_the_challenger_and_knows_where_it_comes_from(
    registry: ModelRegistry, run: CandidateRun
) -> None:
    run_id = registry.log(run)
    version = registry.register(run_id)
    assert (version.version, version.run_id, version.candidate) == ("1", run_id, "lightgbm")
    assert version.trained_to == date(2017, 11, 26)
    assert registry.aliased("challenger") == version
    assert registry.aliased("champion") is None


def test_registering_a_run_again_gives_the_same_version(registry: ModelRegistry, run: CandidateRun) -> None:
    run_id = registry.log(run)
    assert registry.register(run_id) == registry.register(run_id)


def test_the_latest_registered_run_is_the_challenger(registry: ModelRegistry, run: CandidateRun) -> None:
    registry.register(registry.log(run))
    second = registry.register(registry.log(run))
    assert second.version == "2"
    assert registry.aliased("challenger") == second


def test_the_champion_moves_only_with_a_verdict_to_promote(registry: ModelRegistry, run: CandidateRun) -> None:
    first = registry.register(registry.log(run))
    registry.settle(first, replace(PROMOTE, promote=False, reason="Not promoted: it is worse."))
    assert registry.aliased("champion") is None
    registry.settle(first, PROMOTE)
    assert registry.aliased("champion") == replace(first, verdict="Promoted: it is better.")


def test_a_loaded_model_predicts_as_the_one_that_was_logged(registry: ModelRegistry, run: CandidateRun) -> None:
    version = registry.register(registry.log(run))
    np.testing.assert_array_equal(registry.load(version).probabilities(ROWS), run.model.probabilities(ROWS))


def test_a_version_that_was_never_registered_cannot_be_loaded(registry: ModelRegistry) -> None:
    with pytest.raises(ModelError, match="version 9 are gone"):
        registry.load(ModelVersion("9", "run", "lightgbm", date(2017, 11, 26), "0" * 64, SERVICE))


def test_a_model_file_changed_after_registration_is_refused(
    mlflow_registry: MlflowRegistry, run: CandidateRun, tmp_path: Path
) -> None:
    version = mlflow_registry.register(mlflow_registry.log(run))
    (stored,) = (tmp_path / "artifacts").rglob("lightgbm.txt")
    stored.write_text(stored.read_text().replace("learning_rate: 0.02", "learning_rate: 0.03"))
    with pytest.raises(ModelError, match=f"{version.sha256} was recorded at registration"):
        mlflow_registry.load(version)


def test_mlflow_itself_serves_the_model_with_pickle_forbidden(
    mlflow_registry: MlflowRegistry, run: CandidateRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow_registry.register(mlflow_registry.log(run))
    served = mlflow.pyfunc.load_model(f"models:/{MODEL_NAME}@challenger")
    np.testing.assert_array_equal(served.predict(ROWS)["probability"], run.model.probabilities(ROWS))
    assert [column.name for column in served.metadata.signature.inputs] == FEATURES


def test_a_reviewer_finds_the_whole_story_in_mlflow(mlflow_registry: MlflowRegistry, run: CandidateRun) -> None:
    from mlflow import MlflowClient

    version = mlflow_registry.register(mlflow_registry.log(run))
    mlflow_registry.settle(version, PROMOTE)
    client = MlflowClient()
    logged = client.get_run(version.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["learning_rate"] == "0.02"
    assert logged.data.metrics["auc"] == 0.81
    assert logged.data.metrics["2017-10-29/auc"] == 0.81
    assert logged.data.tags["lake.orders"] == "12"
    assert [file.path for file in client.list_artifacts(version.run_id, "plots")] == ["plots/gain.png"]
    card = Path(client.download_artifacts(version.run_id, "card/model_card.md"))
    assert card.read_text(encoding="utf-8") == "# 模型卡 – card"
    registered = client.get_model_version(MODEL_NAME, version.version)
    assert registered.description.startswith("Promoted: it is better.")
    assert "| rhythm_rule | 2017-10-29 | 0.8100 | 0.7500 |" in registered.description
    assert registered.tags["promoted"] == "true"
    assert registered.tags["lake.order_lines"] == "13"


def test_a_run_that_breaks_off_is_marked_failed(mlflow_registry: MlflowRegistry, run: CandidateRun) -> None:
    from mlflow import MlflowClient

    with pytest.raises(TypeError):
        mlflow_registry.log(replace(run, plots={"gain": "not bytes"}))  # type: ignore[dict-item]
    client = MlflowClient()
    experiment = client.get_experiment_by_name(MODEL_NAME)
    assert [one.info.status for one in client.search_runs([experiment.experiment_id])] == ["FAILED"]
