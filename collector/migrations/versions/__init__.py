"""Alembic's scripts: how the database comes from each version to the next."""
