"""Rehearsals: the real DAGs, outbox, mail and webhooks on a simulated shop, and what was measured beside the truth."""

import email
import json
import mailbox
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.machine import new_terminal

CUSTOMERS, HISTORY = 900, 70
SHORT = {
    r"first_cutoff: .*": "first_cutoff: 2024-02-05",
    r"step_days: .*": "step_days: 14",
    r"test_cutoffs: 2": "test_cutoffs: 1",
    r"study_cutoffs: 1": "study_cutoffs: 0",
    r"candidates: .*": "candidates: [recency_rule, logistic]\n  resamples: 0",
    r"calibration_error: \S+": "calibration_error: 0.3",
    r"learners: .*": "learners: [s_logistic]\n  resamples: 100",
}
"""What makes the rules of a simulated shop quick: few cutoffs, two candidates, one learner."""

ALIKE = {"random", "top risk", "value at risk"}
"""The rivals that treat exactly as many as the plan."""


def rehearse(project: Path, folder: Path, changes: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """`holdfast rehearse` into ``folder/home``, in a process of its own, since Airflow has one home."""
    rules = (project / "config" / "simulated.yaml").read_text()
    for pattern, text in changes.items():
        rules, count = re.subn(pattern, text, rules, count=1)
        assert count == 1, pattern
    (folder / "rules.yaml").write_text(rules)
    holdfast = Path(sys.executable).parent / "holdfast"
    return subprocess.run(
        [holdfast, "rehearse", folder / "home", *options, "--rules", folder / "rules.yaml"],
        env=new_terminal(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home through which a rehearsal of three campaigns has gone, the first too early for a model."""
    folder = tmp_path_factory.mktemp("rehearsal")
    sizes = ["--customers", str(CUSTOMERS), "--history", str(HISTORY), "--campaigns", "3", "--ingest-days", "28"]
    done = rehearse(project, folder, SHORT, *sizes)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "home"


def told(home: Path) -> dict:
    return json.loads((home / "reports" / "simulated_rehearsal.json").read_text())


def mails(home: Path) -> list[email.message.Message]:
    folder = mailbox.Maildir(home / "mail")
    return [email.message_from_bytes(folder.get_bytes(key)) for key in folder.iterkeys()]


def check_sums(home: Path) -> None:
    """Every mail was read by a customer, every used coupon reported and accepted once."""
    acts = told(home)["acts"]
    assert sum(sum(act["mails"].values()) for act in acts) == len(mails(home))
    assert sum(act["used"] for act in acts) > 0
    assert all(sum(act["answers"].values()) == act["used"] for act in acts)
    assert {answer for act in acts for answer in act["answers"]} == {"accepted"}


def check_truth(home: Path) -> None:
    """Whatever a readout claims stands beside the truth, and so does what each plan brought, beside its rivals."""
    found = told(home)
    compared = found["compared"]
    for act in (act for act in found["acts"] if not act["not_sent"]):
        name = act["campaign_id"]
        assert found["claims"][name]
        mine = {(one["arm"], one["outcome"]) for one in compared if one["campaign_id"] == name}
        assert mine >= {("all arms", "retained"), ("all arms", "net")}
        plans = {one["policy"]: one for one in found["plans"] if one["campaign_id"] == name}
        assert set(plans) == {"the plan", "oracle", *ALIKE}
        treated = plans["the plan"]["treated"]
        assert abs(treated - sum(act["mails"].values())) < 5 * treated**0.5, "the draw of arms and control"
        assert all(abs(plans[rival]["treated"] - treated) < 1 for rival in ALIKE)
        assert plans["oracle"]["treated"] <= treated
    assert all(one["low"] <= one["measured"] <= one["high"] for one in compared)
    assert all(abs(one["true"]) <= 1 for one in compared if one["outcome"] == "retained")
    assert (home / "reports" / "simulated_rehearsal.png").read_bytes().startswith(b"\x89PNG")


def test_every_mail_reached_a_simulated_customer_and_every_coupon_came_back_accepted(home: Path) -> None:
    assert [set(act["mails"]) for act in told(home)["acts"]] == [set(), {"coupon", "reminder"}, {"coupon", "reminder"}]
    check_sums(home)


def test_the_product_lived_on_the_simulated_days(home: Path) -> None:
    assert {mail["Date"][5:16] for mail in mails(home)} == {"08 Apr 2024", "06 May 2024"}, (
        "98 and 126 days after New Year"
    )


def test_what_was_measured_stands_beside_what_is_true(home: Path) -> None:
    check_truth(home)
    assert len(pq.read_table(home / "truth" / "simulated_rehearsal@2024-04-08.parquet")) == CUSTOMERS


def test_a_campaign_for_which_no_model_could_be_trained_is_told_as_not_sent_and_the_days_go_on(home: Path) -> None:
    act = told(home)["acts"][0]
    assert act["campaign_id"] == "rehearsal@2024-03-11"
    assert act["not_sent"].startswith("no model could be trained: the backtest needs a training cutoff matured by")
    assert act["chosen_by"] is None


def test_each_campaign_tells_what_was_learned_before_it_and_by_which_policy_it_went(home: Path) -> None:
    _, first, second = told(home)["acts"]
    assert first["learned"] is None
    assert first["chosen_by"] == "random, since no uplift model of rehearsal with these arms is champion yet"
    assert second["learned"].startswith("rehearsal: Declined: ")
    assert second["chosen_by"] == f"{first['chosen_by']}; arms by learned shares"
    assert told(home)["learned"].startswith("rehearsal: ")


def test_no_word_of_the_truth_is_in_what_the_product_keeps(home: Path) -> None:
    words = [b"persuadable", b"do_not_disturb", b"response_type"]
    kept = [path for part in ("lake", "landing", "feast", "quality", "mail") for path in (home / part).rglob("*")]
    files = [path for path in kept if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if any(word in path.read_bytes() for word in words)] == []


@pytest.mark.full
def test_a_learned_policy_takes_over_as_soon_as_the_gate_accepts_it_and_all_stands_beside_the_truth(
    project: Path, tmp_path: Path
) -> None:
    done = rehearse(
        project, tmp_path, {}, "--customers", "8000", "--history", "182", "--campaigns", "6", "--ingest-days", "14"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check_sums(tmp_path / "home")
    check_truth(tmp_path / "home")
    acts = told(tmp_path / "home")["acts"]
    assert all(act["not_sent"] is None for act in acts)
    accepted = False
    for act in acts:
        accepted |= (act["learned"] or "").startswith("rehearsal: Accepted: ")
        assert act["chosen_by"].startswith("uplift, by version" if accepted else "random, since no uplift model")
        assert accepted or act is acts[0] or act["learned"].startswith("rehearsal: Declined: ")


@pytest.mark.full
def test_a_rehearsal_in_which_no_model_ever_passes_ends_in_one_error_that_says_why(
    project: Path, tmp_path: Path
) -> None:
    never = SHORT | {r"gate:": "gate:\n  scoring_milliseconds: 0.001"}
    sizes = ["--customers", "900", "--history", "98", "--campaigns", "2", "--ingest-days", "28"]
    done = rehearse(project, tmp_path, never, *sizes)
    assert done.returncode == 1
    assert done.stdout.count("not sent, since no model is champion: Not passed: ") == 2, done.stdout
    assert "no campaign could be run, the last one since no model is champion: Not passed: " in done.stderr
    assert list((tmp_path / "home" / "mail" / "new").iterdir()) == []
