"""A model registry in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.errors import ModelError
from holdfast.model import artifacts
from holdfast.model.promotion import Verdict
from holdfast.model.record import CandidateRun, ModelVersion
from holdfast.model.served import ServedModel
from holdfast.ports import Alias


class FakeRegistry:
    """The ModelRegistry port; ``runs``, ``versions``, ``aliases`` and ``verdicts`` show what happened."""

    def __init__(self) -> None:
        self.runs: dict[str, CandidateRun] = {}
        self.versions: dict[str, ModelVersion] = {}
        self.aliases: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}

    def log(self, run: CandidateRun) -> str:
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

    def settle(self, version: ModelVersion, verdict: Verdict) -> None:
        self.verdicts[version.version] = verdict
        self.versions[version.version] = replace(version, verdict=verdict.reason)
        if verdict.promote:
            self.aliases["champion"] = version.version

    def load(self, version: ModelVersion) -> ServedModel:
        if version.version not in self.versions:
            raise ModelError(f"the files of version {version.version} are gone")
        return self.runs[version.run_id].model
