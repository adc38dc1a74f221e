"""The real DAGs on a slice of the real data, with real Airflow, Feast, MLflow and Great Expectations."""

import email
import email.policy
import json
import mailbox
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.airflow.embedded import printing_to
from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, AuditRow, CampaignRow, OfferRow, OutboxRow, SkipRow
from holdfast.adapters.registry import MODEL_NAME
from holdfast.cli import app
from holdfast.features.catalog import fed_by, present
from holdfast.leakage import Leak
from holdfast.model.candidates import CANDIDATES
from holdfast.wiring import effects
from tests.dags.conftest import CUTOFF, Loop, run, told_by
from tests.fakes.canary import hits

FED = fed_by(["orders", "order_lines", "products", "redemptions"], [])
DATA = ("customers", "products", "orders", "order_lines", "redemptions", "batches")


def mails(loop: Loop) -> list[email.message.EmailMessage]:
    folder = mailbox.Maildir(loop.settings.mailbox)
    return [email.message_from_bytes(folder.get_bytes(key), policy=email.policy.default) for key in folder.iterkeys()]


def lines(path: Path) -> int:
    """Data rows of a landed CSV file."""
    return len(path.read_text().splitlines()) - 1


def test_every_landed_line_is_in_the_lake_or_in_quarantine(loop: Loop) -> None:
    landed = sum(lines(path) for path in loop.settings.landing.rglob("transactions.csv"))
    kept = len(wiring.lake().read("order_lines", ["order_id"]))
    assert landed > 100_000
    rejected = loop.stages["ingest"].end.value("finish")["rejected"]
    assert kept + rejected == landed


def test_contact_details_are_in_the_vault_and_nowhere_in_the_lake(loop: Loop) -> None:
    assert not wiring.lake().exists("contacts")
    for folder in (loop.settings.lake, loop.settings.quality_output, loop.settings.mlflow_artifacts):
        assert hits(folder, ["@shop.example"]) == []


def test_data_docs_tell_of_every_table(loop: Loop) -> None:
    index = loop.settings.quality_output / "data_docs" / "index.html"
    page = index.read_text()
    assert all(table in page for table in ("orders", "order_lines", "customers", "products", "redemptions"))


def test_ingesting_again_changes_nothing_and_starts_nothing_downstream(loop: Loop) -> None:
    before = {table: wiring.lake().version(table) for table in DATA}
    again = run(loop, "ingest")
    assert {table: wiring.lake().version(table) for table in DATA} == before
    # finish, the outlet, was skipped
    assert {(end.task, end.state) for end in again.tasks} == {(task, "success") for task in ("drain", "watch", "news")}


def test_features_of_the_cutoff_are_finite_and_cover_everyone_who_ever_ordered_before_it(loop: Loop) -> None:
    snapshot = wiring.feature_store().snapshot(date.fromisoformat(CUTOFF))
    orders = wiring.lake().read("orders")
    before = orders[orders["ordered_at"] < snapshot["event_timestamp"].iloc[0]]
    assert set(snapshot["customer_id"]) == set(before["customer_id"])
    assert not np.isinf(snapshot[present(snapshot)].to_numpy()).any()
    assert snapshot["days_since_order"].notna().all()


def test_families_without_data_have_no_view_and_no_column(loop: Loop) -> None:
    done = loop.stages["features"].end.value("materialize")
    assert done["off"] == ["engagement", "service", "opinion", "contact"]
    assert set(done["views"]) == {"churn_scores", *(family.view for family in FED)}
    snapshot = wiring.feature_store().snapshot(date.fromisoformat(CUTOFF))
    assert present(snapshot) == [feature.name for family in FED for feature in family.features]


def test_each_candidate_is_an_mlflow_run_with_all_a_reviewer_needs(loop: Loop) -> None:
    import mlflow

    mlflow.set_tracking_uri(loop.settings.mlflow)
    runs = {
        run.data.tags["candidate"]: run
        for run in mlflow.search_runs(experiment_names=[MODEL_NAME], output_format="list")
    }
    assert set(runs) == set(wiring.rules().training.candidates)
    for name, logged in runs.items():
        metrics = logged.data.metrics
        assert {"auc", "average_precision", "brier", "calibration_error", "lift_top_tenth", "base_rate"} <= set(metrics)
        assert logged.data.params["horizon_days"] == "28"
        assert "lake.orders" in logged.data.tags, "the data version"
        plots = {file.path for file in mlflow.MlflowClient().list_artifacts(logged.info.run_id, "plots")}
        assert {"plots/calibration.png", "plots/gain.png", "plots/roc.png"} <= plots
        cards = {file.path for file in mlflow.MlflowClient().list_artifacts(logged.info.run_id, "card")}
        assert cards == {"card/model_card.html", "card/model_card.md"}
        model = mlflow.models.get_model_info(f"models:/{logged.outputs.model_outputs[0].model_id}")
        if not CANDIDATES[name].baseline:
            on = {feature.name for family in FED for feature in family.features}
            assert set(model.signature.inputs.input_names()) == on


def test_the_champion_can_be_reviewed_and_used_through_mlflow_alone(loop: Loop) -> None:
    import mlflow

    mlflow.set_tracking_uri(loop.settings.mlflow)
    snapshot = wiring.feature_store().snapshot(date.fromisoformat(CUTOFF))
    scores = wiring.lake().read("scores", where={"cutoff": [CUTOFF]}).set_index("customer_id")["probability"]
    rows = snapshot[snapshot["customer_id"].isin(scores.index)]
    predicted = mlflow.pyfunc.load_model("models:/holdfast-churn@champion").predict(rows[present(rows)])
    np.testing.assert_allclose(
        predicted["probability"].to_numpy(), scores.loc[rows["customer_id"]].to_numpy(), atol=1e-12
    )


def test_the_champion_is_rebuilt_from_its_record_to_the_last_byte(
    loop: Loop, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "was made again: the same files, to the last byte." in told_by(capfd, "model", "rebuild")


def test_a_first_champion_cannot_be_rolled_back(loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    champion = wiring.registry().aliased("champion")
    assert "there is no previous champion to go back to" in told_by(capfd, "model", "rollback", code=1)
    assert wiring.registry().aliased("champion") == champion


def test_training_again_on_the_same_data_leaves_the_champion_and_says_why(loop: Loop) -> None:
    champion = wiring.registry().aliased("champion")
    end = run(loop, "train")
    assert wiring.registry().aliased("champion") == champion
    assert "no test cutoff is later" in end.value("weigh")["reason"]
    assert end.value("promote") is None


def test_every_active_customer_is_scored_once_with_a_tier_and_reasons(loop: Loop) -> None:
    rules = wiring.rules()
    snapshot = wiring.feature_store().snapshot(date.fromisoformat(CUTOFF))
    active = snapshot[snapshot["days_since_order"] < rules.population.active_days]
    scores = wiring.lake().read("scores", where={"cutoff": [CUTOFF]})
    assert sorted(scores["customer_id"]) == sorted(active["customer_id"])
    assert scores["probability"].between(0, 1).all()
    tiers = np.select(
        [scores["probability"] >= rules.tiers.high, scores["probability"] >= rules.tiers.medium],
        ["high", "medium"],
        "low",
    )
    assert scores["tier"].tolist() == tiers.tolist()
    assert set(scores["basis"]) <= {"model", "cohort"}
    risky = scores[scores["probability"] > scores["probability"].median()]
    reasons = risky["reasons"].map(json.loads)
    assert reasons.map(len).between(1, rules.scoring.reasons).all()
    assert all(reason["text"]["en"] and reason["text"]["zh"] for some in reasons for reason in some)


def test_every_scored_customer_is_of_a_persona_that_the_report_names(loop: Loop) -> None:
    scores = wiring.lake().read("scores", ["persona", "persona_name"], {"cutoff": [CUTOFF]})
    assert set(scores["persona"]) == set(loop.stages["score"].end.value("personas")["personas"])
    page = Path(loop.stages["report"].end.value("write")).read_text()
    for names in scores["persona_name"].map(json.loads):
        assert names["en"] in page
        assert names["zh"]


def test_scoring_again_gives_the_same_scores_and_no_second_row(loop: Loop) -> None:
    columns = ["customer_id", "probability", "tier", "reasons"]
    before = wiring.lake().read("scores", columns, {"cutoff": [CUTOFF]}).sort_values("customer_id", ignore_index=True)
    run(loop, "score")
    after = wiring.lake().read("scores", columns, {"cutoff": [CUTOFF]}).sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(after, before)


def test_the_campaign_adds_up_and_its_mail_is_in_the_mailbox(loop: Loop) -> None:
    [account] = loop.stages["intervene"].end.value("account")
    assert account["audience"] == sum(account["skipped"].values()) + account["control"] + account["treated"]
    states = ("sent", "failed", "unknown", "skipped_at_send", "waiting")
    assert account["planned"] == account["treated"] == sum(account[state] for state in states)
    assert account["sent"] == account["planned"] > 0
    assert account["control"] > 0
    assert len(mails(loop)) == account["sent"]


def test_each_treated_customer_got_one_mail_with_a_coupon_of_their_own_and_the_control_none(loop: Loop) -> None:
    received = mails(loop)
    to = Counter(mail["To"] for mail in received)
    assert set(to.values()) == {1}
    scored = wiring.lake().read("scores", ["customer_id"], {"cutoff": [CUTOFF]})["customer_id"]
    arms, vault = {}, wiring.vault()
    with wiring.operations().reading() as tx:
        for customer in scored:
            for record in tx.history(customer):
                if record.campaign_id == f"win_back@{CUTOFF}":
                    arms[customer] = record
    treated = {vault.contact(customer)["email"]: one for customer, one in arms.items() if one.arm == "coupon"}
    assert set(to) == set(treated)
    assert {one.arm for one in arms.values()} >= {"coupon", "control"}
    for mail in received:
        assert treated[mail["To"]].code in mail.get_body(("plain",)).get_content()
    assert len({one.code for one in treated.values()}) == len(treated)


INTERVENED = (CampaignRow, AssignmentRow, SkipRow, OfferRow, OutboxRow, AuditRow)


def intervened(loop: Loop) -> dict[str, list[tuple]]:
    """Every row of what planning and sending write, by table, and who got which mail."""
    engine = database.connect(loop.settings.operations)
    with database.reading(engine) as connection:
        rows = {row.__tablename__: sorted(map(repr, connection.execute(select(row.__table__)))) for row in INTERVENED}
    engine.dispose()
    return rows | {"mail": sorted((mail["Message-ID"], mail["To"]) for mail in mails(loop))}


def clear_and_run_again(loop: Loop, dag: str, logical_date: datetime) -> None:
    """Run the DAG for a moment for which it has run before: Airflow clears that run's tasks first."""
    from airflow.dag_processing.dagbag import DagBag

    with printing_to(loop.settings.logs / "tests.log"):
        run = (
            DagBag(str(loop.settings.project / "dags"))
            .dags[dag]
            .test(run_conf={"cutoff": CUTOFF}, logical_date=logical_date)
        )
    assert str(run.state.value) == "success"


@pytest.mark.parametrize("turns", [1, pytest.param(20, marks=pytest.mark.full)], ids=["short", "full"])
def test_repeated_and_cleared_runs_treat_nobody_twice_and_change_no_row(loop: Loop, turns: int) -> None:
    before = intervened(loop)
    moment = datetime(2017, 11, 26, 12, tzinfo=UTC)
    clear_and_run_again(loop, "intervene", moment)
    for _ in range(turns):
        [account] = run(loop, "intervene").value("account")
        clear_and_run_again(loop, "intervene", moment)
        loop.airflow.run("deliver", {}).raise_on_failure()
        assert account["sent"] == account["offers"]["issued"] == len(before["mail"]) > 0
    assert intervened(loop) == before
    recipients = {to for _, to in before["mail"]}
    assert len(recipients) == len(before["offers"]) == len(before["outbox"]) == len(before["mail"])


def test_the_report_shows_the_loops_own_numbers(loop: Loop) -> None:
    page = Path(run(loop, "report").value("write")).read_text()
    [account] = loop.stages["intervene"].end.value("account")
    for shown in (
        f"{loop.stages['ingest'].end.value('finish')['accepted']:,}",
        f"{loop.stages['score'].end.value('publish')['customers']:,}",
        f"{account['sent']:,}",
        f"{loop.stages['train'].end.value('register')['metrics']['lightgbm']['auc']:.3f}",
        "win_back@2017-11-26",
    ):
        assert shown in page
    assert "@shop.example" not in page


@pytest.mark.parametrize("dag", ["features", "train", "score", "intervene"])
def test_a_cutoff_the_lake_cannot_serve_is_refused_in_words(loop: Loop, dag: str) -> None:
    from holdfast.errors import HoldfastError

    end = loop.airflow.run(dag, {"cutoff": "2018-03-01"})
    assert end.state == "failed"
    with pytest.raises(HoldfastError, match=r"2018-0|2017-1"):
        end.raise_on_failure()


def test_no_dag_is_left_waiting_to_run_again_when_a_scheduler_starts_on_this_home(loop: Loop) -> None:
    from airflow.models.asset import AssetDagRunQueue
    from airflow.utils.session import create_session

    with create_session() as session:
        waiting = {row.target_dag_id for row in session.query(AssetDagRunQueue)}
    assert waiting == set()


def test_the_training_set_knows_nothing_of_the_future(loop: Loop) -> None:
    audited = loop.stages["train"].end.value("audit")
    assert audited == loop.stages["train"].end.value("prepare")
    report = wiring.audit_leakage(wiring.training_set(None), date.fromisoformat(CUTOFF))
    assert report.findings == ()
    assert report.rows == audited["rows"]


def test_the_command_line_tells_leaks_and_ends_with_code_1(
    loop: Loop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_parquet(wiring.training_set(None))
    file = tmp_path / "leaked.parquet"
    rows.assign(churned=(rows["days_since_order"] > 14).astype("int8")).to_parquet(file)
    told = told_by(capfd, "audit", "leakage", "--file", str(file), "--cutoff", CUTOFF, code=1)
    assert f"{file}: {len(rows):,} rows" in told
    assert f"✗ {Leak.FALSE_LABEL} (" in told
    assert f"✗ {Leak.LABEL_BY_RULE} ({len(rows):,} rows): days_since_order alone" in told
    assert "knows the future" not in told
    told = told_by(capfd, "audit", "leakage")
    assert f"{len(rows):,} rows" in told
    assert "✓ nothing in it knows the future" in told


def test_the_command_line_draws_the_horizon(loop: Loop) -> None:
    assert CliRunner().invoke(app, ["horizon", "--days", "14,28"]).exit_code == 0
    assert (loop.settings.reports / "horizon.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_line_rehearses_the_next_run_on_a_simulated_shop(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """At once the frequency cap leaves nobody to treat; 15 days later it does not."""
    arguments = ["campaign", "rehearse", "win_back", "--cutoff", CUTOFF]
    before = {table: wiring.lake().version(table) for table in DATA}
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert "skipped: frequency_cap" in refused.output
    later = wiring.now() + timedelta(days=15)
    monkeypatch.setattr(effects, "now", lambda: later)
    found = CliRunner().invoke(app, arguments)
    told = " ".join(capfd.readouterr().out.split())
    assert found.exit_code == 0, told
    assert "SIMULATED" in told
    assert "How customers waver and respond is ASSUMED" in told
    assert "by assumption alone" in told, "no campaign of it has finished"
    assert "Months are taken to be alike: the history holds" in told
    assert re.search(r"coupon \d+ \d+ \(\d+ to \d+\)", told), told
    assert {table: wiring.lake().version(table) for table in DATA} == before
