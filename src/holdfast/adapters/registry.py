"""MLflow: every candidate a run, every challenger a registered version, the champion an alias."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version as package_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

from holdfast.adapters.storage import storing
from holdfast.effect.uplift_model import LOADERS, UpliftModel, UpliftRun
from holdfast.errors import ModelError
from holdfast.features.fingerprint import fingerprint
from holdfast.model import artifacts
from holdfast.model.approval import Approval
from holdfast.model.evaluation import Intervals
from holdfast.model.promotion import Verdict
from holdfast.model.record import CandidateRun, FeatureService, ModelVersion, RunRecord
from holdfast.model.served import ServedModel
from holdfast.ports import Alias

MODEL_NAME = "holdfast-churn"
_ALIASES = "`champion` scores; `challenger` is the latest that asked for its place; `previous` was champion before."
_RULES = "rules.json"
_PYFUNC = Path(__file__).with_name("pyfunc_model.py")
# Named here, so that MLflow does not spend seconds on finding them out by loading the model in a new process.
_REQUIREMENTS = ("holdfast", "lightgbm", "numpy", "pandas", "scikit-learn", "skops")


_Model = TypeVar("_Model", ServedModel, UpliftModel)


@dataclass(frozen=True)
class Kind(Generic[_Model]):
    """What is registered under a name: models of one class."""

    name: str
    description: str
    model: type[_Model]


CHURN = Kind(
    MODEL_NAME,
    f"Probability that a customer places no order within the horizon after the cutoff. {_ALIASES}",
    ServedModel,
)


def uplift_of(campaign: str) -> Kind[UpliftModel]:
    """The uplift models of a campaign."""
    name = f"holdfast-uplift-{campaign}"
    return Kind(name, f"What each arm of {campaign} adds to a customer's chance of staying. {_ALIASES}", UpliftModel)


class MlflowRegistry(Generic[_Model]):
    """The ModelRegistry and UpliftRegistry ports on an MLflow tracking server or database (``url``), for one ``kind``.

    Artefacts go below ``artifacts_dir``, or where the server keeps them (None); that is fixed when the experiment is
    first created. MLflow moves one alias at a time, whatever it was before; ``alone`` gives a context that one process
    at a time is in, for moving two.
    """

    def __init__(
        self,
        url: str,
        artifacts_dir: Path | None,
        alone: Callable[[], AbstractContextManager[object]],
        kind: Kind[_Model] = CHURN,  # type: ignore[assignment]
    ) -> None:
        self._kind: Kind[_Model] = kind
        self._url = url
        self._artifacts_dir = artifacts_dir
        self._alone = alone

    def log(self, run: CandidateRun | UpliftRun) -> str:
        with storing(self._artifacts_dir or self._url):
            return self._log(run)

    def _log(self, run: CandidateRun | UpliftRun) -> str:
        mlflow = self._mlflow()
        tags = {
            "candidate": run.candidate,
            "cutoff": run.cutoff.isoformat(),
            "trained_to": run.trained_to.isoformat(),
            "code_version": package_version("holdfast"),
            "feature_code": fingerprint(),
            "feature_service": run.service.name,
            "features": ",".join(run.service.features),
            **{f"lake.{table}": str(version) for table, version in run.lake_versions.items()},
            # Otherwise MLflow records the path of the running script and looks for a git checkout around it.
            "mlflow.source.name": f"holdfast {package_version('holdfast')}",
        }
        with (
            TemporaryDirectory() as work,
            mlflow.start_run(
                experiment_id=self._experiment(), run_name=f"{run.candidate} {run.cutoff}", tags=tags
            ) as started,
        ):
            mlflow.log_params(dict(run.parameters))
            mlflow.set_tags({f"note.{name}": text for name, text in run.notes.items()})
            images = Path(work) / "plots"
            images.mkdir()
            for name, png in run.plots.items():
                (images / f"{name}.png").write_bytes(png)
            mlflow.log_artifacts(str(images), "plots")
            for path, text in {**run.texts, _RULES: run.rules}.items():
                mlflow.log_text(text, path)
            files = Path(work) / "model"
            mlflow.set_tag("sha256", artifacts.save(run.model, files))
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_PYFUNC),
                artifacts={"model": str(files)},
                signature=_signature(run.model),
                input_example=run.example,
                pip_requirements=[f"{name}=={package_version(name)}" for name in _REQUIREMENTS],
            )
            # After the model: to one logged later MLflow copies a run's metrics, with a request for each.
            figures = {**(_metrics(run) if isinstance(run, CandidateRun) else {}), **run.figures}
            mlflow.log_metrics(figures, model_id=logged.model_id)
        run_id: str = started.info.run_id
        return run_id

    def register(self, run_id: str) -> ModelVersion:
        client = self._client()
        known = client.search_model_versions(f"name='{self._kind.name}' and run_id='{run_id}'")
        registered = known[0] if known else self._create_version(run_id)
        client.set_registered_model_alias(self._kind.name, "challenger", registered.version)
        return _version(registered)

    def aliased(self, alias: Alias) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        try:
            return _version(self._client().get_model_version_by_alias(self._kind.name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None  # neither the model nor the alias exists before the first promotion
            raise

    def version(self, number: str | None) -> ModelVersion:
        """The version of this number, or else the champion. Raises ModelError when there is none."""
        from mlflow.exceptions import MlflowException

        if number is None:
            champion = self.aliased("champion")
            if champion is None:
                raise ModelError("no model is champion yet. Name a version, or run the train DAG first.")
            return champion
        try:
            return _version(self._client().get_model_version(self._kind.name, number))
        except MlflowException as error:
            raise ModelError(
                f"{self._kind.name} has no version {number!r}. `holdfast model show` lists them."
            ) from error

    def judge(self, version: ModelVersion, verdict: Verdict, story: str) -> None:
        client = self._client()
        client.update_model_version(self._kind.name, version.version, description=story)
        client.set_model_version_tag(
            self._kind.name, version.version, "gate", "passed" if verdict.passed else "not passed"
        )
        client.set_model_version_tag(self._kind.name, version.version, "verdict", verdict.reason)

    def decide(self, version: ModelVersion, decision: Approval, replacing: str | None) -> None:
        with self._alone_on_database():
            champion = self.aliased("champion")
            if champion is not None and champion.version == version.version:
                return
            if decision.approved and (champion.version if champion else None) != replacing:
                raise ModelError(
                    f"version {version.version} was weighed against {_named(replacing)}, but {_named(champion)} is the "
                    "champion now: another promotion or a rollback came between. Run the DAG that trained it again."
                )
            self._note(version, "decision", str(decision))
            if decision.approved:
                self._crown(version, champion)

    def rollback(self, decision: Approval) -> ModelVersion:
        with self._alone_on_database():
            champion, previous = self.aliased("champion"), self.aliased("previous")
            if champion is None or previous is None:
                raise ModelError("there is no previous champion to go back to: at most one model was ever promoted.")
            self._note(champion, "rolled_back", f"by {decision.by} at {decision.at:%Y-%m-%d %H:%M} UTC")
            self._crown(previous, champion)
            return previous

    def _crown(self, version: ModelVersion, champion: ModelVersion | None) -> None:
        """The alias champion moves last: until then nothing has changed for those who score."""
        client = self._client()
        if champion is not None:
            client.set_registered_model_alias(self._kind.name, "previous", champion.version)
        client.set_registered_model_alias(self._kind.name, "champion", version.version)

    def _note(self, version: ModelVersion, name: str, told: str) -> None:
        """Put it on the version as a tag, and at the end of its story."""
        client = self._client()
        story = client.get_model_version(self._kind.name, version.version).description or ""
        client.set_model_version_tag(self._kind.name, version.version, name, told)
        line = f"{name.replace('_', ' ').capitalize()}: {told}."
        client.update_model_version(self._kind.name, version.version, description=f"{story.rstrip()}\n\n{line}\n")

    def record(self, version: ModelVersion) -> RunRecord:
        mlflow = self._mlflow()
        try:
            tags = self._client().get_run(version.run_id).data.tags
            return RunRecord(
                cutoff=date.fromisoformat(tags["cutoff"]),
                rules=mlflow.artifacts.load_text(f"runs:/{version.run_id}/{_RULES}"),
                lake_versions={
                    name.removeprefix("lake."): int(number) for name, number in tags.items() if name.startswith("lake.")
                },
                feature_code=tags["feature_code"],
            )
        except (mlflow.exceptions.MlflowException, OSError, KeyError) as error:
            raise ModelError(f"the record of version {version.version} lacks what made it: {error!r}") from error

    def load(self, version: ModelVersion) -> _Model:
        mlflow = self._mlflow()
        with TemporaryDirectory() as work:
            try:
                stored = mlflow.artifacts.download_artifacts(
                    f"models:/{self._kind.name}/{version.version}/artifacts/model", dst_path=work
                )
            except (mlflow.exceptions.MlflowException, OSError) as error:
                raise ModelError(
                    f"the files of {self._kind.name} version {version.version} are gone: {error}"
                ) from error
            model = artifacts.load_verified(Path(stored), version.sha256, LOADERS)
        if not isinstance(model, self._kind.model):
            raise ModelError(
                f"{self._kind.name} version {version.version} is a bare {model.format} model of an earlier Holdfast, "
                "without calibration and worth. Train again, and let the new version take its place."
            )
        return model

    def _create_version(self, run_id: str) -> Any:
        client = self._client()
        run = client.get_run(run_id)
        if not client.search_registered_models(f"name='{self._kind.name}'"):
            client.create_registered_model(self._kind.name, description=self._kind.description)
        kept = ("candidate", "cutoff", "trained_to", "code_version", "feature_service", "features", "sha256")
        return client.create_model_version(
            self._kind.name,
            source=f"models:/{run.outputs.model_outputs[0].model_id}",
            run_id=run_id,
            model_id=run.outputs.model_outputs[0].model_id,
            tags={name: value for name, value in run.data.tags.items() if name in kept or name.startswith("lake.")},
        )

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        client = self._client()
        found = client.get_experiment_by_name(self._kind.name)
        if found is None:
            try:
                place = self._artifacts_dir.resolve().as_uri() if self._artifacts_dir else None
                created: str = client.create_experiment(self._kind.name, place)
                return created
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = client.get_experiment_by_name(self._kind.name)  # another candidate's task was faster
        experiment_id: str = found.experiment_id
        return experiment_id

    @contextmanager
    def _alone_on_database(self) -> Iterator[None]:
        self._make_database()  # before, since whoever is alone cannot ask for it again
        with self._alone():
            yield

    def _make_database(self) -> None:
        """Make the file of a new SQLite database aside, and put it in place once it is whole.

        MLflow makes it table by table: a process killed meanwhile, or a second one at the same time, leaves one that
        MLflow refuses from then on.
        """
        if not self._url.startswith("sqlite:///") or (file := Path(self._url.removeprefix("sqlite:///"))).exists():
            return
        with self._alone():
            if file.exists():
                return
            from mlflow import MlflowClient

            aside = file.with_name(f".{file.name}.part")
            aside.unlink(missing_ok=True)
            aside.parent.mkdir(parents=True, exist_ok=True)
            MlflowClient(f"sqlite:///{aside}", f"sqlite:///{aside}").search_registered_models()
            MlflowClient(f"sqlite:///{aside}").search_experiments()
            aside.replace(file)

    def _client(self) -> Any:
        return self._mlflow().MlflowClient()

    def _mlflow(self) -> Any:
        import mlflow

        self._make_database()
        mlflow.set_tracking_uri(self._url)
        mlflow.set_registry_uri(self._url)
        return mlflow


def _metrics(run: CandidateRun) -> dict[str, float]:
    """Means by plain name, each test cutoff's figures in a group of its own, and the ends of all intervals."""
    evaluation = run.evaluation
    metrics = evaluation.mean.as_dict() | _ends("", evaluation.mean_intervals)
    for cutoff, figures in evaluation.by_cutoff.items():
        metrics |= {f"{cutoff}/{name}": value for name, value in figures.as_dict().items()}
        metrics |= _ends(f"{cutoff}/", evaluation.intervals.get(cutoff, {}))
    return metrics


def _ends(group: str, intervals: Intervals) -> dict[str, float]:
    ends: dict[str, float] = {}
    for name, interval in intervals.items():
        ends |= {f"{group}{name}.low": interval.low, f"{group}{name}.high": interval.high}
    return ends


def _signature(model: ServedModel | UpliftModel) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    answers = [f"uplift_{arm}" for arm in model.arms] if isinstance(model, UpliftModel) else ["probability"]
    return ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in model.features]),
        outputs=Schema([ColSpec("double", name) for name in answers]),
    )


def _version(registered: Any) -> ModelVersion:
    tags = registered.tags
    return ModelVersion(
        version=str(registered.version),
        run_id=registered.run_id,
        candidate=tags["candidate"],
        trained_to=date.fromisoformat(tags["trained_to"]),
        sha256=tags["sha256"],
        service=FeatureService(tags.get("feature_service", ""), tuple(tags.get("features", "").split(","))),
        verdict=tags.get("verdict"),
    )


def _named(version: ModelVersion | str | None) -> str:
    number = version.version if isinstance(version, ModelVersion) else version
    return "nobody" if number is None else f"version {number}"
