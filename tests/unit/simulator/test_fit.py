"""A simulated shop takes after the shop whose orders it was fitted to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from holdfast.adapters.yaml_files import load
from holdfast.errors import MissingDataError
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.fit import fitted
from holdfast.simulator.shop import SimulatedShop


@pytest.fixture(scope="module")
def assumed(project: Path) -> ShopConfig:
    return load(project / "config" / "simulator.yaml", ShopConfig)


def history(config: ShopConfig, days: int, customers: int = 1_500) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The orders and lines of a shop's customers, as the lake would have them."""
    shop = SimulatedShop(config, customers, 3)
    parts = [part for _ in range(days) for part in shop.live()]
    orders, lines = (
        pa.concat_tables([part[name] for part in parts if name in part]) for name in ("orders", "order_lines")
    )
    return orders.to_pandas(), lines.to_pandas()


def test_rhythm_weekdays_and_baskets_are_found_again(assumed: ShopConfig) -> None:
    """Nobody wavers here: silence would be taken for long gaps."""
    steady = assumed.model_copy(
        update={
            "leaving": assumed.leaving.model_copy(update={"wavers_after_days": 1e6, "trouble_factor": 1}),
            "rhythm": assumed.rhythm.model_copy(update={"gap_days": 9, "spread": 0.3}),
            "season": assumed.season.model_copy(update={"weekdays": (1, 1, 1, 1, 1, 1.8, 0.2)}),
            "established": 1.0,
        }
    )
    fit = fitted(assumed, *history(steady, 150), "Corner Shop", assumed.zone)
    assert fit.months_alike == "the history holds June not at all; a season takes two"
    found = fit.config
    assert found.name == "Corner Shop (simulated)"
    assert found.rhythm.gap_days == pytest.approx(9, rel=0.2)
    assert found.rhythm.spread == pytest.approx(0.3, abs=0.1)
    assert found.rhythm.regularity == pytest.approx(1.5, abs=0.4)
    assert found.season.weekdays[5] > 1.3
    assert found.season.weekdays[6] < 0.5
    assert found.basket.lines == pytest.approx(assumed.basket.lines, rel=0.15)
    assert found.responses == assumed.responses, "how customers respond is assumed"


def test_two_years_tell_the_months_as_the_simulator_takes_them(assumed: ShopConfig) -> None:
    """What a factor on the hazard does to the number of orders is undone: the factors themselves come back."""
    true = (0.8, 0.8, 1, 1, 1, 1, 0.6, 0.6, 1, 1.2, 1.6, 1.8)
    season = assumed.season.model_copy(update={"months": true})
    found = fitted(assumed, *history(assumed.model_copy(update={"season": season}), 731, 600), "Fair", assumed.zone)
    assert found.months_alike is None
    ratios = np.log(found.config.season.months) - np.log(true)
    assert np.abs(ratios - ratios.mean()).max() < 0.2
    assert np.polyfit(np.log(true), np.log(found.config.season.months), 1)[0] == pytest.approx(1, abs=0.15)


def test_too_short_a_history_is_refused_in_words(assumed: ShopConfig) -> None:
    with pytest.raises(MissingDataError, match="too few to simulate a shop like Corner Shop; at least 200 are needed"):
        fitted(assumed, *history(assumed, 6), "Corner Shop", assumed.zone)
