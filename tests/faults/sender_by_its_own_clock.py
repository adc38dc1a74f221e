"""A sender as a process: sends what is due of a run by its machine's clock, and prints what that clock said first.

``python -m tests.faults.sender_by_its_own_clock URL SMTP_PORT RUN``
"""

import sys
from contextlib import suppress
from datetime import UTC, datetime

from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from holdfast.errors import TemporaryChannelError
from tests.fakes.operations import SENDER, intervention, scores


def machine_clock() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    url, port, run = sys.argv[1:]
    print(machine_clock().isoformat(), flush=True)  # noqa: T201 - read by the test
    channel = SmtpChannel(SmtpServer("127.0.0.1", int(port), hello="shop.example"), SENDER)
    sending = intervention(database.connect(url), scores(), channel, shards=1, at_once=7)
    [batch] = sending.batches([{"campaign_id": run}])
    with suppress(TemporaryChannelError):  # another sender has been leasing what is due
        sending.send(batch, machine_clock)
