"""A model registry in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from holdfast.errors import ModelError
from holdfast.features.fingerprint import fingerprint
from holdfast.model import artifacts
from holdfast.model.approval import Approval
from holdfast.model.promotion import Verdict
from holdfast.model.record import ModelRun, ModelVersion, RunRecord
from holdfast.ports import Alias


class FakeRegistry:
    """The ModelRegistry and UpliftRegistry ports; its attributes show what happened, by run or by version."""

    def __init__(self) -> None:
        self.runs: dict[str, ModelRun[Any]] = {}
        self.versions: dict[str, ModelVersion] = {}
        self.aliases: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.feature_code = fingerprint()
        self.stories: dict[str, str] = {}
        self.decisions: dict[str, Approval] = {}

    def log(self, run: ModelRun[Any]) -> str:
        run_id = f"run-{len(self.runs) + 1}"
        self.runs[run_id] = run
        return run_id

    def register(self, run_id: str) -> ModelVersion:
        known = [version for version in self.versions.values() if version.run_id == run_id]
        version = known[0] if known else self._create_version(run_id)
        self.versions[version.version] = version
        self.aliases["challenger"] = version.version
        return version

    def _create_version(self, run_id: str) -> ModelVersion:
        run = self.runs[run_id]
        with TemporaryDirectory() as work:
            sha256 = artifacts.save(run.model, Path(work) / "model")
        return ModelVersion(str(len(self.versions) + 1), run_id, run.candidate, run.trained_to, sha256, run.service)

    def aliased(self, alias: Alias) -> ModelVersion | None:
        held_by = self.aliases.get(alias)
        return self.versions[held_by] if held_by else None

    def judge(self, version: ModelVersion, verdict: Verdict, story: str) -> None:
        self.verdicts[version.version] = verdict
        self.stories[version.version] = story
        self.versions[version.version] = replace(version, verdict=verdict.reason)

    def decide(self, version: ModelVersion, decision: Approval, replacing: str | None) -> None:
        champion = self.aliases.get("champion")
        if champion == version.version:
            return
        if decision.approved and champion != replacing:
            raise ModelError(f"version {version.version} was weighed against {replacing}, but {champion} is champion")
        self.decisions[version.version] = decision
        if decision.approved:
            self._crown(version.version)

    def rollback(self, decision: Approval) -> ModelVersion:
        if "previous" not in self.aliases:
            raise ModelError("there is no previous champion to go back to")
        self.decisions[self.aliases["champion"]] = decision
        self._crown(self.aliases["previous"])
        return self.versions[self.aliases["champion"]]

    def _crown(self, version: str) -> None:
        if "champion" in self.aliases:
            self.aliases["previous"] = self.aliases["champion"]
        self.aliases["champion"] = version

    def record(self, version: ModelVersion) -> RunRecord:
        run = self.runs[version.run_id]
        return RunRecord(run.cutoff, run.rules, run.lake_versions, self.feature_code)

    def load(self, version: ModelVersion) -> Any:
        if version.version not in self.versions:
            raise ModelError(f"the files of version {version.version} are gone")
        return self.runs[version.run_id].model
