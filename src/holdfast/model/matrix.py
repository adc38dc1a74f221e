"""A model's view of a feature table: named columns as one float64 matrix, null as NaN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.errors import ModelError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


def matrix(rows: pd.DataFrame, features: Sequence[str]) -> Matrix:
    """The columns ``features`` of ``rows``, in that order; other columns do not matter.

    Raises ModelError when a feature is missing or infinite, since a model would answer all the same.
    """
    missing = [name for name in features if name not in rows.columns]
    if missing:
        raise ModelError(
            f"the model was fitted with {', '.join(missing)}, which the feature table lacks. "
            "Compute features with the version of Holdfast that trained the model, or train again."
        )
    values: Matrix = rows[list(features)].to_numpy(dtype=float, copy=True)
    infinite = [name for name, column in zip(features, values.T, strict=True) if np.isinf(column).any()]
    if infinite:
        raise ModelError(f"{', '.join(infinite)} holds an infinite value; a feature is a finite number or null.")
    return values
