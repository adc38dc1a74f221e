"""How far each arm came, with literal customers."""

from holdfast.campaign.funnel import ArmFunnel, Progress, funnel


def met(customer: str, arm: str, message: str | None = None, **so_far: bool) -> Progress:
    return Progress(
        customer,
        arm,
        "email" if message else None,
        message,
        **({"told": True, "opened": False, "redeemed": False} | so_far),
    )


def test_each_arm_is_counted_by_itself_and_the_control_comes_last() -> None:
    progress = [
        met("1", "treatment", "sent", opened=True, redeemed=True),
        met("2", "treatment", "sent", opened=True),
        met("3", "treatment", "failed"),
        met("4", "control"),
        met("5", "control"),
        met("6", "by_phone", "planned", told=False),
    ]
    assert funnel(progress, ordered={"1", "3", "5", "99"}) == [
        ArmFunnel("by_phone", assigned=1, planned=1, sent=0, opened=None, redeemed=0, ordered=0),
        ArmFunnel("treatment", assigned=3, planned=3, sent=2, opened=2, redeemed=1, ordered=2),
        ArmFunnel("control", assigned=2, planned=None, sent=None, opened=None, redeemed=None, ordered=1),
    ]


def test_a_channel_that_tells_nobody_opened_differs_from_one_that_does_not_tell() -> None:
    (told,) = funnel([met("1", "treatment", "sent", told=True)], ())
    (silent,) = funnel([met("1", "treatment", "sent", told=False)], ())
    assert (told.opened, silent.opened) == (0, None)
