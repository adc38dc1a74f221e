"""Alembic's entry point: migrates over the connection that ``database.upgrade`` hands it, inside its transaction."""

from __future__ import annotations

from alembic import context

from holdfast.adapters.operations.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
