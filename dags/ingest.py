"""### Ingest: landing files into the lake

Reads every landing file that the ledger does not know yet, checks each row against the data contract and each batch
with Great Expectations, appends what passes to the Delta tables, and puts the rest into quarantine with file, row,
field, rule and remedy.

**A re-run is safe.** A file is known by its content hash; a batch already in a table is left out of it.

**When it fails**, the message names each refused file, the place in it and what to do. All other files are in the lake
already. Mend the file, land it again, and clear the run.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, LAKE


@dag(
    dag_id="ingest",
    schedule="0 5 * * *",
    doc_md=__doc__,
    **COMMON,
)
def ingest() -> None:
    @task.short_circuit
    def drain() -> list[dict]:
        """Check and store the pending files, oldest first; if there are none, the rest is skipped."""
        from holdfast import wiring

        return wiring.ingest().drain()

    @task(outlets=[LAKE])
    def finish(results: list[dict]) -> dict:
        """Write Data Docs; fail, naming them, if files were refused."""
        from holdfast import wiring

        return wiring.ingest().finish(results)

    finish(drain())


ingest()
