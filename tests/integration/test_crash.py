"""A sender killed by the system between claim and mark, over real SMTP: a doubt is kept, nothing is sent twice."""

import mailbox
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from holdfast.adapters.sink import mail_sink
from holdfast.campaign.outbox import STALE_AFTER
from tests.fakes.operations import CUTOFF, NOON, SENDER, campaign, intervention, operations_url, reachable, scores

SENDER_TO_KILL = """
import os, signal, sys
from contextlib import contextmanager
from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from tests.fakes.operations import CUTOFF, NOON, SENDER, intervention, scores

url, port, moment = sys.argv[1:]

class Killed(SmtpChannel):
    @contextmanager
    def connect(self):
        with super().connect() as connection:
            self.left, self.connection = 3, connection
            yield self
    def send(self, message):
        self.left -= 1
        if self.left == 0 and moment == "before the message leaves":
            os.kill(os.getpid(), signal.SIGKILL)
        self.connection.send(message)
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

channel = Killed(SmtpServer("127.0.0.1", int(port), hello="shop.example"), SENDER)
use_case = intervention(database.connect(url), scores(("0", 1.0, "high", 1.0)), channel)
use_case.send({"campaign_id": f"win_back@{CUTOFF}", "shard": 0, "shards": 1}, lambda: NOON)
"""


@pytest.mark.parametrize("moment", ["before the message leaves", "after the message has left"])
def test_kill_9_leaves_one_doubt_and_no_message_is_doubled(tmp_path: Path, project: Path, moment: str) -> None:
    url = operations_url(tmp_path)
    customers = [str(i) for i in range(20)]
    engine = database.connect(url)
    reachable(engine, customers)
    table = scores(*((c, 0.6, "high", 50.0) for c in customers))
    with mail_sink(tmp_path / "mail", "127.0.0.1", 0) as port:
        channel = SmtpChannel(SmtpServer("127.0.0.1", port, hello="shop.example"), SENDER)
        use_case = intervention(engine, table, channel, shards=1)
        plan = use_case.plan(campaign(), CUTOFF, NOON)
        (batch,) = use_case.batches([plan])
        command = [sys.executable, "-c", SENDER_TO_KILL, url, str(port), moment]
        killed = subprocess.run(command, cwd=project, env={"PYTHONPATH": "src:."}, check=False)
        after = NOON + STALE_AFTER + timedelta(seconds=1)
        rest = use_case.send(batch, lambda: after)
        again = use_case.send(batch, lambda: after)
    (account,) = use_case.account([plan["campaign_id"]])
    delivered = Counter(message["Delivered-To"] for message in mailbox.Maildir(tmp_path / "mail"))
    assert killed.returncode == -signal.SIGKILL
    assert max(delivered.values()) == 1
    assert (account["sent"], account["unknown"], account["waiting"]) == (plan["planned"] - 1, 1, 0)
    assert (rest["sent"], again["sent"]) == (plan["planned"] - 3, 0)
    assert len(delivered) == plan["planned"] - (moment == "before the message leaves")
