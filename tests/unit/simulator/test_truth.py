"""The hidden truth: what each kind of customer does with and without a message, and of which size it is."""

from pathlib import Path

import numpy as np
import pytest

from holdfast.adapters.yaml_files import load
from holdfast.simulator.config import ResponseType, ShopConfig
from holdfast.simulator.lives import Phase, Treatment
from holdfast.simulator.shop import SimulatedShop

REMINDER, FIVE_OFF = Treatment(), Treatment(discount=5, minimum_basket=20)
ACTIVE_DAYS = 56


@pytest.fixture(scope="module")
def shop(project: Path) -> SimulatedShop:
    """20,000 customers after four months, read by all tests of this module and changed by none."""
    shop = SimulatedShop(load(project / "config" / "simulator.yaml", ShopConfig), 20_000, 11)
    for _ in range(120):
        list(shop.pass_day())
    return shop


def active(shop: SimulatedShop) -> np.ndarray:
    return np.flatnonzero((shop.who.joined < shop.day) & (shop.day - shop.lives.last_order <= ACTIVE_DAYS))


def test_kinds_have_the_shares_that_the_configuration_gives_them(shop: SimulatedShop) -> None:
    shares = np.bincount(shop.who.kind, minlength=4) / shop.customers
    np.testing.assert_allclose(shares, shop.config.responses.column("share"), atol=0.01)


def test_effects_are_of_the_size_seen_in_a_public_randomised_test(shop: SimulatedShop) -> None:
    """Hillstrom, two weeks after an e-mail: visits +4.5 and +7.7 points, purchases +0.3 and +0.7 points."""
    everyone = active(shop)
    without, with_it = shop.outcome(None, everyone, 14), shop.outcome(FIVE_OFF, everyone, 14)
    visits = with_it.visited[everyone].mean() - without.visited[everyone].mean()
    purchases = with_it.retained[everyone].mean() - without.retained[everyone].mean()
    assert 0.03 < visits < 0.09
    assert 0.002 < purchases < 0.012


def test_a_message_keeps_persuadables_alone_and_loses_those_who_want_their_peace(shop: SimulatedShop) -> None:
    everyone = active(shop)
    without, with_it = shop.outcome(None, everyone, 28), shop.outcome(FIVE_OFF, everyone, 28)
    kept = with_it.retained.astype(int) - without.retained
    effect = {kind: kept[everyone][shop.who.kind[everyone] == kind].mean() for kind in ResponseType}
    assert effect[ResponseType.PERSUADABLE] > 0.03
    assert abs(effect[ResponseType.SURE_THING]) < 0.002
    assert abs(effect[ResponseType.LOST_CAUSE]) < 0.01
    assert effect[ResponseType.DO_NOT_DISTURB] < -0.005


def test_it_keeps_those_who_waver(shop: SimulatedShop) -> None:
    everyone = active(shop)
    wavering = everyone[
        (shop.lives.phase[everyone] == Phase.WAVERING) & (shop.who.kind[everyone] == ResponseType.PERSUADABLE)
    ]
    without, with_it = shop.outcome(None, wavering, 28), shop.outcome(FIVE_OFF, wavering, 28)
    lost, still_lost = 1 - without.retained[wavering].mean(), 1 - with_it.retained[wavering].mean()
    assert still_lost < 0.8 * lost


def test_an_offer_moves_more_than_a_word_and_also_pays_those_who_would_have_come(
    shop: SimulatedShop,
) -> None:
    everyone = active(shop)
    results = {name: shop.outcome(what, everyone, 28) for name, what in (("word", REMINDER), ("offer", FIVE_OFF))}
    assert results["offer"].retained.sum() > results["word"].retained.sum()
    assert results["word"].coupon.sum() == 0
    sure = everyone[shop.who.kind[everyone] == ResponseType.SURE_THING]
    assert results["offer"].coupon[sure].mean() > 1


def test_other_chances_fall_otherwise_for_each_and_alike_for_all(shop: SimulatedShop) -> None:
    everyone = active(shop)
    real, other, again = (shop.outcome(None, everyone, 14, chance=one).retained[everyone] for one in (0, 1, 1))
    np.testing.assert_array_equal(other, again)
    assert (real != other).mean() > 0.2
    assert abs(real.mean() - other.mean()) < 0.02


def test_looking_at_what_would_be_changes_nothing(shop: SimulatedShop) -> None:
    before = shop.lives.copy()
    shop.outcome(FIVE_OFF, active(shop), 5)
    for name, values in vars(before).items():
        np.testing.assert_array_equal(values, getattr(shop.lives, name))


def test_a_kind_cannot_be_read_where_the_configuration_says_so(shop: SimulatedShop) -> None:
    responses = shop.config.responses.model_copy(update={"readable": 0})
    blind = SimulatedShop(shop.config.model_copy(update={"responses": responses}), 20_000, 11)
    apart = [np.ptp([one.who.sales[one.who.kind == kind].mean() for kind in ResponseType]) for one in (blind, shop)]
    assert apart[0] < 0.02
    assert apart[1] > 0.1
