"""### Train: candidates, backtest, challenger, champion

Joins features and labels as of many past cutoffs whose labels have matured, and audits the set for knowledge of the
future. Fits each candidate in a task of its own, tests it on later cutoffs, and logs it to MLflow. The best becomes
`@challenger`; it is promoted to `@champion` only if it beats the simple rules and the present champion on the same
later cutoffs.

**A re-run is safe.** A run registers a version of its own; the champion moves only when the gate says so.
"""

from airflow.sdk import dag, task

from holdfast.adapters.airflow.conventions import CHAMPION, COMMON, CUTOFF, cutoff_of


@dag(
    dag_id="train",
    schedule="0 7 * * 1",
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def train() -> None:
    @task
    def candidates() -> list[str]:
        """The candidates that the rules name."""
        from holdfast import wiring

        return wiring.rules().training.candidates

    @task
    def prepare(**context) -> dict:
        """The training set: features joined with labels as of each matured cutoff."""
        from holdfast import wiring

        return wiring.training().prepare(cutoff_of(context) or wiring.latest_cutoff().isoformat())

    @task
    def audit(prepared: dict) -> dict:
        """The training set again, once it has proved to know nothing of the future (`holdfast audit leakage`)."""
        from holdfast import wiring

        return wiring.audit().require_clean(prepared)

    @task
    def fit(candidate: str, prepared: dict) -> dict:
        """Backtest one candidate, fit it on all matured cutoffs, log it to MLflow."""
        from holdfast import wiring

        return wiring.training().fit(candidate, prepared)

    @task
    def register(results: list[dict]) -> dict:
        """The best candidate becomes a registered version with the alias challenger."""
        from holdfast import wiring

        return wiring.training().register(list(results))

    @task(outlets=[CHAMPION])
    def promote(registered: dict, prepared: dict) -> dict:
        """The gate: challenger against the rules and the champion; moves the alias champion, or says why not."""
        from holdfast import wiring

        return wiring.training().promote(registered, prepared)

    prepared = audit(prepare())
    fitted = fit.partial(prepared=prepared).expand(candidate=candidates())
    promote(register(fitted), prepared)


train()
