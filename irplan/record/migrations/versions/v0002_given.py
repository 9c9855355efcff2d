"""What was given: lists of injections under a plan, append-only like everything else."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = ("given_list", "given")


def upgrade() -> None:
    """Make the tables and their triggers; what the record holds already stays as it is."""
    op.create_table(
        "given_list",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("plan_id", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("replaces", sa.Text, nullable=False),
        sa.Column("source_sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_given_list"),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name="fk_given_list_plan_id"),
        sa.ForeignKeyConstraint(["sequence"], ["audit.sequence"], name="fk_given_list_sequence"),
        sa.UniqueConstraint("sequence", name="uq_given_list_sequence"),
    )
    op.create_table(
        "given",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("list_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("drug", sa.Text, nullable=False),
        sa.Column("lesion_id", sa.Text, nullable=False),
        sa.Column("deposit_id", sa.Text, nullable=False),
        sa.Column("ml", sa.Text, nullable=False),
        sa.Column("mg", sa.Text, nullable=False),
        sa.Column("time", sa.Text, nullable=False),
        sa.Column("lot", sa.Text, nullable=False),
        sa.Column("expiry", sa.Text, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_given"),
        sa.ForeignKeyConstraint(["list_id"], ["given_list.id"], name="fk_given_list_id"),
        sa.UniqueConstraint("list_id", "number", name="uq_given_list_id_number"),
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            op.execute(_refusing(table, verb, sqlite=sqlite))
    if sqlite:
        # INSERT OR REPLACE would take a row away unseen by the triggers above.
        _refuse_replacing("given_list", "id = NEW.id OR sequence = NEW.sequence")
        _refuse_replacing("given", "id = NEW.id OR list_id = NEW.list_id AND number = NEW.number")
    else:
        for table in _TABLES:
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION irplan_refuse_change()"
            )


def downgrade() -> None:
    """A record is never taken back to a version that would lose entries."""
    raise NotImplementedError("what was given is not taken away")


def _refusing(table: str, verb: str, *, sqlite: bool) -> str:
    head = f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    if sqlite:
        told = f"'rows of {table} are never changed or taken away'"
        return f"{head}BEGIN SELECT RAISE(ABORT, {told}); END"
    return f"{head}FOR EACH ROW EXECUTE FUNCTION irplan_refuse_change()"


def _refuse_replacing(table: str, same: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS "
        f"(SELECT 1 FROM {table} WHERE {same}) BEGIN "
        f"SELECT RAISE(ABORT, 'rows of {table} are never replaced'); END"
    )
