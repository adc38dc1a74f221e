"""### Score: probability, tier, reasons and persona for every active customer who has not objected

The champion scores each shard of customers in a task of its own; then tiers are given over all of them, and the scores
are put into the lake and into Feast's online store in one step. For campaigns that choose by uplift, what each arm
would do to each customer is predicted as well. Kinds of customers (personas) are found before, where
those in use are old, and each customer gets recommended products. Beside it, each feature is compared with what the
champion learned from last.

**A re-run is safe.** The scores of a cutoff replace those of the same cutoff in one commit.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, FEATURES, SCORES, cutoff_of


@dag(
    dag_id="score",
    schedule=[FEATURES],
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def score() -> None:
    @task
    def cutoff(**context) -> str:
        """The run's cutoff, by default the latest day up to which the lake is complete."""
        from holdfast import wiring

        return cutoff_of(context) or wiring.latest_cutoff().isoformat()

    @task
    def personas(cutoff: str) -> dict:
        """The kinds of customers: found anew when those in use are old."""
        from holdfast import wiring

        return wiring.scoring().personas(cutoff)

    @task
    def shards() -> list[int]:
        """The shards of customers."""
        from holdfast import wiring

        return wiring.scoring().shards()

    @task
    def score_shard(cutoff: str, shard: int) -> str:
        """Probability, reasons and persona of one shard's customers."""
        from holdfast import wiring

        return wiring.scoring().score(cutoff, shard)

    @task
    def recommend(cutoff: str, parts: list[str]) -> dict:
        """Products for every scored customer, for messages to show; into the lake."""
        from holdfast import wiring

        return wiring.recommend(cutoff, list(parts))

    @task
    def uplift(cutoff: str) -> list[dict]:
        """What each arm of campaigns that choose by uplift would do to each customer, into the lake."""
        from holdfast import wiring

        return wiring.score_uplifts(cutoff)

    @task(outlets=[SCORES])
    def publish(cutoff: str, parts: list[str], outlet_events=None) -> dict:
        """Tiers over all customers; scores into the lake and online."""
        from holdfast import wiring

        outlet_events[SCORES].extra = {"cutoff": cutoff}
        return wiring.scoring().publish(cutoff, list(parts))

    @task
    def drift(cutoff: str) -> dict:
        """Which features have moved since the cutoff that the champion learned from last."""
        from holdfast import wiring

        return wiring.drift_watch().compare(cutoff)

    day = cutoff()
    drift(day)
    scored = score_shard.partial(cutoff=day).expand(shard=shards())
    personas(day) >> scored
    [recommend(day, scored), uplift(day)] >> publish(day, scored)


score()
