"""The model as MLflow serves it: MLflow runs this file as a script ("models from code"), so that nothing is pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from holdfast.effect.uplift_model import LOADERS, UpliftModel
from holdfast.model import artifacts


class StoredModel(PythonModel):
    """Takes a frame with every feature as a column; answers one with ``probability``, or ``uplift_ARM`` by arm."""

    def load_context(self, context: PythonModelContext) -> None:
        self.model = artifacts.load(Path(context.artifacts["model"]), LOADERS)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        if isinstance(self.model, UpliftModel):
            return self.model.answers(model_input)
        return pd.DataFrame({"probability": self.model.probabilities(model_input)}, index=model_input.index)


set_model(StoredModel())
