"""The ``.env`` that ``docker-compose.yml`` reads: a fresh secret for each of its doors."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.campaign.signing import new_secret
from holdfast.errors import SettingsError


@dataclass(frozen=True)
class Variable:
    """A variable of the file: how its value is made, and what stands above it as a comment, if anything does."""

    name: str
    make: Callable[[], str]
    comment: str = ""


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _signing_key() -> str:
    return secrets.token_urlsafe(64)


def _is(value: str) -> Callable[[], str]:
    return lambda: value


VARIABLES = (
    Variable("POSTGRES_PASSWORD", _password, "PostgreSQL: its superuser, and one role a service. Change: ALTER ROLE."),
    Variable("AIRFLOW_DATABASE_PASSWORD", _password),
    Variable("MLFLOW_DATABASE_PASSWORD", _password),
    Variable("FEAST_DATABASE_PASSWORD", _password),
    Variable("OPERATIONS_DATABASE_PASSWORD", _password),
    Variable("REDIS_PASSWORD", _password, "Redis: the online store and the tasks' queue."),
    Variable(
        "AIRFLOW_FERNET_KEY",
        _fernet_key,
        "Airflow. The Fernet key encrypts connections and variables: with it lost, they are. To rotate: new,old.",
    ),
    Variable("AIRFLOW_SECRET_KEY", _signing_key),
    Variable("AIRFLOW_JWT_SECRET", _signing_key),
    Variable("AIRFLOW_ADMIN_USERNAME", _is("admin"), "Airflow's first account; the password counts on first start."),
    Variable("AIRFLOW_ADMIN_PASSWORD", _password),
    Variable("MLFLOW_ADMIN_USERNAME", _is("admin"), "MLflow: its first account, and the one that the DAGs use."),
    Variable("MLFLOW_ADMIN_PASSWORD", _password),
    Variable("MLFLOW_SERVICE_USERNAME", _is("holdfast")),
    Variable("MLFLOW_SERVICE_PASSWORD", _password),
    Variable("MLFLOW_SECRET_KEY", _signing_key),
    Variable(
        "HOLDFAST_VAULT_KEYS",
        lambda: json.dumps([_signing_key()]),
        "Contact details are sealed with these, the newest last (docs/privacy.md): with them lost, they are.",
    ),
    Variable(
        "HOLDFAST_PSEUDONYM_KEY",
        _signing_key,
        "Customers' pseudonyms are made with this one, for good: with another every customer is a new one.",
    ),
    Variable(
        "HOLDFAST_LINK_KEYS",
        lambda: json.dumps([_signing_key()]),
        "Preference links: the newest key last. Links in messages already sent need the key they were made with.",
    ),
    Variable(
        "HOLDFAST_INBOUND_KEYS",
        lambda: json.dumps({hook: [new_secret()] for hook in ("redemptions", "feedback/email")}),
        "Signed hooks that the shop and its channels call, and webhooks that we send (names of config/channels.yaml).",
    ),
    Variable("HOLDFAST_WEBHOOK_SECRETS", lambda: json.dumps({"sms": new_secret()})),
    Variable(
        "HOLDFAST_SMTP_HOST",
        _is("mailbox"),
        "The mail server. This one is a trial's own: docker compose --profile trial up",
    ),
    Variable("HOLDFAST_SMTP_PORT", _is("8025")),
    Variable("HOLDFAST_SMTP_SENDER", _is("Holdfast <care@shop.example>")),
)
"""Every variable that ``docker-compose.yml`` demands, in the order of the file."""


def text() -> str:
    """The file's content with fresh secrets. Values stand in single quotes: Compose and dotenv take those literally."""
    lines = ["# Secrets of this deployment. Keep a copy where the backups are not; see docs/deployment.md."]
    for one in VARIABLES:
        if one.comment:
            lines += ["", f"# {one.comment}"]
        lines.append(f"{one.name}='{one.make()}'")
    return "\n".join(lines) + "\n"


def write(path: Path) -> None:
    """Write the file for this user's eyes alone. Raises SettingsError where there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SettingsError(
            f"{path} exists and is not overwritten: a running stack depends on its secrets. To change one, edit it; to "
            "begin anew, with empty volumes, move it away"
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}. Name another by --file") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text())
        file.flush()
        os.fsync(file.fileno())
