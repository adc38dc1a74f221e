"""### Measure: what campaigns really did

On new data, reads every campaign run whose outcomes have matured: treated against control, in the arms assigned, with
intervals; runs whose time is not up are looked at for harm, by a sequence that holds on all days together, and one that
surely harms is stopped. Then the programme as a whole, from the global holdout, and the pages.

**A re-run is safe.** A readout replaces that of the same run and day; a stopped run stays stopped.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, LAKE


@dag(
    dag_id="measure",
    schedule=[LAKE],
    doc_md=__doc__,
    **COMMON,
)
def measure() -> None:
    @task
    def runs() -> dict:
        """Every run that has no final readout: how many by what came of it, and which were stopped for harm."""
        from holdfast import wiring

        return wiring.measuring().measure(wiring.now())

    @task
    def programme() -> list[str]:
        """The quarters that were read."""
        from holdfast import wiring

        return [one.campaign_id for one in wiring.programme().measure()]

    @task
    def pages() -> list[str]:
        """The pages' places."""
        from holdfast import wiring

        return wiring.publish_effects()

    runs() >> programme() >> pages()


measure()
