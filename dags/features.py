"""### Features: what is known of each customer at a cutoff

Computes every feature of the catalogue as of the cutoff, and as of the training cutoffs before it, into the feature
store's offline tables; brings Feast's registry in line with `feature_repo/`; copies the newest values online.

**A re-run is safe.** The rows of a cutoff replace those of the same cutoff.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, FEATURES, LAKE, cutoff_of


@dag(
    dag_id="features",
    schedule=[LAKE],
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def features() -> None:
    @task
    def cutoff(**context) -> str:
        """The run's cutoff, by default the latest day up to which the lake is complete."""
        from holdfast import wiring

        return cutoff_of(context) or wiring.latest_cutoff().isoformat()

    @task
    def compute(cutoff: str) -> dict:
        """Features as of the cutoff and of all training cutoffs, into the offline tables."""
        from holdfast import wiring

        return wiring.features().compute(cutoff)

    @task(outlets=[FEATURES])
    def materialize(cutoff: str, computed: dict, outlet_events=None) -> dict:
        """The newest features of each customer, into the online store."""
        from holdfast import wiring

        outlet_events[FEATURES].extra = {"cutoff": cutoff}
        return wiring.features().materialize(cutoff, computed)

    day = cutoff()
    materialize(day, compute(day))


features()
