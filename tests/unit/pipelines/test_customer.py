"""A customer's card: what the online store serves, in the reader's language."""

from datetime import datetime
from pathlib import Path

import pytest

from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.errors import MissingDataError
from holdfast.pipelines.customer import customer_card
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.operations import operations_engine
from tests.fakes.small_shop import feature_store, shop

REASONS = (
    '[{"family": "rhythm", "feature": "days_since_order", "contribution": 0.7, '
    '"text": {"en": "has not ordered for 31 days", "zh": "已有 31 天没有下单"}}]'
)
SCORE = {
    "customer_id": "c01",
    "probability": 0.625,
    "tier": "high",
    "reasons": REASONS,
    "model_version": "3",
    "persona": "P2",
    "persona_name": '{"en": "orders often", "zh": "下单频繁"}',
}


@pytest.fixture
def store() -> FakeFeatureStore:
    store = feature_store(shop())
    store.materialize(datetime.fromisoformat("2017-06-04T04:00:00+00:00"))
    return store


@pytest.fixture
def operations(tmp_path: Path) -> OperationsDatabase:
    return OperationsDatabase(operations_engine(tmp_path))


def test_reasons_and_persona_are_told_in_the_language_asked_for(
    store: FakeFeatureStore, operations: OperationsDatabase
) -> None:
    store.scores["c01"] = dict(SCORE)
    english, chinese = (customer_card("c01", store, operations, language) for language in ("en", "zh"))
    assert (english.reasons, english.persona) == (("has not ordered for 31 days",), "P2: orders often")
    assert (chinese.reasons, chinese.persona) == (("已有 31 天没有下单",), "P2: 下单频繁")


def test_who_is_not_scored_has_neither(store: FakeFeatureStore, operations: OperationsDatabase) -> None:
    card = customer_card("c01", store, operations, "en")
    assert (card.probability, card.tier, card.reasons, card.persona) == (None, None, (), None)
    assert card.features["rhythm"]["order_count"] is not None


def test_a_customer_whom_nobody_knows_is_an_error_in_words(
    store: FakeFeatureStore, operations: OperationsDatabase
) -> None:
    with pytest.raises(MissingDataError, match="knows no customer 'stranger'"):
        customer_card("stranger", store, operations, "en")
