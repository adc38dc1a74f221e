"""### Ingest: landing files into the lake

Reads every landing file that the ledger does not know yet, checks each row against the data contract and each batch
with Great Expectations, appends what passes to the Delta tables, and puts the rest into quarantine with file, row,
field, rule and remedy.

Missing days and unusual volumes, by the shop's own calendar, are told in the result of `watch`; the rules decide
whether they stop the line. Tables of many small files are compacted.

**A re-run is safe.** A file is known by its content hash; a batch already in a table is left out of it.

**When it fails**, the message names each refused file, the place in it and what to do. All other files are in the lake
already, and start what comes next as soon as a run goes through, though it may find nothing new. Mend the file, land
it again, and clear the run; `docs/ingestion.md` explains every message.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, LAKE, due_at


@dag(
    dag_id="ingest",
    schedule="0 5 * * *",
    doc_md=__doc__,
    **COMMON,
)
def ingest() -> None:
    @task
    def drain() -> list[dict]:
        """Check and store the pending files, oldest first."""
        from holdfast import wiring

        return wiring.ingest().drain()

    @task
    def watch(results: list[dict], **context) -> list[dict]:
        """Find missing days, awaited files and unusual volumes, also on a day on which nothing landed."""
        from holdfast import wiring

        return wiring.ingest().watch(due_at(context))

    @task.short_circuit
    def news(results: list[dict]) -> bool:
        """Nothing new, and nothing stored that was not announced: the rest is skipped, nothing downstream starts."""
        from holdfast import wiring

        return wiring.ingest().news(results)

    @task(outlets=[LAKE])
    def finish(results: list[dict], findings: list[dict]) -> dict:
        """Write Data Docs; fail, naming them, if files were refused."""
        from holdfast import wiring

        return wiring.ingest().finish(results, findings)

    @task
    def announced(finished: dict) -> None:
        """Note that the event is out; one that is lost before this is made good by the next run."""
        from holdfast import wiring

        wiring.ingest().announced(finished)

    @task
    def compact(finished: dict) -> list[dict]:
        """Put the small files of each table that has many into few."""
        from holdfast import wiring

        return wiring.compact()

    results = drain()
    findings = watch(results)
    finished = finish(results, findings)
    news(results) >> finished
    announced(finished)
    compact(finished)


ingest()
