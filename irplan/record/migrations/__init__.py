"""The steps that bring the tables of a record from one version to the next (Alembic)."""
