from string import Formatter

import pytest

from holdfast.features.catalog import FAMILIES, FEATURE_NAMES, FEATURES
from holdfast.features.spec import Feature
from holdfast.labels import LABEL
from holdfast.schemas import TABLES, Privacy

ALL = [feature for family in FAMILIES for feature in family.features]


def test_feature_names_are_unique_and_complete() -> None:
    names = [feature.name for feature in ALL]
    assert len(names) == len(set(names))
    assert tuple(names) == FEATURE_NAMES == tuple(FEATURES)


def test_every_family_reads_tables_of_the_contract() -> None:
    assert {table for family in FAMILIES for table in family.tables} <= set(TABLES)
    assert len({family.view for family in FAMILIES}) == len(FAMILIES)


def test_neither_the_label_nor_what_a_person_is_becomes_a_feature() -> None:
    personal = {
        column.name
        for table in TABLES.values()
        for column in table.columns
        if column.privacy in (Privacy.PERSONAL, Privacy.DIRECT)
    }
    assert not {LABEL, *personal} & set(FEATURE_NAMES)


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.name)
def test_a_reason_names_features_of_the_catalogue_only(feature: Feature) -> None:
    named = {name for _, name, _, _ in Formatter().parse(feature.reason) if name is not None}
    assert named
    assert named <= set(FEATURE_NAMES)
