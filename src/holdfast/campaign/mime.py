"""An envelope as an e-mail: text and HTML, one From, one To, a stable Message-ID and a one-click way out."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses

from holdfast.campaign.envelope import Envelope
from holdfast.campaign.recipient import is_plain_address
from holdfast.errors import SettingsError

_POLICY = SMTP.clone(cte_type="7bit")  # every relay takes it, with or without 8BITMIME
# RFC 5322's limit for a line. Folded at 78, the unsubscribe link, one long word, would become an encoded word, which
# no mail program takes for a link. Bodies are encoded before this applies and keep their short lines.
_UNFOLDED = _POLICY.clone(max_line_length=998)


def sender_address(sender: str) -> str:
    """The address in ``Shop <care@shop.example>``. Raises SettingsError unless there is exactly one."""
    addresses = [address for _, address in getaddresses([sender])]
    if len(addresses) != 1 or not is_plain_address(addresses[0]):
        raise SettingsError(f"sender {sender!r} is not one address; write 'Shop <care@shop.example>'")
    return addresses[0]


def as_email(envelope: Envelope, sender: str) -> EmailMessage:
    """The envelope's content from ``sender`` to its recipient.

    The Message-ID is made of the idempotency key, so that a message made again is recognisably the same one. Marketing
    carries List-Unsubscribe and List-Unsubscribe-Post as RFC 8058 asks. Raises ValueError for a line break in a header
    and SettingsError for a sender that is not one address.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=envelope.recipient)
    mail["Subject"] = envelope.subject
    mail["Date"] = format_datetime(envelope.at)
    mail["Message-ID"] = f"<{envelope.reference}@{sender_address(sender).rpartition('@')[2]}>"
    if envelope.way_out is not None:
        mail["List-Unsubscribe"] = f"<{envelope.way_out.one_click}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(envelope.text)
    if envelope.html is not None:
        mail.add_alternative(envelope.html, subtype="html")
    mail["Content-Language"] = envelope.language  # last: a new body takes all Content- headers with it
    mail.policy = _UNFOLDED
    return mail
