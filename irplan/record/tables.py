"""The tables of the record, as SQLAlchemy models.

Rows are only ever added: what happens later to a plan (what was given) stands in tables of its
own that point here by ``plan.id``. The tables are made by the migrations beside this module; a
test holds both to the same shape.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: The migration that this version of the program works with.
REVISION = "0003"

#: Tables whose rows may never be changed or taken away; triggers of the database refuse it.
APPEND_ONLY = ("subject", "visit", "plan", "audit", "given_list", "given", "supersession")


class Base(DeclarativeBase):
    """Constraints have names, so that a later migration can speak of them on every database."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )


class SubjectRow(Base):
    """A subject of the trial under their pseudonym."""

    __tablename__ = "subject"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)


class VisitRow(Base):
    """A visit of a subject, by its number in the trial."""

    __tablename__ = "visit"
    __table_args__ = (UniqueConstraint("subject_id", "number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    subject_id: Mapped[int] = mapped_column(ForeignKey("subject.id"))
    number: Mapped[int] = mapped_column(Integer)


class PlanRow(Base):
    """A plan of a visit: its document without what names the patient.

    ``original_sha256`` is of the file that was added, ``document_sha256`` of ``document``,
    which is canonical JSON.
    """

    __tablename__ = "plan"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    plan_id: Mapped[str] = mapped_column(String(64), unique=True)
    version: Mapped[int] = mapped_column(Integer)
    study_instance_uid: Mapped[str] = mapped_column(Text)
    image_date: Mapped[str] = mapped_column(Text)
    irplan_version: Mapped[str] = mapped_column(Text)
    added: Mapped[str] = mapped_column(String(32))
    added_by: Mapped[str] = mapped_column(Text)
    original_sha256: Mapped[str] = mapped_column(String(64))
    document_sha256: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)


class SupersessionRow(Base):
    """A plan that stands in place of an older one; ``supersedes`` is the older one's plan_id.

    The older one need not be in the record. What is written here stands in the plan's own document
    too, whose hash the audit chain holds.
    """

    __tablename__ = "supersession"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"), unique=True)
    supersedes: Mapped[str] = mapped_column(String(64))


class AuditRow(Base):
    """One entry of the audit chain; see :mod:`irplan.record.chain`."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    time: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class GivenListRow(Base):
    """One list of what was given under a plan, as one call noted it.

    ``sequence`` is of its audit entry, ``replaces`` a JSON list of the sequences of the lists
    that it stands in place of, ``source_sha256`` of the file that was read.
    """

    __tablename__ = "given_list"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    sequence: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), ForeignKey("audit.sequence"), unique=True
    )
    replaces: Mapped[str] = mapped_column(Text)
    source_sha256: Mapped[str] = mapped_column(String(64))


class GivenRow(Base):
    """One injection of one drug; mL and mg are exact decimals and so kept as text.

    ``number`` rises from 1 within its list.
    """

    __tablename__ = "given"
    __table_args__ = (UniqueConstraint("list_id", "number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("given_list.id"))
    number: Mapped[int] = mapped_column(Integer)
    drug: Mapped[str] = mapped_column(Text)
    lesion_id: Mapped[str] = mapped_column(Text)
    deposit_id: Mapped[str] = mapped_column(Text)
    ml: Mapped[str] = mapped_column(Text)
    mg: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)
    lot: Mapped[str] = mapped_column(Text)
    expiry: Mapped[str] = mapped_column(Text)
    closed: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str] = mapped_column(Text)
