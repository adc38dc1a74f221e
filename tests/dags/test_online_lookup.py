"""What another service reads about a customer, over HTTP and with Feast's SDK, is what the offline tables hold."""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pandas as pd
import pytest

from holdfast import wiring
from holdfast.features.catalog import present
from holdfast.scores import SCORE_NAMES
from tests.dags.conftest import CUTOFF, Loop
from tests.fakes.feast_server import feast_server, look_up


@pytest.fixture(scope="module")
def offline(loop: Loop) -> pd.DataFrame:
    """Features and scores of five scored customers, from the offline table and the lake."""
    scores = wiring.lake().read("scores", where={"cutoff": [CUTOFF]})
    snapshot = wiring.feature_store().snapshot(date.fromisoformat(CUTOFF))
    joined = snapshot.merge(scores[["customer_id", *SCORE_NAMES]], on="customer_id")
    return joined.sort_values("probability", ascending=False).head(5).set_index("customer_id")


@pytest.fixture(scope="module")
def server(loop: Loop) -> Iterator[str]:
    """Feast's own feature server as a process of its own."""
    with feast_server(loop.settings, loop.settings.logs / "feast-test.log") as url:
        yield url


def test_over_http(server: str, offline: pd.DataFrame) -> None:
    ids = offline.index.tolist()
    served = look_up(server, "customer_card_v1", ids)
    assert served["customer_id"] == ids
    for name in present(offline):
        got = np.array([np.nan if value is None else value for value in served[name]], dtype=float)
        np.testing.assert_array_equal(got, offline[name].to_numpy(), err_msg=name)
    for name in SCORE_NAMES:
        assert served[name] == offline[name].tolist()


def test_with_the_sdk(loop: Loop, offline: pd.DataFrame) -> None:
    import feast

    store = feast.FeatureStore(repo_path=str(loop.settings.feast_repo))
    rows = [{"customer_id": customer} for customer in offline.index]
    service = store.get_feature_service("customer_card_v1")
    served = store.get_online_features(features=service, entity_rows=rows).to_df().set_index("customer_id")
    np.testing.assert_array_equal(
        served.loc[offline.index, present(offline)].to_numpy(float), offline[present(offline)].to_numpy(float)
    )
    assert served["probability"].tolist() == offline["probability"].tolist()
    assert served["tier"].tolist() == offline["tier"].tolist()


def test_the_training_join_of_feast_equals_the_offline_table(loop: Loop, offline: pd.DataFrame) -> None:
    entities = offline.reset_index()[["customer_id", "event_timestamp"]]
    joined = wiring.feature_store().historical(entities).set_index("customer_id")
    np.testing.assert_array_equal(
        joined.loc[offline.index, present(offline)].to_numpy(float), offline[present(offline)].to_numpy(float)
    )
