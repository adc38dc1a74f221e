"""### Deliver: send what has become due

Every ten minutes, sends the messages of all campaigns that waited: for the end of quiet hours, for another try after a
temporary refusal, or for a channel that was down.

**A re-run is safe.** So is one beside `intervene` or `holdfast outbox work`: whoever claims a message first sends it.
"""

from datetime import timedelta

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, pool_of
from holdfast.campaign.lanes import LANES


@dag(
    dag_id="deliver",
    schedule=timedelta(minutes=10),
    doc_md=__doc__,
    **COMMON,
)
def deliver() -> None:
    @task
    def batches(lane: str) -> list[dict]:
        """One batch a shard, if any message of the lane is due."""
        from holdfast import wiring

        return wiring.due_batches(lane)

    @task
    def send(batch: dict) -> dict:
        """Claim, send and mark the batch's due messages."""
        from holdfast import wiring

        return wiring.send(batch)

    for lane in LANES:
        due = batches.override(task_id=f"batches_{lane}")(lane)
        send.override(task_id=f"send_{lane}", pool=pool_of(lane)).expand(batch=due)


deliver()
