"""### Report: one page on the whole loop

Writes a self-contained HTML page: data accepted and quarantined, the model against the simple rules, calibration, risk
tiers, the campaign's arms, and a customer's card.

**A re-run is safe.** The page of a cutoff replaces that of the same cutoff.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, OUTREACH, cutoff_of


@dag(
    dag_id="report",
    schedule=[OUTREACH],
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def report() -> None:
    @task
    def write(**context) -> str:
        """The page's place."""
        from holdfast import wiring

        return wiring.reporting().write(cutoff_of(context) or wiring.latest_cutoff().isoformat(), wiring.now())

    write()


report()
