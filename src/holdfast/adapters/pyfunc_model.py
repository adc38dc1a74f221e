"""The model as MLflow serves it: MLflow runs this file as a script ("models from code"), so that nothing is pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from holdfast.model import artifacts


class ChurnModel(PythonModel):
    """Takes a frame with every feature as a column; answers a frame with the column ``probability``."""

    def load_context(self, context: PythonModelContext) -> None:
        self.model = artifacts.load(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        return pd.DataFrame({"probability": self.model.probabilities(model_input)}, index=model_input.index)


set_model(ChurnModel())
