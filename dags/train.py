"""### Train: candidates, backtest, challenger, champion

Joins features and labels as of many past cutoffs whose labels have matured, and audits the set for knowledge of the
future. Fits each candidate in a task of its own, tests it on later cutoffs, and logs it to MLflow. The best becomes
`@challenger`. If it passes the gate, `approve` waits for a person (*Required Actions*), and only then it becomes
`@champion`; the one before stays `@previous`, and `holdfast model rollback` puts it back.

**A re-run is safe.** A run registers a version of its own; the champion moves only when the gate and a person say so.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException

from holdfast.adapters.airflow.approval import OPTIONS, decision
from holdfast.adapters.airflow.conventions import CHAMPION, COMMON, CUTOFF, cutoff_of
from holdfast.settings import Settings

SETTINGS = Settings()


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

    @task
    def weigh(registered: dict, prepared: dict) -> dict:
        """The gate: challenger against the rules and the champion, its calibration, its speed, its data."""
        from holdfast import wiring

        return wiring.promotion().weigh(registered, prepared)

    @task.branch
    def ask(weighed: dict) -> list[str]:
        """Whom to ask: a person, nobody (the setting says so), or nobody since the challenger did not pass."""
        if not weighed["passed"]:
            return []
        return ["approve" if SETTINGS.approval == "ask" and weighed["story"] else "promote"]

    @task(outlets=[CHAMPION], trigger_rule="none_failed_min_one_success")
    def promote(weighed: dict, answer: dict | None) -> dict:
        """The alias champion moves, if so decided; the decision is written on the version either way."""
        from holdfast import wiring

        done = wiring.promotion().decide(weighed, decision(answer, wiring.now()))
        if not done["promoted"]:
            raise AirflowSkipException(done["reason"])
        return done

    approve = HITLOperator(
        task_id="approve",
        subject="{{ ti.xcom_pull('weigh')['candidate'] }} version {{ ti.xcom_pull('weigh')['version'] }}: champion?",
        body="{{ ti.xcom_pull('weigh')['story'] }}",
        options=OPTIONS,
        defaults=[SETTINGS.approval_default],
        response_timeout=timedelta(hours=SETTINGS.approval_hours),
        doc_md="Asks a person whether the challenger shall become champion, and shows what the gate found.",
    )
    prepared = audit(prepare())
    fitted = fit.partial(prepared=prepared).expand(candidate=candidates())
    weighed = weigh(register(fitted), prepared)
    asked = ask(weighed)
    asked >> approve
    asked >> promote(weighed, approve.output)


train()
