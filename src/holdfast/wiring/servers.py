"""The apps that others talk to: the customers' preference page, the look-up API."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from holdfast.adapters.online.configured import reader as online_reader
from holdfast.adapters.operations.access import EntitlementDatabase
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.signing import key_of
from holdfast.errors import SettingsError
from holdfast.pipelines.replies import Feedback, Preferences
from holdfast.wiring.outreach import links
from holdfast.wiring.stores import (
    api_keys,
    engine,
    feature_store,
    now,
    pseudonyms,
    quick_clock,
    rules,
    settings,
)

if TYPE_CHECKING:
    from fastapi import FastAPI


def public_app() -> FastAPI:
    """The preference page with the signed hooks whose keys are set."""
    from holdfast.public.app import Inbound, create_app, redemption_hook, report_hook

    here, replies = settings(), RepliesDatabase(engine())
    feedback = Feedback(replies)
    hooks = {}
    for name, keys in here.inbound_keys.items():
        kind, _, channel = name.partition("/")
        if name != "redemptions" and (kind != "feedback" or not channel):
            raise SettingsError(f"HOLDFAST_INBOUND_KEYS names {name!r}; hooks are redemptions and feedback/<channel>")
        signed_by = [key_of(key.get_secret_value()) for key in keys]
        act = report_hook(feedback, channel) if channel else redemption_hook(OperationsDatabase(engine()))
        hooks[name] = Inbound(signed_by, act)
    return create_app(rules().shop.name, Preferences(links(), replies), hooks, now)


def serve_public() -> None:
    """Serve the public app until interrupted."""
    import uvicorn

    here = settings()
    # No access log: the path of a preference page is its key.
    uvicorn.run(public_app(), host=here.listens_on, port=here.preferences_port, access_log=False, log_level="warning")


def lookup_app() -> FastAPI:
    """The look-up API, as one of the processes that serve it."""
    from holdfast.lookup.app import create_app
    from holdfast.lookup.customers import Lookup
    from holdfast.lookup.door import Door
    from holdfast.lookup.journal import Journal, Metrics

    here, store, time_now = settings(), feature_store(), quick_clock()
    lookup = Lookup(
        online_reader(here.feast_online),
        EntitlementDatabase(engine()),
        currency=rules().shop.currency,
        stored_id=pseudonyms(),
        clock=time_now,
    )
    door = Door(
        api_keys(),
        room=here.lookup_room,
        share=1 / here.lookup_workers,
        metrics=Metrics(here.lookup_metrics if here.lookup_workers > 1 else None),
        journal=Journal(sys.stdout, time_now),
        clock=time_now,
    )
    return create_app(lookup, door, store.served)


def serve_lookup() -> None:
    """Serve the look-up API until interrupted."""
    import uvicorn

    here = settings()
    if here.lookup_workers > 1:
        shutil.rmtree(here.lookup_metrics, ignore_errors=True)
        here.lookup_metrics.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(here.lookup_metrics)  # read when prometheus_client is imported
    from holdfast.lookup.journal import SERVER_LOG

    uvicorn.run(
        "holdfast.wiring:lookup_app",
        factory=True,
        host=here.listens_on,
        port=here.lookup_port,
        workers=here.lookup_workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,  # it would tell customers' ids
        log_config=SERVER_LOG,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
