"""The local mail sink, spoken to over real SMTP."""

import mailbox
import smtplib
import socket
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path

import pytest

from holdfast.adapters.sink import mail_sink
from holdfast.errors import SettingsError


def mail(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "care@shop.example"
    message["To"] = "anna@shop.example"
    message["Subject"] = subject
    message.set_content("Hello")
    return message


def test_a_message_acknowledged_is_in_the_maildir_with_its_envelope(tmp_path: Path) -> None:
    with mail_sink(tmp_path / "var" / "mail", "127.0.0.1", 0) as port, smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(mail("A word"), "care@shop.example", ["anna@shop.example"])
        (kept,) = mailbox.Maildir(tmp_path / "var" / "mail", create=False)
    assert kept["Subject"] == "A word"
    assert kept["Delivered-To"] == "anna@shop.example"
    assert kept["Return-Path"] == "<care@shop.example>"


def test_several_senders_in_the_same_process_lose_nothing(tmp_path: Path) -> None:
    def deliver(sender: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            for number in range(10):
                client.send_message(mail(f"{sender}-{number}"))

    with mail_sink(tmp_path / "mail", "127.0.0.1", 0) as port, ThreadPoolExecutor(3) as senders:
        list(senders.map(deliver, range(3)))
    kept = {message["Subject"] for message in mailbox.Maildir(tmp_path / "mail")}
    assert kept == {f"{sender}-{number}" for sender in range(3) for number in range(10)}


def test_the_mailbox_outlives_the_sink_and_is_added_to(tmp_path: Path) -> None:
    for subject in ("first", "second"):
        with mail_sink(tmp_path / "mail", "127.0.0.1", 0) as port, smtplib.SMTP("127.0.0.1", port) as client:
            client.send_message(mail(subject))
    assert {message["Subject"] for message in mailbox.Maildir(tmp_path / "mail")} == {"first", "second"}


def test_a_port_that_is_taken_is_named_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}.*HOLDFAST_SMTP_PORT")
        with taken, mail_sink(tmp_path / "mail", "127.0.0.1", port):
            pass
