"""Checks that a deployment is whole: versions, rules, paths, and every store it depends on. Changes none of them."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version

from holdfast import wiring
from holdfast.adapters.environment import activate
from holdfast.adapters.stack import mail_stays_here
from holdfast.errors import ChannelUnavailableError, HoldfastError

PLATFORMS = (
    "apache-airflow",
    "feast",
    "mlflow",
    "great-expectations",
    "pandas",
    "scikit-learn",
    "lightgbm",
    "deltalake",
)


_PAGE_SECONDS = 5


class State(StrEnum):
    """What a check came to; ``ABSENT`` is something that a whole deployment may do without for now."""

    WELL = "well"
    ABSENT = "absent"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what was found (or what to do)."""

    what: str
    state: State
    found: str


@dataclass(frozen=True)
class Absent:
    """A finding that is no fault: what is not there, and how it comes about."""

    found: str


@dataclass(frozen=True)
class _Look:
    """One thing to look at; ``remedy`` is what to do when it raises anything but an error that says so itself."""

    at: Callable[[], str | Absent]
    remedy: str = "look at the message, then call holdfast doctor again"


def examine() -> list[Check]:
    """Every check, each independent of the others; an unreachable store is a finding, not an exception."""
    return [_check(what, look) for what, look in _LOOKS.items()]


def _check(what: str, look: _Look) -> Check:
    try:
        found = look.at()
    except HoldfastError as error:
        return Check(what, State.BROKEN, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a store answers is what the person must see
        said = str(error).strip().splitlines() or [""]
        return Check(what, State.BROKEN, f"{type(error).__name__}: {said[0]}. Remedy: {look.remedy}")
    if isinstance(found, Absent):
        return Check(what, State.ABSENT, found.found)
    return Check(what, State.WELL, found)


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("holdfast", *PLATFORMS))


def _home() -> str:
    activate(wiring.settings())
    home = wiring.settings().home
    probe = home / ".doctor"
    probe.write_text("")
    probe.unlink()
    return f"{home} is writable"


def _campaigns() -> str | Absent:
    names = [wiring.campaign(name).name for name in wiring.campaign_names()]
    return ", ".join(names) if names else Absent(f"none is defined in {wiring.settings().campaigns_dir}")


def _lake() -> str:
    return f"complete up to {wiring.latest_cutoff()}"


def _features() -> str:
    served = wiring.feature_store().online(["doctor"])
    return f"the online store serves {served.shape[1] - 1} values a customer"


def _champion() -> str | Absent:
    champion = wiring.registry().aliased("champion")
    if champion is None:
        return Absent("no champion yet: the train DAG promotes one")
    return f"champion is version {champion.version} ({champion.candidate})"


def _operations() -> str:
    with wiring.operations().reading() as tx:
        return f"campaign runs: {len(tx.run_ids())}"


def _vault() -> str | Absent:
    """Whether its keys are at hand: one customer's sealed id is opened, and their pseudonym made from it again."""
    if wiring.known_customer() is None:
        return Absent("no customer yet: ingestion seals who is who")
    return "its key opens a sealed record, and the pseudonym key leads to it"


def _mail() -> str | Absent:
    here = wiring.settings()
    try:
        with wiring.mail_channel().connect():
            return f"{here.smtp_host}:{here.smtp_port} answers"
    except ChannelUnavailableError:
        if not mail_stays_here(here):
            raise
        return Absent(
            f"no server is configured, and the local mailbox on port {here.smtp_port} is closed: `holdfast up` and "
            "`holdfast run --sample` open one. HOLDFAST_SMTP_HOST names a real server"
        )


def _channels() -> str:
    return ", ".join(sorted(wiring.channels()))


def _preferences() -> str | Absent:
    """Whether customers find a way out; that the app can be made proves its keys, hooks and public address."""
    wiring.public_app()
    here = wiring.settings()
    page = here.preferences_url.rstrip("/")
    try:
        with urllib.request.urlopen(f"{page}/health", timeout=_PAGE_SECONDS):  # noqa: S310 - https, or loopback
            pass
    except OSError as error:
        if here.public_url is not None:
            raise HoldfastError(
                f"{page}/health does not answer ({error}), so that nobody can unsubscribe. Check HOLDFAST_PUBLIC_URL, "
                "that the way from there leads to this page, and that `holdfast preferences serve` runs"
            ) from error
        return Absent(
            f"{page} is closed: `holdfast up` and `holdfast preferences serve` open it. HOLDFAST_PUBLIC_URL names the "
            "https:// address at which customers reach it"
        )
    if here.public_url is None:
        return Absent(f"{page} answers, but on this machine alone: HOLDFAST_PUBLIC_URL names its https:// address")
    return f"{page} answers"


def _lookup() -> str | Absent:
    url = wiring.settings().lookup_url
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=_PAGE_SECONDS):  # noqa: S310 - loopback
            pass
    except urllib.error.HTTPError as error:
        waiting = ", ".join(json.loads(error.read()).get("waiting_for", []))
        raise HoldfastError(f"{url} answers, but waits for: {waiting}. Its log says what is missing") from error
    except OSError:
        return Absent(f"{url} is closed: `holdfast up` and `holdfast lookup serve` open it")
    return f"{url} is ready"


_LOOKS: dict[str, _Look] = {
    "Python": _Look(lambda: sys.version.split()[0]),
    "versions": _Look(_versions, "set .venv up anew from requirements.lock"),
    "home": _Look(_home, "make the folder writable, or set HOLDFAST_HOME to another"),
    "business rules": _Look(lambda: wiring.rules().shop.name),
    "campaigns": _Look(_campaigns),
    "lake": _Look(_lake),
    "feature store": _Look(_features, "run the features DAG, which brings Feast's registry up to date"),
    "model registry": _Look(_champion, "check HOLDFAST_MLFLOW_URL, and that what it names can be reached"),
    "operations database": _Look(
        _operations, "check HOLDFAST_OPERATIONS_URL; `holdfast run` and `holdfast up` create the tables"
    ),
    "vault": _Look(_vault, "see to the operations database first: the vault is in it"),
    "mail server": _Look(_mail),
    "channels": _Look(_channels, "check config/channels.yaml, HOLDFAST_WEBHOOK_SECRETS and HOLDFAST_DKIM_KEY"),
    "look-up API": _Look(_lookup, "look at its log; another service may hold HOLDFAST_LOOKUP_PORT"),
    "preference page": _Look(_preferences, "check HOLDFAST_LINK_KEYS, HOLDFAST_INBOUND_KEYS and HOLDFAST_PUBLIC_URL"),
}
