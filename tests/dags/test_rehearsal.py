"""A short rehearsal: the real DAGs, outbox, mail and webhooks on a simulated shop, and a readout beside the truth."""

import email
import json
import mailbox
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

CUSTOMERS, HISTORY = 900, 98
SHORT = {
    r"first_cutoff: .*": "first_cutoff: 2024-02-05",
    r"test_cutoffs: 2": "test_cutoffs: 1",
    r"study_cutoffs: 1": "study_cutoffs: 0",
    r"candidates: .*": "candidates: [recency_rule, logistic]\n  resamples: 0",
    r"calibration_error: \S+": "calibration_error: 0.3",
}
"""What makes the rules of a simulated shop quick: few cutoffs, two candidates."""


@pytest.fixture(scope="module")
def home(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home through which a rehearsal of one campaign has gone, in a process of its own: Airflow has one home."""
    folder = tmp_path_factory.mktemp("rehearsal")
    rules = (project / "config" / "simulated.yaml").read_text()
    for pattern, text in SHORT.items():
        rules, count = re.subn(pattern, text, rules, count=1)
        assert count == 1, pattern
    (folder / "rules.yaml").write_text(rules)
    options = ["--customers", str(CUSTOMERS), "--history", str(HISTORY), "--campaigns", "1", "--ingest-days", "28"]
    ours = ("HOLDFAST_", "AIRFLOW", "MLFLOW_", "FEAST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    holdfast = Path(sys.executable).parent / "holdfast"
    done = subprocess.run(
        [holdfast, "rehearse", folder / "home", *options, "--rules", folder / "rules.yaml"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "home"


def told(home: Path) -> dict:
    return json.loads((home / "reports" / "simulated_rehearsal.json").read_text())


def test_every_mail_reached_a_simulated_customer_and_every_coupon_came_back_accepted(home: Path) -> None:
    [act] = told(home)["acts"]
    assert set(act["mails"]) == {"coupon", "reminder"}
    assert sum(act["mails"].values()) == len(list((home / "mail" / "new").iterdir()))
    assert act["used"] > 0
    assert act["answers"] == {"accepted": act["used"]}


def test_the_product_lived_on_the_simulated_days(home: Path) -> None:
    folder = mailbox.Maildir(home / "mail")
    dates = {email.message_from_bytes(folder.get_bytes(key))["Date"] for key in folder.iterkeys()}
    assert {date[5:16] for date in dates} == {"08 Apr 2024"}, "the cutoff is 98 days after New Year"


def test_what_was_measured_stands_beside_what_is_true(home: Path) -> None:
    compared = told(home)["compared"]
    assert {(one["arm"], one["outcome"]) for one in compared} >= {("all arms", "retained"), ("all arms", "net")}
    truth = pq.read_table(home / "truth" / "simulated_rehearsal@2024-04-08.parquet").to_pandas()
    assert len(truth) == CUSTOMERS
    assert all(one["low"] <= one["measured"] <= one["high"] for one in compared)
    assert all(abs(one["true"]) <= 1 for one in compared if one["outcome"] == "retained")
    assert (home / "reports" / "simulated_rehearsal.png").read_bytes().startswith(b"\x89PNG")


def test_no_word_of_the_truth_is_in_what_the_product_keeps(home: Path) -> None:
    words = [b"persuadable", b"do_not_disturb", b"response_type"]
    kept = [path for part in ("lake", "landing", "feast", "quality", "mail") for path in (home / part).rglob("*")]
    files = [path for path in kept if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if any(word in path.read_bytes() for word in words)] == []
