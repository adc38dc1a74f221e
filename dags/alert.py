"""### Alert: the digest for whoever is on call

Every morning, tells by the channel `alert` of `config/channels.yaml` (an e-mail to one address, or a signed
webhook) how many customers are at risk, what was sent, and what needs a person: messages of any run in doubt, refused
of late or overdue, and a day without scores.

**A re-run is safe.** It sends the digest again, marked with its time; nothing else is changed.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, cutoff_of


@dag(
    dag_id="alert",
    schedule="0 8 * * *",
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def alert() -> None:
    @task
    def digest(**context) -> str:
        """The digest's subject."""
        from holdfast import wiring

        return wiring.alerting().send(cutoff_of(context) or wiring.latest_cutoff().isoformat(), wiring.now())

    digest()


alert()
