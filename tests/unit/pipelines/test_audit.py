"""The audit of whole training sets: a clean one passes, and every planted leak is found and named."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from holdfast import windows
from holdfast.errors import ImmatureLabelError, LeakageError, MissingDataError
from holdfast.features.catalog import present
from holdfast.leakage import Leak
from holdfast.pipelines.audit import Audit, Report
from holdfast.pipelines.train import Training
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.shop import ZONE, Tables
from tests.fakes.small_shop import RULES, feature_store, lake, shop
from tests.unit.features.story import features

CUTOFF = date(2017, 6, 4)
HORIZON = timedelta(days=RULES.label.horizon_days)


class Bench:
    """The training set that ``Training`` prepares from a small shop, and the audit on the same lake."""

    def __init__(self, of: Tables) -> None:
        self.of, self.scratch = of, FakeScratch()
        full = lake(of)
        self.audit = Audit(full, self.scratch, RULES)
        training = Training(full, feature_store(of), FakeRegistry(), self.scratch, RULES)
        self.prepared = training.prepare(CUTOFF.isoformat())
        self.clean = self.scratch.read(self.prepared["path"])

    def look(self, rows: pd.DataFrame) -> Report:
        return self.audit.leakage(rows, CUTOFF)

    def leaks(self, rows: pd.DataFrame) -> set[Leak]:
        return {finding.leak for finding in self.look(rows).findings}


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(shop())


def test_a_clean_set_has_no_finding(bench: Bench) -> None:
    report = bench.look(bench.clean)
    assert report.findings == ()
    assert (report.rows, report.cutoffs) == (len(bench.clean), 16)
    assert report.recomputed == (date(2017, 2, 5), date(2017, 4, 2), date(2017, 5, 21))
    assert bench.audit.require_clean(bench.prepared) == bench.prepared


def test_features_that_run_into_the_label_window_are_found(bench: Bench) -> None:
    days = [date.fromisoformat(day) for day in bench.prepared["train_cutoffs"]]
    late = features(bench.of, [day + HORIZON for day in days])
    late["cutoff"] = [(date.fromisoformat(day) - HORIZON).isoformat() for day in late["cutoff"]]
    leaked = bench.clean.drop(columns=present(bench.clean)).merge(
        late.drop(columns="event_timestamp"), on=["customer_id", "cutoff"]
    )
    assert Leak.LATE_FEATURES in bench.leaks(leaked)


def test_one_day_of_the_future_in_one_feature_is_enough(bench: Bench) -> None:
    leaked = bench.clean.copy()
    chosen = leaked["cutoff"] == "2017-04-02"
    leaked.loc[chosen, "orders_28d"] += (leaked.loc[chosen, "churned"] == 0).astype(float)
    [finding] = bench.look(leaked).findings
    assert finding.leak is Leak.LATE_FEATURES
    assert "in orders_28d: customer" in finding.told


def test_labels_that_mature_after_the_test_cutoff_are_found(bench: Bench) -> None:
    parts = np.where(bench.clean["cutoff"] == "2017-05-21", "test", "train")
    assert bench.leaks(bench.clean.assign(part=parts)) == {Leak.IMMATURE_LABELS}


def test_a_random_split_over_customer_cutoff_rows_is_found(bench: Bench) -> None:
    parts = np.random.default_rng(1).choice(["train", "test"], len(bench.clean), p=[0.8, 0.2])
    assert bench.leaks(bench.clean.assign(part=parts)) == {Leak.RANDOM_SPLIT}


def test_interleaved_cutoffs_are_found(bench: Bench) -> None:
    number = bench.clean["cutoff"].rank(method="dense").astype(int)
    parts = np.where((number % 2 == 0) & (number > 4), "test", "train")
    assert Leak.RANDOM_SPLIT in bench.leaks(bench.clean.assign(part=parts))


def test_a_label_derived_from_recency_is_found_twice(bench: Bench) -> None:
    leaked = bench.clean.assign(churned=(bench.clean["days_since_order"] > 7).astype("int8"))
    assert bench.leaks(leaked) == {Leak.FALSE_LABEL, Leak.LABEL_BY_RULE}
    [by_rule] = [one for one in bench.look(leaked).findings if one.leak is Leak.LABEL_BY_RULE]
    assert by_rule.told.startswith("days_since_order alone")


def test_a_population_of_those_who_bought_later_is_found(bench: Bench) -> None:
    orders = bench.of.orders
    last = orders.groupby("customer_id")["ordered_at"].max()
    survivors = last.index[last >= windows.instant(date(2017, 6, 25), ZONE)]
    assert 0 < len(survivors) < orders["customer_id"].nunique()
    leaked = bench.clean[bench.clean["customer_id"].isin(survivors)]
    assert bench.leaks(leaked) == {Leak.FUTURE_POPULATION}


def test_training_stops_at_a_leak_and_names_it(bench: Bench) -> None:
    path = bench.scratch.write("leaked", bench.clean[bench.clean["churned"] == 0])
    with pytest.raises(LeakageError, match=r"training set of cutoff 2017-06-04 knows the future\. the population was"):
        bench.audit.require_clean({**bench.prepared, "path": path})


def test_labels_that_have_not_matured_by_the_day_of_the_audit_are_refused(bench: Bench) -> None:
    with pytest.raises(ImmatureLabelError, match="2017-05-21 mature on 2017-06-04"):
        bench.audit.leakage(bench.clean, date(2017, 6, 3))


def test_a_set_without_its_keys_is_refused_by_name(bench: Bench) -> None:
    with pytest.raises(MissingDataError, match="no column cutoff, churned"):
        bench.look(bench.clean.drop(columns=["cutoff", "churned"]))
    with pytest.raises(MissingDataError, match="no rows"):
        bench.look(bench.clean.head(0))
