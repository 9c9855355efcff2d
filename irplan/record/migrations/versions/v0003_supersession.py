"""Which plan stands in place of which: a table of its own, append-only like everything else."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TABLE = "supersession"


def upgrade() -> None:
    """Make the table and its triggers; plans that are there already tell what they supersede."""
    op.create_table(
        _TABLE,
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("plan_id", sa.Integer, nullable=False),
        sa.Column("supersedes", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_supersession"),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name="fk_supersession_plan_id"),
        sa.UniqueConstraint("plan_id", name="uq_supersession_plan_id"),
    )
    _take_over()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for verb in ("UPDATE", "DELETE"):
        op.execute(_refusing(verb, sqlite=sqlite))
    if sqlite:
        # INSERT OR REPLACE would take a row away unseen by the triggers above.
        op.execute(
            f"CREATE TRIGGER {_TABLE}_no_replace BEFORE INSERT ON {_TABLE} WHEN EXISTS "
            f"(SELECT 1 FROM {_TABLE} WHERE id = NEW.id OR plan_id = NEW.plan_id) BEGIN "
            f"SELECT RAISE(ABORT, 'rows of {_TABLE} are never replaced'); END"
        )
    else:
        op.execute(
            f"CREATE TRIGGER {_TABLE}_no_truncate BEFORE TRUNCATE ON {_TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION irplan_refuse_change()"
        )


def downgrade() -> None:
    """A record is never taken back to a version that would lose entries."""
    raise NotImplementedError("what supersedes a plan is not taken away")


def _take_over() -> None:
    bind = op.get_bind()
    rows = bind.execute(sa.text("SELECT id, document FROM plan ORDER BY id")).all()
    for key, document in rows:
        older = json.loads(document).get("supersedes")
        if isinstance(older, str) and older:
            bind.execute(
                sa.text(f"INSERT INTO {_TABLE} (plan_id, supersedes) VALUES (:key, :older)"),
                {"key": key, "older": older[:64]},
            )


def _refusing(verb: str, *, sqlite: bool) -> str:
    head = f"CREATE TRIGGER {_TABLE}_no_{verb.lower()} BEFORE {verb} ON {_TABLE} "
    if sqlite:
        told = f"'rows of {_TABLE} are never changed or taken away'"
        return f"{head}BEGIN SELECT RAISE(ABORT, {told}); END"
    return f"{head}FOR EACH ROW EXECUTE FUNCTION irplan_refuse_change()"
