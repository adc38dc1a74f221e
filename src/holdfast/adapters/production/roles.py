"""Who may do what in Airflow, declared once and brought into FAB's tables on every start of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from holdfast.errors import SettingsError

Permission = tuple[str, str]
"""FAB's action (``can_read`` …) on FAB's resource (``DAGs`` …)."""

ADMIN = "Admin"
"""FAB's own role that may do everything; the three below are ours."""

VIEWER, MARKETER, OPERATOR = "Holdfast viewer", "Holdfast marketer", "Holdfast operator"


def _may(actions: str, *resources: str) -> frozenset[Permission]:
    """Each action on each resource; to ``see`` is to find it in the menu."""
    names = ("menu_access" if action == "see" else f"can_{action}" for action in actions.split())
    return frozenset(product(names, resources))


_VIEWER = (
    _may("read", "Website", "DAG Dependencies", "DAG Versions", "DAG Warnings", "Task Instances", "HITL Detail")
    | _may("read see", "DAGs", "DAG Runs", "Assets", "Plugins", "My Profile", "My Password")
    | _may("read", "Asset Aliases", "Backfills")
    | _may("edit", "My Password", "My Profile")
    | _may("see", "Browse")
)
# Airflow lets only those answer who may edit the DAG that asks; it includes switching those DAGs on and off.
_MARKETER = _VIEWER | _may("edit see", "HITL Detail") | _may("edit", "DAG:train", "DAG:learn")
_OPERATOR = (
    _VIEWER
    | _may("create edit delete", "DAG Runs", "Task Instances", "Backfills")
    | _may("edit", "DAGs")
    | _may("create", "Assets")
    | _may("read", "DAG Code", "Task Logs", "XComs", "ImportError", "Providers")
    | _may("read edit see", "Pools")
    | _may("read see", "Jobs", "Cluster Activity", "Triggers")
)

ROLES: Mapping[str, frozenset[Permission]] = {VIEWER: _VIEWER, MARKETER: _MARKETER, OPERATOR: _OPERATOR}
"""A viewer sees runs and the Retention page. A marketer also answers what waits for a person, such as a new champion.
An operator runs, clears, pauses and reads logs, but approves nothing: who runs the models does not judge them.
Accounts, connections, variables and the audit log are the admin's."""


def declare(security: Any) -> None:
    """Bring our roles in FAB's security manager in line with ``ROLES``: what is declared no more is taken away."""
    for name, permissions in ROLES.items():
        role = security.find_role(name) or security.add_role(name)
        role.permissions = [
            security.get_permission(action, resource) or security.create_permission(action, resource)
            for action, resource in sorted(permissions)
        ]
    security.session.commit()


def first_account(security: Any, username: str, password: str) -> None:
    """The admin's account, where it does not exist; one that does keeps its password."""
    if security.find_user(username=username) is not None:
        return
    admin = security.find_role(ADMIN)
    if not security.add_user(username, "Holdfast", "admin", f"{username}@localhost.invalid", admin, password):
        raise SettingsError(f"Airflow's account {username!r} could not be made; Airflow's log above says why")
