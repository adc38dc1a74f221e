"""From a run's customers and the shop's orders to how far each arm came."""

from datetime import UTC, date, datetime

import pandas as pd

from holdfast.campaign.funnel import ArmFunnel, Attention, Progress
from holdfast.pipelines.funnels import campaign_funnels
from tests.fakes.lake import FakeLake
from tests.fakes.small_shop import RULES

CUTOFF = "2017-06-04"
RUN = "win_back@2017-06-04"
AUTUMN = "2017-10-29"  # its horizon of 14 days ends on 12 November, a week after the clocks of New York go back


class OneRun:
    """Progress of one run: three treated customers and one control."""

    def runs(self, cutoff: date) -> list[str]:
        return [RUN] if cutoff in {date(2017, 6, 4), date(2017, 10, 29)} else []

    def of(self, campaign_id: str) -> list[Progress]:
        assert campaign_id == RUN
        treated = [Progress(c, "treatment", "email", "sent", told=False, opened=False, redeemed=False) for c in "abc"]
        return [*treated, Progress("d", "control", None, None, told=False, opened=False, redeemed=False)]

    def attention(self, at: datetime, failed_since: datetime) -> list[Attention]:
        return []


def shop(*orders: tuple[str, datetime]) -> FakeLake:
    lake = FakeLake()
    table = pd.DataFrame(orders, columns=["customer_id", "ordered_at"]).assign(status="completed")
    table["order_id"] = [str(i) for i in range(len(table))]
    lake.replace("orders", table, where={})
    lake.replace("order_lines", pd.DataFrame({"order_id": table["order_id"], "amount": 1.0}), where={})
    return lake


def test_orders_count_from_the_cutoff_to_the_end_of_the_horizon() -> None:
    lake = shop(
        ("a", datetime(2017, 6, 3, 12, tzinfo=UTC)),  # before the cutoff
        ("b", datetime(2017, 6, 5, 12, tzinfo=UTC)),
        ("c", datetime(2017, 12, 5, 12, tzinfo=UTC)),  # long after the horizon
        ("d", datetime(2017, 6, 6, 12, tzinfo=UTC)),
        ("stranger", datetime(2017, 6, 6, 12, tzinfo=UTC)),
    )
    assert campaign_funnels(OneRun(), lake, RULES, CUTOFF) == {
        RUN: [
            ArmFunnel("treatment", assigned=3, planned=3, sent=3, opened=None, redeemed=0, ordered=1),
            ArmFunnel("control", assigned=1, planned=None, sent=None, opened=None, redeemed=None, ordered=1),
        ]
    }


def test_the_horizon_ends_at_the_shops_midnight_also_when_the_clocks_have_changed_within_it() -> None:
    last_hour = datetime(2017, 11, 12, 4, 30, tzinfo=UTC)  # 23:30 of the day before in New York
    lake = shop(("a", last_hour), ("d", datetime(2017, 11, 12, 5, 0, tzinfo=UTC)))
    treatment, control = campaign_funnels(OneRun(), lake, RULES, AUTUMN)[RUN]
    assert (treatment.ordered, control.ordered) == (1, 0)


def test_a_cutoff_without_a_run_needs_no_orders() -> None:
    assert campaign_funnels(OneRun(), FakeLake(), RULES, "2017-07-02") == {}
