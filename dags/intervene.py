"""### Intervene: from scores to messages

Plans every campaign of `campaigns/` on the scores of the cutoff, those of greater priority first (audience, send gate,
policy, budget, hashed control group, one coupon and one message per treated customer), then sends what is due, each
lane in a pool of its own, and checks that the sums add up. A campaign outside its `schedule`'s days is passed over.

**A re-run is safe.** A campaign is planned once for each cutoff. A message is claimed in the database before it is sent
and never sent again, whatever Airflow retries; a doubtful delivery is left as `unknown` for a person to judge
(`holdfast outbox show --state unknown`). Messages that wait for the end of quiet hours, or for another try, are sent by
the DAG `deliver`.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, OUTREACH, SCORES, cutoff_of, pool_of
from holdfast.campaign.lanes import LANES


@dag(
    dag_id="intervene",
    schedule=[SCORES],
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def intervene() -> None:
    @task
    def cutoff(**context) -> str:
        """The run's cutoff, by default the latest day up to which the lake is complete."""
        from holdfast import wiring

        return cutoff_of(context) or wiring.latest_cutoff().isoformat()

    @task
    def campaigns() -> list[str]:
        """The campaigns that `campaigns/` defines, by priority."""
        from holdfast import wiring

        return wiring.campaign_names()

    @task(max_active_tis_per_dagrun=1)
    def plan(cutoff: str, campaign: str) -> dict:
        """Assignments, coupons and planned messages of one campaign, in one transaction; or why it is passed over."""
        from holdfast import wiring

        return wiring.planning().plan(wiring.campaign(campaign), cutoff, wiring.now())

    @task
    def batches(planned: list[dict], lane: str) -> list[dict]:
        """One batch a campaign and shard of the lane's messages."""
        from holdfast import wiring

        return wiring.campaign_batches(list(planned), lane)

    @task
    def send(batch: dict) -> dict:
        """Claim, send and mark the batch's due messages."""
        from holdfast import wiring

        return wiring.send(batch)

    @task(outlets=[OUTREACH], trigger_rule="none_failed")
    def account(cutoff: str, planned: list[dict], outlet_events=None) -> list[dict]:
        """What became of every customer and message; fails if the sums do not add up."""
        from holdfast import wiring

        outlet_events[OUTREACH].extra = {"cutoff": cutoff}
        return wiring.campaign_accounts([one["campaign_id"] for one in planned if not one["passed_over"]])

    day = cutoff()
    planned = plan.partial(cutoff=day).expand(campaign=campaigns())
    accounted = account(day, planned)
    for lane in LANES:
        due = batches.override(task_id=f"batches_{lane}")(planned, lane)
        send.override(task_id=f"send_{lane}", pool=pool_of(lane)).expand(batch=due) >> accounted


intervene()
