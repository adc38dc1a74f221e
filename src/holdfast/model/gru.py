"""A recurrent net over a customer's last weeks (PyTorch, on the processor): the optional extra ``[deep]``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from holdfast.errors import SettingsError
from holdfast.model.attribution import from_log_odds, shapley
from holdfast.model.matrix import Matrix, Vector, matrix
from holdfast.weeks import WEEK_COLUMNS, WEEKS

_FILE, _WEIGHTS = "gru.json", "gru.npz"
_BATCH = 512


@dataclass(frozen=True)
class Gru:
    """Fitted weights by name: a GRU of ``hidden`` units over WEEKS steps of (orders, amount), and a line to log-odds.

    Both inputs enter as ln(1 + x), divided by ``scale``. ``reference`` is the median customer (as WEEK_COLUMNS).
    """

    features: tuple[str, ...]
    hidden: int
    scale: tuple[float, float]
    reference: tuple[float, ...]
    weights: dict[str, np.ndarray]

    format: ClassVar[str] = "gru"

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        return from_log_odds(self._log_odds(matrix(rows, WEEK_COLUMNS)))

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        """Shapley values in log-odds against the median customer; they belong to weeks, not to any feature's family."""
        added = np.zeros((len(rows), len(self.features)))
        own = shapley(self._log_odds, matrix(rows, WEEK_COLUMNS), np.array(self.reference))
        added[:, [self.features.index(name) for name in WEEK_COLUMNS]] = own
        return added

    def save(self, directory: Path) -> None:
        np.savez(directory / _WEIGHTS, allow_pickle=False, **self.weights)
        about = {
            "features": self.features,
            "hidden": self.hidden,
            "scale": self.scale,
            "reference": self.reference,
        }
        (directory / _FILE).write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Gru:
        about = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        with np.load(directory / _WEIGHTS, allow_pickle=False) as stored:
            weights = {name: stored[name] for name in stored.files}
        return cls(tuple(about["features"]), about["hidden"], tuple(about["scale"]), tuple(about["reference"]), weights)

    def _log_odds(self, values: Matrix) -> Vector:
        torch = _torch()
        net = _net(self.hidden)
        net.load_state_dict({name: torch.from_numpy(weight) for name, weight in self.weights.items()})
        with torch.inference_mode():
            parts = torch.from_numpy(_steps(values, self.scale)).split(_BATCH)
            odds: Vector = np.concatenate([_forward(net, part).numpy() for part in parts]).astype(float)
        return odds


def fit_gru(rows: pd.DataFrame, churned: Vector, seed: int, *, hidden: int, epochs: int, learning_rate: float) -> Gru:
    """Fit on WEEK_COLUMNS; the other columns of ``rows`` are known to the model but without effect."""
    torch = _torch()
    values = matrix(rows, WEEK_COLUMNS)
    logs = np.log1p(np.maximum(values, 0))
    scale = (float(logs[:, :WEEKS].std()) or 1.0, float(logs[:, WEEKS:].std()) or 1.0)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = _net(hidden)
        inputs, outcome = torch.from_numpy(_steps(values, scale)), torch.from_numpy(churned.astype(np.float32))
        optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.01)
        loss = torch.nn.BCEWithLogitsLoss()
        for _ in range(epochs):
            for batch in torch.randperm(len(inputs)).split(_BATCH):
                optimiser.zero_grad()
                loss(_forward(net, inputs[batch]), outcome[batch]).backward()
                optimiser.step()
    weights = {name: weight.numpy().copy() for name, weight in net.state_dict().items()}
    return Gru(tuple(rows.columns), hidden, scale, tuple(np.median(values, axis=0).tolist()), weights)


def _steps(values: Matrix, scale: tuple[float, float]) -> Any:
    """Rows × weeks × (orders, amount), scaled."""
    logs = np.log1p(np.maximum(values, 0))
    return np.stack([logs[:, :WEEKS] / scale[0], logs[:, WEEKS:] / scale[1]], axis=2).astype(np.float32)


def _net(hidden: int) -> Any:
    torch = _torch()
    return torch.nn.ModuleDict({"gru": torch.nn.GRU(2, hidden, batch_first=True), "line": torch.nn.Linear(hidden, 1)})


def _forward(net: Any, steps: Any) -> Any:
    _, last = net["gru"](steps)
    return net["line"](last[0])[:, 0]


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise SettingsError(
            f"the candidate gru needs PyTorch, which cannot be imported ({error}). Install the extra: "
            "pip install 'holdfast[deep]', or take gru out of training.candidates and training.blend."
        ) from error
    torch.set_num_threads(1)
    return torch
