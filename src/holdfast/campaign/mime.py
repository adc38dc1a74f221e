"""An envelope as an e-mail: text and HTML, one From, one To, a stable Message-ID and a one-click way out.

Made with the standard library's older classes: the newer ones parse every header that they are given, and took three
milliseconds a message where these take one. What they check, ``as_email`` checks itself.
"""

from __future__ import annotations

import quopri
from email.header import Header
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr, getaddresses
from functools import lru_cache

from holdfast.campaign.envelope import Envelope
from holdfast.campaign.recipient import is_plain_address
from holdfast.errors import SettingsError

# No folding at 78: the unsubscribe link, one long word, would be broken. RFC 5322's limit for a line is 998.
_POLICY = compat32.clone(linesep="\r\n", max_line_length=998)


@lru_cache(maxsize=16)  # asked anew for every message, and the shop's senders are few
def sender_address(sender: str) -> str:
    """The address in ``Shop <care@shop.example>``. Raises SettingsError unless there is exactly one."""
    return _sender(sender)[1]


def as_email(envelope: Envelope, sender: str) -> Message:
    """The envelope's content from ``sender`` to its recipient.

    The Message-ID is made of the idempotency key, so that a message made again is recognisably the same one. Marketing
    carries List-Unsubscribe and List-Unsubscribe-Post as RFC 8058 asks. Raises SettingsError for a sender or recipient
    that is not one address, and for a line break in a header: a composed message has none of these by itself.
    """
    if not is_plain_address(envelope.recipient):
        raise SettingsError(
            f"channel {envelope.channel} sends e-mail, but its recipient is not one plain e-mail address: customers' "
            "addresses are known for the channel called email alone"
        )
    name, address = _sender(sender)
    headers = {
        "From": formataddr((name, address)),
        "To": envelope.recipient,
        "Subject": envelope.subject,
        "Date": format_datetime(envelope.at),
        "Message-ID": f"<{envelope.reference}@{address.rpartition('@')[2]}>",
        "Content-Language": envelope.language,
    }
    if envelope.way_out is not None:
        headers["List-Unsubscribe"] = f"<{envelope.way_out.one_click}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail = _body(envelope)
    for header, value in headers.items():
        if not (value.isprintable() and (value.isascii() or header == "Subject")):
            raise SettingsError(f"{header} holds a line break or a sign that no header can hold")
        mail[header] = value if value.isascii() else Header(value, "utf-8").encode()
    return mail


def _body(envelope: Envelope) -> Message:
    if envelope.html is None:
        return _part(envelope.text, "plain")
    # In quoted-printable text no underscore follows an equals sign, so that no line can be taken for this boundary.
    both = MIMEMultipart("alternative", boundary=f"=_{envelope.reference}", policy=_POLICY)
    both.attach(_part(envelope.text, "plain"))
    both.attach(_part(envelope.html, "html"))
    return both


def _part(text: str, subtype: str) -> Message:
    """The text as quoted-printable: readable in the source, and every relay takes it, with or without 8BITMIME."""
    part = MIMENonMultipart("text", subtype, charset="utf-8", policy=_POLICY)
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = text if text.endswith("\n") else text + "\n"  # SMTP's lone dot follows the last line
    part.set_payload(quopri.encodestring(lines.encode()).decode("ascii"))
    return part


@lru_cache(maxsize=16)
def _sender(sender: str) -> tuple[str, str]:
    addresses = getaddresses([sender])
    if len(addresses) != 1 or not is_plain_address(addresses[0][1]):
        raise SettingsError(f"sender {sender!r} is not one address; write 'Shop <care@shop.example>'")
    return addresses[0]
