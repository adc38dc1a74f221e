"""The uplift models of one campaign, in memory."""

from __future__ import annotations

from dataclasses import replace

from holdfast.effect.uplift_model import UpliftModel, UpliftRun
from holdfast.model.approval import Approval
from holdfast.model.promotion import Verdict
from holdfast.model.record import ModelVersion
from holdfast.ports import Alias


class FakeUpliftRegistry:
    """The UpliftRegistry port; its attributes show what happened, by version."""

    def __init__(self) -> None:
        self.runs: list[UpliftRun] = []
        self.versions: dict[str, ModelVersion] = {}
        self.aliases: dict[str, str] = {}
        self.stories: dict[str, str] = {}

    def log(self, run: UpliftRun) -> str:
        self.runs.append(run)
        return str(len(self.runs))

    def register(self, run_id: str) -> ModelVersion:
        run = self.runs[int(run_id) - 1]
        self.versions[run_id] = ModelVersion(run_id, run_id, run.candidate, run.trained_to, "", run.service)
        self.aliases["challenger"] = run_id
        return self.versions[run_id]

    def aliased(self, alias: Alias) -> ModelVersion | None:
        return self.versions[self.aliases[alias]] if alias in self.aliases else None

    def judge(self, version: ModelVersion, verdict: Verdict, story: str) -> None:
        self.versions[version.version] = replace(version, verdict=verdict.reason)
        self.stories[version.version] = story

    def decide(self, version: ModelVersion, decision: Approval, replacing: str | None) -> None:
        if decision.approved:
            self.aliases["champion"] = version.version

    def load(self, version: ModelVersion) -> UpliftModel:
        return self.runs[int(version.run_id) - 1].model
