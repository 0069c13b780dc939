"""Alembic's scripts: one revision for each change of the tables."""
