"""### Learn: whom a campaign moves, and which of its arms

Every week, from the runs whose outcomes have matured: the learners are cross-fitted in mapped tasks, and the best
becomes `@challenger` of its campaign. It may choose customers (`policy: {by: uplift}`) only if it surely brings more
than the present policy and than chance at the same budget; otherwise the task `weigh` declines and says why. If one
passes, `approve` waits for a person (*Required Actions*), and only then it becomes `@champion`. Beside it, the arms'
shares of campaigns with `arm_shares` follow what each arm has brought.

**A re-run is safe.** A run registers a version of its own; the champion moves only when the gate and a person say so.
The shares of a cutoff replace those of the same cutoff, and are the same for the same log.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import dag, task

from holdfast.adapters.airflow.approval import OPTIONS, decision
from holdfast.adapters.airflow.conventions import COMMON, CUTOFF, cutoff_of
from holdfast.settings import Settings

SETTINGS = Settings()


@dag(
    dag_id="learn",
    schedule="0 8 * * 1",
    params={"cutoff": CUTOFF},
    doc_md=__doc__,
    **COMMON,
)
def learn() -> None:
    @task
    def campaigns() -> list[str]:
        """The campaigns that learn."""
        from holdfast import wiring

        return wiring.learning_campaigns()

    @task
    def cutoff(**context) -> str:
        """The run's cutoff, by default the latest day up to which the lake is complete."""
        from holdfast import wiring

        return cutoff_of(context) or wiring.latest_cutoff().isoformat()

    @task
    def prepare(cutoff: str, campaign: str) -> dict:
        """The customers of the campaign's matured runs: arm, chances, features as of the run, outcome."""
        from holdfast import wiring

        return wiring.learning().prepare(wiring.campaign(campaign), cutoff)

    @task(trigger_rule="none_failed")
    def learners(prepared: list[dict]) -> list[dict]:
        """One task a campaign with evidence and learner."""
        from holdfast import wiring

        return wiring.learning().tasks(list(prepared or []))

    @task
    def fit(work: dict) -> dict:
        """Cross-fit one learner."""
        from holdfast import wiring

        campaign = wiring.campaign(work["prepared"]["campaign"])
        return wiring.learning().fit(campaign, work["learner"], work["prepared"])

    @task(trigger_rule="none_failed")
    def weigh(fitted: list[dict], prepared: dict) -> dict:
        """The gate: what the best learner's policy brings beyond the present one and beyond chance."""
        from holdfast import wiring

        return wiring.weigh_uplift(prepared, list(fitted or []))

    @task
    def share(prepared: dict) -> dict:
        """The arms' shares of the treated, by what they brought."""
        from holdfast import wiring

        return wiring.learning().share(wiring.campaign(prepared["campaign"]), prepared)

    @task
    def passed(weighed: list[dict]) -> dict:
        """The campaigns whose model passed, and the story that a person decides by."""
        found = [one for one in weighed if one["passed"]]
        return {"weighed": found, "story": "\n\n".join(one["story"] for one in found)}

    @task.branch
    def ask(found: dict) -> list[str]:
        """Whom to ask: a person, nobody (the setting says so), or nobody since no model passed."""
        if not found["weighed"]:
            return []
        return ["approve" if SETTINGS.approval == "ask" else "promote"]

    @task(trigger_rule="none_failed_min_one_success")
    def promote(found: dict, answer: dict | None) -> list[dict]:
        """The alias champion moves, if so decided; the decision is written on the version either way."""
        from holdfast import wiring

        decided = decision(answer, wiring.now())
        return [wiring.learning().decide(one, decided) for one in found["weighed"]]

    approve = HITLOperator(
        task_id="approve",
        subject="May these uplift models choose who is treated?",
        body="{{ ti.xcom_pull('passed')['story'] }}",
        options=OPTIONS,
        defaults=[SETTINGS.approval_default],
        response_timeout=timedelta(hours=SETTINGS.approval_hours),
        doc_md="Asks a person whether the challengers shall choose customers, and shows what the gate found.",
    )
    prepared = prepare.partial(cutoff=cutoff()).expand(campaign=campaigns())
    share.expand(prepared=prepared)
    fitted = fit.expand(work=learners(prepared))
    found = passed(weigh.partial(fitted=fitted).expand(prepared=prepared))
    asked = ask(found)
    asked >> approve
    asked >> promote(found, approve.output)


learn()
