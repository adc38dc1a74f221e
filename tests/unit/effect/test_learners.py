"""Every learner finds who is moved by treatment; a rival does not; and what was fitted is the same once stored."""

import json

import numpy as np
import pytest

from holdfast.effect.learners import LEARNERS, Effect, learner
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_evaluation import fit_arms, out_of_fold
from holdfast.errors import ModelError
from tests.fakes.randomised import FEATURES, customers, effect_of, trial

HONEST = [name for name, one in LEARNERS.items() if not one.rival and one.storable]


def correlation(effects: np.ndarray, seed: int, count: int) -> float:
    truth = effect_of(customers(count, seed), 0.2)
    return float(np.corrcoef(effects[:, 0], truth)[0, 1])


@pytest.mark.parametrize("name", HONEST)
def test_a_learner_tells_those_whom_treatment_helps_from_those_whom_it_harms(name: str) -> None:
    effects = out_of_fold(learner(name), trial(4_000, seed=1), folds=3)
    assert correlation(effects, 1, 4_000) > 0.6
    assert 0.05 < np.abs(effects).mean() < 0.35  # in the outcome's unit: the truth is 0.2 up or down


def test_unequal_shares_do_not_bend_the_effect() -> None:
    effects = out_of_fold(learner("class_logistic"), trial(8_000, seed=2, share=0.8), folds=3)
    assert abs(float(effects.mean())) < 0.05
    assert correlation(effects, 2, 8_000) > 0.6


def test_churn_risk_orders_by_level_and_so_by_chance() -> None:
    effects = out_of_fold(learner("churn_risk"), trial(4_000, seed=1), folds=3)
    assert abs(correlation(effects, 1, 4_000)) < 0.1
    assert np.corrcoef(effects[:, 0], customers(4_000, 1)["level"])[0, 1] < -0.9


@pytest.mark.parametrize("name", ["s_lightgbm", "x_logistic", "class_logistic", "pooled"])
def test_what_is_stored_as_json_predicts_the_same(name: str) -> None:
    on = trial(800, seed=3)
    [effect] = fit_arms(learner(name), on)
    again = Effect.of(json.loads(json.dumps(effect.content())))
    assert again(on.values).tolist() == effect(on.values).tolist()


def two_arms(count: int, seed: int, strengths: tuple[float, float]) -> Randomised:
    """A third each to the control, a strong arm and a weak one, which move the same customers."""
    rng = np.random.default_rng(seed)
    rows = customers(count, seed)
    given = rng.integers(0, 3, count)
    strength = np.array([0.0, *strengths])[given]
    chance = 0.5 + 0.25 * rows["level"] + effect_of(rows, 1) * strength
    told = rows.assign(
        arm=np.array(["control", "call", "mail"])[given], good=(rng.random(count) < chance).astype(float)
    )
    chances = {name: np.full(count, 1 / 3) for name in ("control", "call", "mail")}
    return Randomised.of(told, features=FEATURES, outcome="good", chances=chances, binary=True)


def test_arms_that_move_the_same_customers_teach_each_other_and_keep_their_strength() -> None:
    on, truth = two_arms(6_000, 6, (0.2, 0.1)), effect_of(customers(6_000, 6), 1)
    pooled = out_of_fold(learner("pooled"), on, folds=3)
    by_arm = [float(np.mean(pooled[:, arm] * truth)) for arm in (0, 1)]
    assert by_arm == pytest.approx([0.2, 0.1], abs=0.05)
    alone = out_of_fold(learner("s_logistic"), on, folds=3)
    weak = [float(np.corrcoef(effects[:, 1], truth)[0, 1]) for effects in (pooled, alone)]
    assert weak[0] > weak[1]


def test_an_arm_that_moves_nobody_is_given_the_same_small_effect_everywhere() -> None:
    on = two_arms(6_000, 7, (0.2, 0.0))
    _, weak = fit_arms(learner("pooled"), on)
    strong, idle = (float(np.std(effect(on.values))) for effect in (fit_arms(learner("pooled"), on)[0], weak))
    assert idle < strong / 3


def test_a_missing_value_is_no_obstacle() -> None:
    on = trial(800, seed=3)
    on.values[::7, 0] = np.nan
    for name in HONEST:
        [effect] = fit_arms(learner(name), on)
        assert np.isfinite(effect(on.values)).all()


def test_without_a_control_there_is_nothing_to_compare() -> None:
    on = trial(300, seed=4)
    with pytest.raises(ModelError, match="0 of the control"):
        fit_arms(learner("t_logistic"), on.only(on.given == 1))


def test_an_unknown_learner_is_named_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"no learner 'z'; there are s_logistic, "):
        learner("z")


def test_a_customer_in_an_arm_that_chance_could_not_give_is_refused() -> None:
    rows = customers(100, 5)
    never = {"control": np.ones(100), "mail": np.zeros(100)}
    with pytest.raises(ModelError, match="in an arm that they had no chance of"):
        Randomised.of(rows, features=FEATURES, outcome="good", chances=never, binary=True)


def test_rows_of_one_customer_are_in_one_fold() -> None:
    on = trial(500, seed=6)
    twice = on.only(np.tile(np.arange(500), 2))  # type: ignore[arg-type]
    assert (twice.folds(5)[:500] == twice.folds(5)[500:]).all()
    assert set(twice.folds(5)) == {0, 1, 2, 3, 4}


def test_the_causal_forest_finds_them_too_and_cannot_be_stored() -> None:
    pytest.importorskip("econml", reason="the extra [causal] with econml is not installed")
    on = trial(2_000, seed=1)
    [effect] = fit_arms(learner("causal_forest"), on)
    assert correlation(effect(on.values)[:, None], 1, 2_000) > 0.6
    with pytest.raises(ModelError, match="only be stored by pickle"):
        effect.content()


def test_without_econml_the_causal_forest_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "econml.grf", None)
    with pytest.raises(ModelError, match=r"holdfast\[causal\]"):
        fit_arms(learner("causal_forest"), trial(300, seed=1))
