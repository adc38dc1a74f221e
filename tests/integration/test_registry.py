"""The model registry: what the fake and MLflow must both do, and what MLflow shows to a reviewer."""

import multiprocessing
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.operations import database
from holdfast.adapters.registry import MODEL_NAME, MlflowRegistry, uplift_of
from holdfast.cli import app
from holdfast.effect.learners import learner
from holdfast.effect.uplift_model import UpliftRun, fit_model
from holdfast.errors import ModelError
from holdfast.features.fingerprint import fingerprint
from holdfast.model.approval import Approval
from holdfast.model.promotion import Check, Verdict
from holdfast.model.record import CandidateRun, FeatureService, ModelVersion
from holdfast.ports import ModelRegistry
from tests.fakes.candidate_run import FEATURES, ROWS, SERVICE, candidate_run
from tests.fakes.randomised import trial
from tests.fakes.registry import FakeRegistry

PASSED = Verdict((Check("simple rules", True, "better than rhythm_rule"),))
AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
YES, NO = Approval(True, "Ann", AT), Approval(False, "Ann", AT)


@pytest.fixture(scope="module")
def run() -> CandidateRun:
    return candidate_run()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content, made once: its migrations take seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


def real_registry(folder: Path) -> MlflowRegistry:
    engine = database.connect(f"sqlite:///{folder / 'operations.db'}")
    url = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowRegistry(url, folder / "artifacts", lambda: database.exclusive(engine))


@pytest.fixture
def mlflow_registry(empty_store: Path, tmp_path: Path) -> Iterator[MlflowRegistry]:
    import mlflow

    shutil.copy(empty_store, tmp_path / "mlflow.db")
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    yield real_registry(tmp_path)
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


def test_a_verdict_alone_makes_no_champion(registry: ModelRegistry, run: CandidateRun) -> None:
    first = registry.register(registry.log(run))
    registry.judge(first, PASSED, "The story.")
    assert registry.aliased("champion") is None
    assert registry.aliased("challenger") == replace(first, verdict="Passed: better than rhythm_rule.")


def test_the_champion_moves_only_when_approved(registry: ModelRegistry, run: CandidateRun) -> None:
    first = registry.register(registry.log(run))
    registry.decide(first, NO, None)
    assert registry.aliased("champion") is None
    registry.decide(first, YES, None)
    registry.decide(first, YES, None)
    assert registry.aliased("champion") == first
    assert registry.aliased("previous") is None


def test_a_promotion_is_refused_when_another_came_between(registry: ModelRegistry, run: CandidateRun) -> None:
    first, second = (registry.register(registry.log(run)) for _ in range(2))
    registry.decide(first, YES, None)
    with pytest.raises(ModelError, match="version 2 was weighed against"):
        registry.decide(second, YES, None)
    assert registry.aliased("champion") == first


def test_the_previous_champion_comes_back_in_one_step_and_goes_again(
    registry: ModelRegistry, run: CandidateRun
) -> None:
    first, second = (registry.register(registry.log(run)) for _ in range(2))
    with pytest.raises(ModelError, match="no previous champion"):
        registry.rollback(YES)
    registry.decide(first, YES, None)
    registry.decide(second, YES, "1")
    assert (registry.aliased("champion"), registry.aliased("previous")) == (second, first)
    assert registry.rollback(YES) == first
    assert (registry.aliased("champion"), registry.aliased("previous")) == (first, second)
    assert registry.rollback(YES) == second


def test_a_loaded_model_predicts_as_the_one_that_was_logged(registry: ModelRegistry, run: CandidateRun) -> None:
    version = registry.register(registry.log(run))
    np.testing.assert_array_equal(registry.load(version).probabilities(ROWS), run.model.probabilities(ROWS))


def test_the_record_tells_what_made_a_version(registry: ModelRegistry, run: CandidateRun) -> None:
    record = registry.record(registry.register(registry.log(run)))
    assert (record.cutoff, record.rules) == (date(2017, 11, 26), '{"seed": 7}')
    assert record.lake_versions == {"orders": 12, "order_lines": 13}
    assert record.feature_code == fingerprint()


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
    mlflow_registry.judge(version, PASSED, "The story.")
    mlflow_registry.decide(version, YES, None)
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
    assert registered.description == "The story.\n\nDecision: approved by Ann at 2026-01-05 09:30 UTC.\n"
    assert registered.tags["gate"] == "passed"
    assert registered.tags["verdict"] == "Passed: better than rhythm_rule."
    assert registered.tags["decision"] == "approved by Ann at 2026-01-05 09:30 UTC"
    assert registered.tags["lake.order_lines"] == "13"


def test_of_two_promoters_at_once_exactly_one_succeeds(
    mlflow_registry: MlflowRegistry, run: CandidateRun, tmp_path: Path
) -> None:
    first, *rivals = (mlflow_registry.register(mlflow_registry.log(run)) for _ in range(3))
    mlflow_registry.decide(first, YES, None)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = list(pool.map(promoted, [tmp_path] * 2, rivals))
    assert sorted(answers) == [False, True]
    winner = rivals[answers.index(True)]
    assert (mlflow_registry.aliased("champion"), mlflow_registry.aliased("previous")) == (winner, first)


def promoted(folder: Path, version: ModelVersion) -> bool:
    """Whether this process, with a registry of its own, got the version promoted in place of version 1."""
    try:
        real_registry(folder).decide(version, YES, "1")
    except ModelError:
        return False
    return True


def test_a_run_that_breaks_off_is_marked_failed(mlflow_registry: MlflowRegistry, run: CandidateRun) -> None:
    from mlflow import MlflowClient

    with pytest.raises(TypeError):
        mlflow_registry.log(replace(run, plots={"gain": "not bytes"}))  # type: ignore[dict-item]
    client = MlflowClient()
    experiment = client.get_experiment_by_name(MODEL_NAME)
    assert [one.info.status for one in client.search_runs([experiment.experiment_id])] == ["FAILED"]


def test_uplift_models_have_a_name_of_their_own_and_are_stored_without_pickle(
    empty_store: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    url, artifacts = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts"
    on = trial(600, seed=1)
    model = fit_model(learner("x_lightgbm"), on, (-0.05,))
    uplift_run = UpliftRun(
        candidate="x_lightgbm",
        cutoff=date(2017, 11, 26),
        trained_to=date(2017, 11, 26),
        rules="{}",
        model=model,
        service=FeatureService("churn_model_v1", on.features),
        parameters={"rows": 600},
        lake_versions={"orders": 12},
        example=pd.DataFrame([dict.fromkeys(on.features, 0.0)]),
        plots={},
    )
    registry = MlflowRegistry(url, artifacts, nullcontext, uplift_of("win_back"))
    version = registry.register(registry.log(uplift_run))
    registry.judge(version, PASSED, "a story")
    registry.decide(version, YES, None)
    champion = registry.aliased("champion")
    assert champion is not None
    rows = pd.DataFrame(on.values, columns=list(on.features))
    again = registry.load(champion)
    assert again.answers(rows).equals(model.answers(rows))
    assert again.harms(again.uplifts(rows)).any()
    assert not [path for path in artifacts.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert MlflowRegistry(url, artifacts, nullcontext, uplift_of("welcome")).aliased("champion") is None
    assert MlflowRegistry(url, artifacts, nullcontext).aliased("champion") is None

    import mlflow

    mlflow.set_tracking_uri(url)
    served = mlflow.pyfunc.load_model(f"models:/holdfast-uplift-win_back/{champion.version}")
    assert served.predict(rows)["uplift_mail"].tolist() == model.answers(rows)["uplift_mail"].tolist()


def test_a_database_whose_maker_was_killed_halfway_is_made_anew(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / ".mlflow.db.part") as half:
        half.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    assert real_registry(tmp_path).aliased("champion") is None
    assert [file.name for file in tmp_path.glob("*mlflow*")] == ["mlflow.db"]


def test_of_two_that_make_the_database_at_once_both_find_it_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as both:
        assert list(both.map(_champion, [tmp_path] * 2)) == [None, None]


def _champion(folder: Path) -> object:
    return real_registry(folder).aliased("champion")


def test_nobody_to_roll_back_to_is_told_before_there_is_a_database(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no previous champion"):
        real_registry(tmp_path).rollback(YES)


@pytest.fixture
def home(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home with an empty registry, for the commands."""
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "mlflow").mkdir()
    shutil.copy(empty_store, tmp_path / "mlflow" / "mlflow.db")
    yield
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def typed(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["model", *arguments])
    shown = capfd.readouterr()
    assert result.exit_code == code, shown.err + result.output
    return " ".join((shown.out + result.output).replace("│", " ").split())


@pytest.mark.usefixtures("home")
def test_the_command_takes_the_last_of_two_promotions_back_and_shows_it(
    run: CandidateRun, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "no model was ever registered. Run the train DAG first." in typed(capfd, "show", code=1)
    registry = wiring.registry()
    first, second = (registry.register(registry.log(run)) for _ in range(2))
    registry.judge(first, PASSED, "The story.")
    registry.decide(first, YES, None)
    registry.decide(second, YES, "1")
    assert typed(capfd, "rollback").startswith("Version 1 (lightgbm) is the champion again")
    told = typed(capfd, "show")
    assert "@champion 1 lightgbm 2017-11-26 Passed: better than rhythm_rule." in told
    assert "@previous 2 lightgbm 2017-11-26 not weighed yet" in told
    assert registry.aliased("champion") == replace(first, verdict=PASSED.reason)
    assert typed(capfd, "rollback").startswith("Version 2 (lightgbm) is the champion again")
    assert registry.aliased("champion") == second
