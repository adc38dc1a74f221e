"""Every route that Airflow and MLflow serve, from their own tables, those of mounted applications included.

To be called inside the service, with its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

Route = tuple[str, str]


def routes(app: Any, prefix: str = "") -> Iterator[Route]:
    """Method and path of each route; a path parameter stands as ``{}``."""
    flask = getattr(app, "app", app)  # what a WSGIMiddleware wraps
    if hasattr(flask, "url_map"):
        for rule in flask.url_map.iter_rules():
            for method in rule.methods:
                yield method, prefix + re.sub(r"<[^>]*>", "{}", rule.rule)
        return
    for route in app.routes:
        path = prefix + re.sub(r"{[^}]*}", "{}", getattr(route, "path", ""))
        methods = getattr(route, "methods", None)
        if methods is None:  # mounted, or files
            mounted = getattr(route, "app", None)
            yield from routes(mounted, path) if _lists(mounted) else [("GET", f"{path}/{{}}")]
        for method in methods or ():
            yield method, path


def _lists(app: Any) -> bool:
    return hasattr(app, "routes") or hasattr(getattr(app, "app", app), "url_map")


def airflow() -> set[Route]:
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.execution_api.routes import execution_api_router

    # The execution API serves this router in several versions and lists none of them.
    tasks = {(method, path) for method, path in routes(execution_api_router, "/execution")}
    return {*routes(create_app()), *tasks}


def mlflow() -> set[Route]:
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"  # as `mlflow server` tells its workers
    from mlflow.server.auth import create_app

    return set(routes(create_app()))
