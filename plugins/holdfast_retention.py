"""The Retention page in Airflow's navigation: the latest report and measured effects, for whoever may see plugins."""

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

from holdfast.settings import Settings

# Airflow does not guard a plugin's routes: each depends on a permission of its own, and none lists the others.
# The page carries the shop's own words: nothing in it may run, least of all with the rights of who is logged in here.
HEADERS = {
    "Cache-Control": "no-store",
    # With its own origin, so that a link from page to page takes the log-in along; scripts stay forbidden.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-same-origin"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

app = FastAPI(title="Holdfast retention", openapi_url=None, docs_url=None, redoc_url=None)


@app.get("/", dependencies=[Depends(requires_access_view(AccessView.PLUGINS))])
def latest_report() -> Response:
    """The report of the latest cutoff."""
    reports = sorted(Settings().reports.glob("*.html"))
    if not reports:
        return HTMLResponse(
            "<p>No report yet: the <code>report</code> DAG writes it.</p>", status_code=404, headers=HEADERS
        )
    return FileResponse(reports[-1], media_type="text/html", headers=HEADERS)


@app.get("/effect/{name}", dependencies=[Depends(requires_access_view(AccessView.PLUGINS))])
def effect(name: str) -> Response:
    """One of the pages of measured effects, by its file name."""
    pages = {page.name: page for page in (Settings().reports / "effect").glob("*.html")}
    if name not in pages:  # only what is in the folder: a name never becomes a path
        return HTMLResponse(
            "<p>No such page: the <code>measure</code> DAG writes them.</p>", status_code=404, headers=HEADERS
        )
    return FileResponse(pages[name], media_type="text/html", headers=HEADERS)


class RetentionPlugin(AirflowPlugin):
    """Puts the page into the navigation."""

    name = "holdfast_retention"
    fastapi_apps = [{"app": app, "url_prefix": "/holdfast", "name": "Holdfast retention"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "Retention", "href": "holdfast/", "destination": "nav", "url_route": "retention"}
    ]
