"""Contact: what the shop sent the customer, and whether it was opened or used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, ratio
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature

_NO_MESSAGE_84D = "no message in the last 84 days"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    messages = cutoffs.window(log.messages, 84)
    return {
        "messages_28d": cutoffs.window(log.messages, 28).count.astype(np.float64),
        "messages_84d": messages.count.astype(np.float64),
        "days_since_message": cutoffs.days_since_last(log.messages),
        "days_since_open": cutoffs.days_since_last(log.opens),
        "opens_per_message_84d": ratio(cutoffs.window(log.opens, 84).count, messages.count),
        "redemptions_per_message_84d": ratio(cutoffs.window(log.redemptions, 84).count, messages.count),
    }


CONTACT = Family(
    name="contact",
    meaning="what the shop sent the customer, and whether it was opened or used",
    tables=("orders", "order_lines", "past_deliveries"),
    features=(
        Feature(
            "messages_28d",
            "messages received in the last 28 days",
            "messages",
            "received {messages_28d:.0f} message(s) in the last 28 days",
        ),
        Feature(
            "messages_84d",
            "messages received in the last 84 days",
            "messages",
            "received {messages_84d:.0f} message(s) in the last 84 days",
        ),
        Feature(
            "days_since_message",
            "time from the last message to the cutoff",
            "days of 24 hours",
            "received the last message {days_since_message:.0f} days ago",
            null="has never received a message",
        ),
        Feature(
            "days_since_open",
            "time from the last opening of a message to the cutoff",
            "days of 24 hours",
            "opened a message {days_since_open:.0f} days ago",
            null="has never opened a message, as far as the channel tells",
        ),
        Feature(
            "opens_per_message_84d",
            "messages opened for each message sent, both in the last 84 days",
            "messages",
            "opened {opens_per_message_84d:.0%} of the {messages_84d:.0f} message(s) of the last 84 days",
            null=_NO_MESSAGE_84D,
        ),
        Feature(
            "redemptions_per_message_84d",
            "campaign coupons redeemed for each message sent, both in the last 84 days",
            "redemptions",
            "redeemed {redemptions_per_message_84d:.2f} coupon(s) for each of {messages_84d:.0f} message(s) "
            "in the last 84 days",
            null=_NO_MESSAGE_84D,
        ),
    ),
    compute=_compute,
)
