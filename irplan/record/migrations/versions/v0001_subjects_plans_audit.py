"""Subjects, visits, plans and the audit chain, with triggers that refuse any change to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLES = ("subject", "visit", "plan", "audit")
_NO_HASH = "0" * 64


def upgrade() -> None:
    """Make the tables and their triggers."""
    op.create_table(
        "subject",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subject"),
        sa.UniqueConstraint("code", name="uq_subject_code"),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("subject_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_visit"),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name="fk_visit_subject_id"),
        sa.UniqueConstraint("subject_id", "number", name="uq_visit_subject_id_number"),
    )
    op.create_table(
        "plan",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("visit_id", sa.Integer, nullable=False),
        sa.Column("plan_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("study_instance_uid", sa.Text, nullable=False),
        sa.Column("image_date", sa.Text, nullable=False),
        sa.Column("irplan_version", sa.Text, nullable=False),
        sa.Column("added", sa.String(32), nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("original_sha256", sa.String(64), nullable=False),
        sa.Column("document_sha256", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_plan"),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name="fk_plan_visit_id"),
        sa.UniqueConstraint("plan_id", name="uq_plan_plan_id"),
    )
    op.create_table(
        "audit",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
        sa.UniqueConstraint("previous_hash", name="uq_audit_previous_hash"),
        sa.UniqueConstraint("hash", name="uq_audit_hash"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _protect_sqlite()
    else:
        _protect_postgresql()


def downgrade() -> None:
    """A record is never taken back to a version that would lose entries."""
    raise NotImplementedError("the first tables of a record are not taken away")


def _protect_sqlite() -> None:
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN "
                f"SELECT RAISE(ABORT, 'rows of {table} are never changed or taken away'); END"
            )
    # INSERT OR REPLACE would take a row away unseen by the trigger above.
    op.execute(
        "CREATE TRIGGER plan_no_replace BEFORE INSERT ON plan WHEN EXISTS "
        "(SELECT 1 FROM plan WHERE id = NEW.id OR plan_id = NEW.plan_id) BEGIN "
        "SELECT RAISE(ABORT, 'rows of plan are never replaced'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE INSERT ON audit WHEN "
        "NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit) OR "
        "NEW.previous_hash <> coalesce("
        f"(SELECT hash FROM audit ORDER BY sequence DESC LIMIT 1), '{_NO_HASH}') BEGIN "
        "SELECT RAISE(ABORT, 'an audit entry only ever follows the last one'); END"
    )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION irplan_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'rows of % are never changed or taken away', TG_TABLE_NAME; "
        "END $$"
    )
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION irplan_refuse_change()"
            )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION irplan_refuse_change()"
        )
    op.execute(
        "CREATE FUNCTION irplan_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit) OR "
        "NEW.previous_hash <> coalesce("
        f"(SELECT hash FROM audit ORDER BY sequence DESC LIMIT 1), '{_NO_HASH}') THEN "
        "RAISE EXCEPTION 'an audit entry only ever follows the last one'; "
        "END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE INSERT ON audit "
        "FOR EACH ROW EXECUTE FUNCTION irplan_append_only()"
    )
