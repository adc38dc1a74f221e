"""Feast's view of Holdfast: one feature view a family of the catalogue, one for scores, one service for each use.

Nothing is declared twice: names, meanings and units come from ``holdfast.features.catalog``. A family that the shop's
data cannot feed is off: where others have offline rows it has none, and so no view. Labels are not features and never
enter a view.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float64, String

from holdfast.features.catalog import FAMILIES, MODEL_SERVICE
from holdfast.scores import SCORE_FIELDS
from holdfast.settings import Settings

OFFLINE = Settings().feast_offline
TTL = timedelta(days=35)

customer = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="a customer of the shop, by pseudonym (`holdfast privacy pseudonym`)",
)

FED = [family for family in FAMILIES if any((OFFLINE / family.view).glob("*.parquet"))]


def _source(view: str) -> FileSource:
    return FileSource(
        name=f"{view}_source",
        path=str(OFFLINE / view / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


feature_views = [
    FeatureView(
        name=family.view,
        entities=[customer],
        ttl=TTL,
        schema=[
            Field(name="customer_id", dtype=String),
            *(
                Field(
                    name=feature.name,
                    dtype=Float64,
                    description=feature.meaning,
                    tags={"unit": feature.unit, "null": feature.null},
                )
                for feature in family.features
            ),
        ],
        source=_source(family.view),
        description=family.meaning,
    )
    for family in FED or FAMILIES
]

globals().update({view.name: view for view in feature_views})  # `feast apply` collects module-level names only

scores = FeatureView(
    name="churn_scores",
    entities=[customer],
    ttl=TTL,
    schema=[
        Field(name="customer_id", dtype=String),
        *(
            Field(name=one.name, dtype=Float64 if one.kind == "number" else String, description=one.meaning)
            for one in SCORE_FIELDS
        ),
    ],
    source=_source("churn_scores"),
    description="the latest score of each active customer",
)

churn_model = FeatureService(
    name=MODEL_SERVICE, features=feature_views, description="the churn model's inputs, in training and in scoring"
)
customer_card = FeatureService(
    name="customer_card_v1",
    features=[*feature_views, scores],
    description="all that a service may want to know about a customer: features, score, tier, reasons and persona",
)
