"""### Retention: delete what has been kept long enough

Every night, deletes landing files, quarantined rows, events, words of messages, contact details, intermediate files,
logs and exports that are older than the rules allow (`retention:`). `holdfast privacy retention --dry-run` tells
beforehand.

**A re-run is safe.** What is gone is gone; one that broke off is finished by the next.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON


@dag(
    dag_id="retention",
    schedule="@daily",
    doc_md=__doc__,
    **COMMON,
)
def retention() -> None:
    @task
    def delete() -> list[dict]:
        """What was deleted: name, period and count of each kind."""
        from holdfast import wiring

        return wiring.retention(wiring.now(), dry=False)

    delete()


retention()
