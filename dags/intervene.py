"""### Intervene: from scores to messages

Plans every campaign of `campaigns/` on the scores of the cutoff (audience, consent, contact cap, budget, hashed control
group, one coupon and one message per treated customer), then sends what is planned, and checks that the sums add up.

**A re-run is safe.** A campaign is planned once for each cutoff. A message is claimed in the database before it is sent
and never sent again, whatever Airflow retries; a doubtful delivery is left as `unknown` for a person to judge.
"""

import pendulum
from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, OUTREACH, SCORES, cutoff_of


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
        """The campaigns that `campaigns/` defines."""
        from holdfast import wiring

        return wiring.campaign_names()

    @task
    def plan(cutoff: str, campaign: str) -> dict:
        """Assignments, coupons and planned messages of one campaign, in one transaction."""
        from holdfast import wiring

        return wiring.intervention().plan(wiring.campaign(campaign), cutoff, pendulum.now("UTC"))

    @task
    def batches(planned: list[dict]) -> list[dict]:
        """One batch a campaign and shard of customers."""
        from holdfast import wiring

        return wiring.intervention().batches(list(planned))

    @task
    def send(batch: dict) -> dict:
        """Claim, send and mark the planned messages of one batch."""
        from holdfast import wiring

        return wiring.intervention().send(batch, lambda: pendulum.now("UTC"))

    @task(outlets=[OUTREACH])
    def account(cutoff: str, planned: list[dict], sent: list[dict], outlet_events=None) -> list[dict]:
        """What became of every customer and message; fails if the sums do not add up."""
        from holdfast import wiring

        outlet_events[OUTREACH].extra = {"cutoff": cutoff}
        return wiring.intervention().account([one["campaign_id"] for one in planned])

    day = cutoff()
    planned = plan.partial(cutoff=day).expand(campaign=campaigns())
    account(day, planned, send.expand(batch=batches(planned)))


intervene()
